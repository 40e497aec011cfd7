package robot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/robottest"
)

const (
	key    = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"
	signer = "SEC000this-is-a-test-secret+/="
)

// request is what a robot received.
type request struct {
	query, body string
	header      http.Header
}

// sendOnce sends a message at the time, and returns the request.
func sendOnce(t *testing.T, r robot.Robot, m robot.Message, at time.Time) request {
	t.Helper()
	var got request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.URL.RawQuery, string(body), r.Header}
		io.WriteString(w, `{"errcode":0,"errmsg":"ok","code":0}`)
	}))
	defer server.Close()
	r.URL = secret.New(server.URL + r.URL.Reveal())
	err := robot.NewClient(func() time.Time { return at }).Send(t.Context(), r, m)
	if r.Kind != robot.Slack && err != nil {
		t.Fatal(err)
	}
	return got
}

// The vectors were computed by two other programs, which agree:
//
//	printf '%s\n%s' 1577262236757 'SEC000this-is-a-test-secret+/=' | openssl dgst -sha256 -hmac 'SEC000this-is-a-test-secret+/=' -binary | base64
//	printf '' | openssl dgst -sha256 -hmac "$(printf '1599360473\nfeishu-test-secret')" -binary | base64
//
// and in Python, with s and ts as texts:
//
//	base64.b64encode(hmac.new(s.encode(), (ts + "\n" + s).encode(), hashlib.sha256).digest())   # DingTalk
//	base64.b64encode(hmac.new((ts + "\n" + s).encode(), b"", hashlib.sha256).digest())          # Feishu
//	urllib.parse.quote_plus(sign)                                                               # in DingTalk's query
func TestSignatures(t *testing.T) {
	t.Parallel()
	t.Run("dingtalk", func(t *testing.T) {
		t.Parallel()
		r := robot.Robot{Kind: robot.DingTalk, URL: secret.New("/robot/send?access_token=" + key), Secret: secret.New(signer)}
		got := sendOnce(t, r, robot.Message{Title: "t", Text: "x"}, time.UnixMilli(1577262236757))
		want := "access_token=" + key + "&sign=Ns%2FErVPQvvXl3YTIrIZvOHM749qa8yl0y%2F5n7kKrc1I%3D&timestamp=1577262236757"
		if got.query != want {
			t.Errorf("query %s, want %s", got.query, want)
		}
	})
	t.Run("feishu", func(t *testing.T) {
		t.Parallel()
		r := robot.Robot{Kind: robot.Feishu, URL: secret.New("/open-apis/bot/v2/hook/" + key), Secret: secret.New("feishu-test-secret")}
		got := sendOnce(t, r, robot.Message{Text: "x"}, time.Unix(1599360473, 0))
		want := `{"timestamp":"1599360473","sign":"7Gq8ROqhtzskcbk2fAPXpWnrRaTUDD2iIHvbmt3/cuo=","msg_type":"text","content":{"text":"x"}}`
		if got.body != want {
			t.Errorf("body %s, want %s", got.body, want)
		}
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for kind, want := range map[robot.Kind]string{
		robot.WeCom:    `{"msgtype":"markdown","markdown":{"content":"新 <x> & \"y\""}}`,
		robot.DingTalk: `{"msgtype":"markdown","markdown":{"title":"标题","text":"新 <x> & \"y\""}}`,
		robot.Feishu:   `{"msg_type":"text","content":{"text":"新 <x> & \"y\""}}`,
		robot.Slack:    `{"text":"新 <x> & \"y\"","parse":"none","unfurl_links":false,"unfurl_media":false}`,
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			got := sendOnce(t, robot.Robot{Kind: kind, URL: secret.New("/x?access_token=1")}, robot.Message{Title: "标题", Text: `新 <x> & "y"`}, time.Now())
			if got.body != want || got.query != "access_token=1" {
				t.Errorf("body %s\nwant %s\nquery %s", got.body, want, got.query)
			}
			if got.header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Errorf("header %v", got.header)
			}
		})
	}
}

// answerTest is an answer, and what has to come of it.
type answerTest struct {
	kind   robot.Kind
	fault  robottest.Fault
	detail string // empty: accepted
	after  time.Duration
}

var answerTests = map[string]answerTest{
	"accepted":              {kind: robot.WeCom},
	"accepted by Feishu":    {kind: robot.Feishu},
	"accepted by older one": {kind: robot.Feishu, fault: robottest.Answer(200, `{"StatusCode":0,"StatusMessage":"success"}`)},
	"accepted by Slack":     {kind: robot.Slack},
	"refused":               {kind: robot.WeCom, fault: robottest.Refuse(93000, "invalid webhook url"), detail: "it refused the message: 93000 invalid webhook url"},
	"keyword":               {kind: robot.DingTalk, fault: robottest.Refuse(310000, "keywords not in content"), detail: "it refused the message: 310000 keywords not in content"},
	"refused by Feishu":     {kind: robot.Feishu, fault: robottest.Answer(200, `{"code":19024,"msg":"Key Words Not Found"}`), detail: "it refused the message: 19024 Key Words Not Found"},
	"refused by Slack":      {kind: robot.Slack, fault: robottest.Answer(403, "invalid_token"), detail: "it refused the message: HTTP 403 invalid_token"},
	"Slack's page":          {kind: robot.Slack, fault: robottest.HTML(), detail: "it refused the message: HTTP 200 <html><body>Welcome</body></html>"},
	"WeCom's limit":         {kind: robot.WeCom, fault: robottest.TooMany(robot.WeCom), detail: "it refused the message: 45009 api freq out of limit", after: time.Minute},
	"DingTalk's limit":      {kind: robot.DingTalk, fault: robottest.TooMany(robot.DingTalk), detail: "it refused the message: 130101 send too fast", after: 10 * time.Minute},
	"Feishu's limit":        {kind: robot.Feishu, fault: robottest.TooMany(robot.Feishu), detail: "it refused the message: 11232 frequency limited", after: time.Minute},
	"Slack's limit":         {kind: robot.Slack, fault: robottest.TooMany(robot.Slack), detail: "it has had too many messages (HTTP 429)", after: 30 * time.Second},
	"limit without a time":  {kind: robot.WeCom, fault: robottest.Answer(429, ""), detail: "it has had too many messages (HTTP 429)", after: time.Minute},
	"limit of a day":        {kind: robot.WeCom, fault: robottest.Answer(429, "", "Retry-After", "86400"), detail: "it has had too many messages (HTTP 429)", after: 15 * time.Minute},
	"page":                  {kind: robot.WeCom, fault: robottest.HTML(), detail: "its answer is no JSON (HTTP 200)"},
	"nothing":               {kind: robot.WeCom, fault: robottest.Answer(200, ""), detail: "its answer is no JSON (HTTP 200)"},
	"empty object":          {kind: robot.DingTalk, fault: robottest.Answer(200, "{}"), detail: "its answer has no code (HTTP 200)"},
	"list":                  {kind: robot.Feishu, fault: robottest.Answer(200, "[]"), detail: "its answer is no JSON (HTTP 200)"},
	"other kind's answer":   {kind: robot.Feishu, fault: robottest.Answer(200, `{"errcode":0}`), detail: "its answer has no code (HTTP 200)"},
	"gateway":               {kind: robot.Feishu, fault: robottest.Answer(502, `{"code":0}`), detail: "it answered HTTP 502"},
	"redirect":              {kind: robot.Slack, fault: robottest.Answer(302, "", "Location", "http://127.0.0.1:1/elsewhere"), detail: "it refused the message: HTTP 302"},
	"endless answer":        {kind: robot.WeCom, fault: robottest.Answer(200, `{"errcode":0,"errmsg":"`+strings.Repeat("x", 1<<20)+`"}`), detail: "its answer is no JSON (HTTP 200)"},
	"dropped":               {kind: robot.WeCom, fault: robottest.Drop(), detail: "the connection broke"},
	"answer lost":           {kind: robot.WeCom, fault: robottest.DropAfter(), detail: "the connection broke"},
	"hanging":               {kind: robot.WeCom, fault: robottest.Hang(), detail: "it did not answer in time"},
	"quotes its URL":        {kind: robot.WeCom, fault: robottest.Refuse(93000, "no "+key+" here"), detail: "it refused the message: 93000 no REDACTED here"},
	"quotes its secret":     {kind: robot.Feishu, fault: robottest.Refuse(19021, "not "+signer), detail: "it refused the message: 19021 not REDACTED"},
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range answerTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := robottest.Robot{Name: "ops", Kind: test.kind, Key: key, Secret: signer}
			stand := robottest.New([]robottest.Robot{made})
			server := httptest.NewServer(stand)
			defer server.Close()
			stand.Fail("ops", test.fault)
			r := robot.Robot{Name: "ops", Kind: test.kind, URL: secret.New(made.URL(server.URL)), Secret: secret.New(signer)}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if name == "hanging" {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			err := robot.NewClient(time.Now).Send(ctx, r, robot.Message{Title: "t", Text: "x"})
			var failed *robot.Error
			if errors.As(err, &failed) != (test.detail != "") {
				t.Fatalf("got %v", err)
			}
			if failed == nil {
				return
			}
			if failed.Detail != test.detail || failed.RetryAfter != test.after {
				t.Errorf("got %+v", *failed)
			}
			if shown := fmt.Sprintf("%v %+v %s", err, r, fmt.Sprint(r)); strings.Contains(shown, key) || strings.Contains(shown, signer) {
				t.Errorf("a secret shows in %s", shown)
			}
		})
	}
}

func TestNoAnswerShowsTheURL(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ url, detail string }{
		"refused connection": {"http://127.0.0.1:1/x?key=" + key, "it refused the connection"},
		"no host":            {"https://robots.invalid/x?key=" + key, "its host name can't be resolved"},
		"no URL":             {"https://exa mple/x?key=" + key, "its URL can't be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := robot.Robot{Kind: robot.DingTalk, URL: secret.New(test.url), Secret: secret.New(signer)}
			err := robot.NewClient(time.Now).Send(t.Context(), r, robot.Message{Text: "x"})
			if err == nil || err.Error() != test.detail && name != "no host" || strings.Contains(err.Error(), key) {
				t.Errorf("got %v", err)
			}
		})
	}
	server := httptest.NewTLSServer(http.NotFoundHandler()) // of a certificate that nobody knows
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	err := robot.NewClient(time.Now).Send(t.Context(), robot.Robot{Kind: robot.Slack, URL: secret.New(server.URL)}, robot.Message{Text: "x"})
	if err == nil || err.Error() != "its TLS certificate can't be trusted" {
		t.Errorf("got %v", err)
	}
}

func TestStandInChecksSignaturesAndLimits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	made := []robottest.Robot{
		{Name: "d", Kind: robot.DingTalk, Key: "key-of-d", Secret: "right"}, {Name: "f", Kind: robot.Feishu, Key: "key-of-f", Secret: "right"},
		{Name: "w", Kind: robot.WeCom, Key: "key-of-w"}, {Name: "k", Kind: robot.DingTalk, Key: "key-of-k", Keyword: "ops"},
	}
	stand := robottest.New(made, robottest.WithClock(func() time.Time { return now }), robottest.WithRateLimits())
	server := httptest.NewServer(stand)
	defer server.Close()
	client := robot.NewClient(func() time.Time { return now })
	send := func(i int, signedWith, text string) error {
		return client.Send(t.Context(), robot.Robot{Kind: made[i].Kind, URL: secret.New(made[i].URL(server.URL)), Secret: secret.New(signedWith)},
			robot.Message{Title: "t", Text: text})
	}
	for i, kind := range []robot.Kind{robot.DingTalk, robot.Feishu} {
		if err := send(i, "right", "x"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if send(i, "wrong", "x") == nil || send(i, "", "x") == nil {
			t.Errorf("%s took a wrong signature", kind)
		}
	}
	if send(3, "", "x") == nil || send(3, "", "for ops: x") != nil {
		t.Error("the keyword isn't checked")
	}
	if send(2, "", strings.Repeat("字", 1366)) == nil {
		t.Error("WeCom took 4098 bytes")
	}
	for range 20 {
		if err := send(2, "", "x"); err != nil {
			t.Error(err)
		}
	}
	var limited *robot.Error
	if err := send(2, "", "x"); !errors.As(err, &limited) || limited.RetryAfter != time.Minute {
		t.Errorf("the 21st message of a minute: %v", err)
	}
	now = now.Add(time.Minute)
	if err := send(2, "", "x"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if n := len(stand.Messages("w")); n != 21 {
		t.Errorf("kept %d messages", n)
	}
}
