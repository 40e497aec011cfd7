package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	componentSecret = "wechat/draftbox/component-token"
	readSecret      = "secretsmanager:GetSecretValue"
)

// start starts the function in a world that has a component token.
func start(t *testing.T, options ...wechattest.Option) (*functiontest.World, *functiontest.Function) {
	t.Helper()
	world := functiontest.New(t, options...)
	world.StoreComponentToken()
	return world, world.Start(wire)
}

// ids are the drafts of an answer.
func ids(t *testing.T, r functiontest.Response) []int64 {
	t.Helper()
	var body struct {
		Drafts []struct {
			ID int64 `json:"draft_id"`
		}
		Count     int
		FetchedAt time.Time `json:"fetched_at"`
	}
	r.Decode(t, &body)
	if r.Status != 200 || body.Count != len(body.Drafts) || body.Drafts == nil || body.FetchedAt.IsZero() {
		t.Errorf("status %d: %s", r.Status, r.Body)
	}
	list := []int64{}
	for _, d := range body.Drafts {
		list = append(list, d.ID)
	}
	return list
}

func TestList(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	got := drafts.HTTP(t.Context(), "GET", "/drafts", "")
	var body map[string]json.RawMessage
	got.Decode(t, &body)
	const want = `[` +
		`{"draft_id":4,"create_time":1504790906,"created_at":"2017-09-07T13:28:26Z","user_version":"11","user_desc":"111111","source_miniprogram_appid":"wx6XXXXXXXXXXXXXXX","source_miniprogram":"LXXXXX","developer":"XXX","category_list":[]},` +
		`{"draft_id":0,"create_time":1488965944,"created_at":"2017-03-08T09:39:04Z","user_version":"VVV","user_desc":"AAS","source_miniprogram_appid":"wx6XXXXXXXXXXXXXXX","source_miniprogram":"LXXXXX","developer":"XXX","category_list":[]}]`
	if diff := cmp.Diff(want, string(body["drafts"])); diff != "" {
		t.Error(diff)
	}
	var fetched string
	json.Unmarshal(body["fetched_at"], &fetched)
	if at, err := time.Parse("2006-01-02T15:04:05Z", fetched); err != nil || world.Clock.Now().Sub(at).Abs() > time.Minute {
		t.Errorf("fetched_at is %q", fetched)
	}
	if len(body) != 3 || string(body["count"]) != "2" {
		t.Errorf("body %s", got.Body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json; charset=utf-8", "Cache-Control": "private, max-age=29", "X-Request-Id": "request-1"} {
		if name == "Cache-Control" && got.Header[name] == "private, max-age=30" {
			continue // no time passed at all
		}
		if got.Header[name] != want {
			t.Errorf("%s is %q", name, got.Header[name])
		}
	}
	if world.AWS.Calls("") != 1 || world.WeChat.Calls("") != 1 {
		t.Errorf("%d calls of AWS, %d of WeChat", world.AWS.Calls(""), world.WeChat.Calls(""))
	}
}

func TestListQuery(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	world.WeChat.UploadDraft(wechattest.Draft{DraftID: 9, CreateTime: 1504790906, UserVersion: "草稿 & <1>", SourceMiniProgramAppID: "wx7", Developer: "Y"})
	for query, want := range map[string][]int64{
		"":                 {9, 4, 0},
		"?order=asc":       {0, 4, 9},
		"?limit=1":         {9},
		"?user_version=11": {4},
		"?user_version=%E8%8D%89%E7%A8%BF%20%26%20%3C1%3E":                     {9},
		"?source_miniprogram_appid=wx7&developer=Y&since=1504790906&limit=100": {9},
		"?since=2017-09-07T21:28:26+08:00":                                     {9, 4},
		"?until=2017-03-08T09:39:04Z":                                          {0},
		"?developer=nobody":                                                    {},
	} {
		if diff := cmp.Diff(want, ids(t, drafts.HTTP(t.Context(), "GET", "/drafts"+query, ""))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	r := drafts.HTTP(t.Context(), "GET", "/drafts?sort=newest", "")
	slug, problem := r.Problem(t)
	detail, _ := problem["detail"].(string)
	if slug != "invalid-request" || r.Status != 400 || !strings.Contains(detail, `"sort"`) || !strings.Contains(detail, "source_miniprogram_appid") {
		t.Errorf("got %s", r.Body)
	}
}

func TestWhatWeChatAddsOrLeavesOut(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	world.WeChat.RemoveDraft(0)
	world.WeChat.RemoveDraft(4)
	for _, body := range []string{`{"errcode":0,"errmsg":"ok"}`, `{"errcode":0,"draft_list":null}`, `{"draft_list":[]}`} {
		world.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(body))
		world.Clock.Forward(minListAge)
		if got := ids(t, drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")); len(got) != 0 {
			t.Errorf("%s: drafts %v", body, got)
		}
	}
	world.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw("\ufeff"+`{"draft_list":[{"draft_id":"7","user_desc":"a`+"\n"+`b","user_version":3,"new_key":{"n":[12345678901234567890]}}]}`))
	world.Clock.Forward(minListAge)
	r := drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")
	if !strings.Contains(r.Body, `[{"draft_id":7,"user_version":"3","user_desc":"a\nb","new_key":{"n":[12345678901234567890]}}]`) {
		t.Errorf("got %s", r.Body)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	for path, want := range map[string]string{"/drafts/0": `{"draft_id":0,"create_time":1488965944,`, "/drafts/4": `{"draft_id":4,`, "/drafts/%34": `{"draft_id":4,`} {
		r := drafts.HTTP(t.Context(), "GET", path, "")
		if r.Status != 200 || !strings.HasPrefix(r.Body, want) || r.Header["ETag"] == "" {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
	}
	calls := world.WeChat.Calls("")
	for path, want := range map[string]string{
		"/drafts/-1": "invalid-request", "/drafts/+1": "invalid-request", "/drafts/1e3": "invalid-request", "/drafts/4.0": "invalid-request", "/drafts/four": "invalid-request",
		"/drafts/9223372036854775808": "invalid-request", "/drafts/%20": "invalid-request", "/drafts/4%2F": "invalid-request", "/drafts/latest": "invalid-request",
		"/drafts/": "not-found", "/drafts/4/": "not-found", "/drafts/4/x": "not-found", "/": "not-found", "/Drafts": "not-found",
	} {
		if slug, _ := drafts.HTTP(t.Context(), "GET", path, "").Problem(t); slug != want {
			t.Errorf("%s: %s", path, slug)
		}
	}
	if n := world.WeChat.Calls(""); n != calls {
		t.Errorf("%d calls of WeChat for requests that can't be meant", n-calls)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	_, drafts := start(t)
	for _, path := range []string{"/drafts", "/drafts/4", "/drafts/history"} {
		for _, method := range []string{"HEAD", "POST", "DELETE", "OPTIONS"} {
			r := drafts.HTTP(t.Context(), method, path, "")
			if slug, _ := r.Problem(t); slug != "method-not-allowed" || r.Status != 405 || r.Header["Allow"] != "GET" {
				t.Errorf("%s %s: %+v", method, path, r)
			}
		}
	}
}

func TestNotModified(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	for _, path := range []string{"/drafts", "/drafts?order=asc", "/drafts/4"} {
		etag := drafts.HTTP(t.Context(), "GET", path, "").Header["ETag"]
		world.Clock.Forward(time.Minute) // fetched again, with the same content
		r := drafts.HTTP(t.Context(), "GET", path, "", "If-None-Match", `"x", W/`+etag)
		if r.Status != http.StatusNotModified || r.Body != "" || r.Header["ETag"] != etag {
			t.Errorf("%s: %+v", path, r)
		}
	}
	etag := drafts.HTTP(t.Context(), "GET", "/drafts", "").Header["ETag"]
	if r := drafts.HTTP(t.Context(), "GET", "/drafts?limit=1000", "", "if-none-match", etag); r.Status != 200 {
		t.Errorf("another query: %d", r.Status)
	}
	world.WeChat.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: "wx7"})
	world.Clock.Forward(time.Minute)
	if r := drafts.HTTP(t.Context(), "GET", "/drafts", "", "if-none-match", etag); r.Status != 200 {
		t.Errorf("other content: %d", r.Status)
	}
}

func TestAnswersOver5MB(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	for i := range 60 {
		world.WeChat.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: fmt.Sprint("wx", i), UserDesc: strings.Repeat("草", 35_000)})
	}
	r := drafts.HTTP(t.Context(), "GET", "/drafts", "")
	slug, problem := r.Problem(t)
	if action, _ := problem["action"].(string); slug != "bad-upstream-answer" || r.Status != 502 || !strings.Contains(action, "limit") {
		t.Errorf("got %.300s", r.Body)
	}
	if got := ids(t, drafts.HTTP(t.Context(), "GET", "/drafts?limit=2", "")); len(got) != 2 {
		t.Errorf("%d with a limit of 2", len(got))
	}
}

func TestATokenThatWeChatRefuses(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001, 42006} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			world, drafts := start(t)
			ids(t, drafts.HTTP(t.Context(), "GET", "/drafts", ""))
			world.WeChat.Fail(wechattest.PathDraftList, wechattest.Refuse(code))
			world.StoreComponentToken()
			world.Clock.Forward(minListAge)
			if got := ids(t, drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")); len(got) != 2 {
				t.Errorf("drafts %v", got)
			}
			if world.AWS.Calls(readSecret) != 2 || len(world.AWS.Events()) != 0 {
				t.Errorf("%d reads of the secret, events %v", world.AWS.Calls(readSecret), world.AWS.Events())
			}

			world.WeChat.Fail(wechattest.PathDraftList, wechattest.Refuse(code).Always())
			world.Clock.Forward(minListAge)
			before := world.WeChat.Calls("")
			r := drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")
			if slug, _ := r.Problem(t); slug != "token-rejected" || r.Status != 502 {
				t.Errorf("got %s", r.Body)
			}
			if n := world.WeChat.Calls("") - before; n != 1 {
				t.Errorf("the same token was sent %d times", n)
			}
			_, version, _ := world.AWS.Secret(componentSecret)
			events := world.AWS.Events()
			if len(events) != 1 || events[0].DetailType != "Token Rejected" || events[0].Source != "wechat.draftbox" ||
				string(events[0].Detail) != fmt.Sprintf(`{"appid":"","errcode":%d,"version_id":%q}`, code, version) {
				t.Errorf("events %+v", events)
			}
		})
	}
}

// trouble is a fault, and the problem that callers get.
type trouble struct {
	name   string
	cause  func(*functiontest.World)
	slug   string
	status int
	retry  string // Retry-After; "some" where it hangs on the time of day
	calls  int    // of WeChat
}

// fails is a fault of WeChat.
func fails(f wechattest.Fault) func(*functiontest.World) {
	return func(w *functiontest.World) { w.WeChat.Fail(wechattest.PathDraftList, f.Always()) }
}

// awsFails is a fault of AWS.
func awsFails(f awstest.Fault) func(*functiontest.World) {
	return func(w *functiontest.World) { w.AWS.Fail(readSecret, f.Sticky()) }
}

func troubles() []trouble {
	list := []trouble{
		{"busy", fails(wechattest.Refuse(-1)), "wechat-busy", 503, "5", 3},
		{"day quota", fails(wechattest.Refuse(45009)), "quota-exceeded", 429, "some", 1},
		{"minute quota", fails(wechattest.Refuse(45011)), "quota-exceeded", 429, "60", 1},
		{"drop", fails(wechattest.Drop()), "wechat-unreachable", 502, "", 3},
		{"reset", fails(wechattest.Reset()), "wechat-unreachable", 502, "", 3},
		{"refused connections", func(w *functiontest.World) { w.Env["WECHAT_API_BASE_URL"] = "http://127.0.0.1:1" }, "wechat-unreachable", 502, "", 0},
		{"unresolved name", func(w *functiontest.World) { w.Env["WECHAT_API_BASE_URL"] = "http://wechat.invalid" }, "wechat-unreachable", 502, "", 0},
		{"hang", fails(wechattest.Hang()), "wechat-timeout", 504, "", 3},
		{"drip", fails(wechattest.Drip(100 * time.Millisecond)), "wechat-timeout", 504, "", 3},
		{"status 500", fails(wechattest.Status(500, "")), "bad-upstream-answer", 502, "", 3},
		{"status 404", fails(wechattest.Status(404, "")), "bad-upstream-answer", 502, "", 1},
		{"redirect", fails(wechattest.Redirect("http://127.0.0.1:1/")), "bad-upstream-answer", 502, "", 1},
		{"empty", fails(wechattest.Raw("")), "bad-upstream-answer", 502, "", 1},
		{"HTML", fails(wechattest.Raw("<html>")), "bad-upstream-answer", 502, "", 1},
		{"half", fails(wechattest.Rewrite(wechattest.HalfOf)), "bad-upstream-answer", 502, "", 1},
		{"cut short", fails(wechattest.CutShort()), "bad-upstream-answer", 502, "", 3},
		{"huge", fails(wechattest.Huge()), "bad-upstream-answer", 502, "", 1},
		{"neither errcode nor list", fails(wechattest.Raw(`{"errmsg":"ok"}`)), "bad-upstream-answer", 502, "", 1},
		{"entry without id", fails(wechattest.Raw(`{"errcode":0,"draft_list":[{}]}`)), "bad-upstream-answer", 502, "", 1},
		{"unknown errcode", fails(wechattest.Refuse(99999)), "bad-upstream-answer", 502, "", 1},
		{"address not whitelisted", func(w *functiontest.World) { w.WeChat.RefuseAddress("203.0.113.7") }, "egress-ip-not-whitelisted", 502, "", 1},
		{"tokens ended", func(w *functiontest.World) { w.WeChat.ExpireTokens() }, "token-rejected", 502, "", 1},
		{"token of an account", func(w *functiontest.World) {
			w.AWS.SetSecret(componentSecret, w.WeChat.IssueAccountToken(wechattest.ExampleClosed))
		}, "misconfigured", 500, "", 1},
		{"token past its expiry", func(w *functiontest.World) {
			w.AWS.SetSecret(componentSecret, `{"access_token":"`+w.WeChat.LiveToken("")+`","expires_at":1}`)
		}, "token-rejected", 502, "", 0},
		{"secret malformed", func(w *functiontest.World) {
			w.AWS.SetSecret(componentSecret, `{"access_token":"`+w.WeChat.LiveToken("")+`",}`)
		}, "misconfigured", 500, "", 0},
		{"secret without token", func(w *functiontest.World) { w.AWS.SetSecret(componentSecret, `{}`) }, "misconfigured", 500, "", 0},
		{"secret missing", func(w *functiontest.World) { w.Env["SECRET_PREFIX"] = "elsewhere" }, "misconfigured", 500, "", 0},
		{"secret denied", awsFails(awstest.Deny()), "misconfigured", 500, "", 0},
		{"secret's key denied", awsFails(awstest.Refuse("DecryptionFailure", 400)), "misconfigured", 500, "", 0},
		{"Secrets Manager throttles", awsFails(awstest.Throttle()), "aws-unavailable", 503, "", 0},
		{"Secrets Manager fails", awsFails(awstest.Refuse("InternalServiceError", 500)), "aws-unavailable", 503, "", 0},
		{"Secrets Manager hangs", awsFails(awstest.Hang()), "aws-unavailable", 503, "", 0},
		{"Secrets Manager drops", awsFails(awstest.Drop()), "aws-unavailable", 503, "", 0},
		{"Secrets Manager answers garbage", awsFails(awstest.Garbage()), "aws-unavailable", 503, "", 0},
	}
	for slug, codes := range map[string][]int{
		"not-granted":               {42002, 42007, 43007, 48001, 50001, 61003, 61007, 61017, 48004, 50002},
		"misconfigured":             {61014, 61015, 40013, 40125, 61011},
		"egress-ip-not-whitelisted": {61004, 40164, 45035, 40090, 89501, 89502, 89503, 89504, 89505, 89506, 89507},
		"interface-retired":         {48009},
		"token-rejected":            {40001, 40014, 42001, 42006},
	} {
		status := map[string]int{"not-granted": 403, "misconfigured": 500, "interface-retired": 410}[slug]
		if status == 0 {
			status = 502
		}
		for _, code := range codes {
			list = append(list, trouble{fmt.Sprint("errcode ", code), fails(wechattest.Refuse(code)), slug, status, "", 1})
		}
	}
	return list
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range troubles() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			world.StoreComponentToken()
			c.cause(world)
			drafts := world.Start(wire)
			ctx := t.Context()
			if c.status == 504 || strings.HasSuffix(c.name, "hangs") {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
			}
			r := drafts.HTTP(ctx, "GET", "/drafts", "")
			slug, problem := r.Problem(t)
			if slug != c.slug || r.Status != c.status {
				t.Errorf("got %d %s", r.Status, r.Body)
			}
			if retry := r.Header["Retry-After"]; retry != c.retry && (c.retry != "some" || retry == "") {
				t.Errorf("Retry-After is %q", retry)
			}
			if problem["action"] == "" || problem["request_id"] != "request-1" || problem["instance"] != "/drafts" || r.Header["Cache-Control"] != "no-store" {
				t.Errorf("got %+v", r)
			}
			if got := world.WeChat.Calls(""); got != c.calls {
				t.Errorf("%d calls of WeChat, want %d", got, c.calls)
			}
			if ctx.Err() != nil {
				t.Error("the answer came after the deadline")
			}
			if len(world.Log.Lines("request refused")) != 1 {
				t.Error("not one line in the log")
			}
		})
	}
}

func TestTheAddressToWhitelist(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	world.WeChat.RefuseAddress("203.0.113.7")
	_, problem := drafts.HTTP(t.Context(), "GET", "/drafts", "").Problem(t)
	said, _ := problem["wechat"].(map[string]any)
	if problem["egress_ip"] != "203.0.113.7" || said["errcode"] != 61004.0 || said["rid"] == "" || said["rid"] == nil {
		t.Errorf("got %v", problem)
	}
	if action, _ := problem["action"].(string); !strings.Contains(action, "whitelist") || !strings.Contains(action, "platform's operator") {
		t.Errorf("action %q", action)
	}
}

// TestSecretsThatComeBack: WeChat and gateways echo what they were sent. The scan at the end of the test looks for
// leaks.
func TestSecretsThatComeBack(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	token := world.WeChat.LiveToken("")
	for _, fault := range []wechattest.Fault{
		wechattest.Refuse(40001, "invalid credential "+token), wechattest.Refuse(61004, "https://api.weixin.qq.com/x?access_token="+token+" requestIP: 203.0.113.7"),
		wechattest.Refuse(99999, token), wechattest.Status(502, "<html>"+token), wechattest.Raw(token), wechattest.Raw(`{"errcode":"` + token + `"}`),
		wechattest.Raw(`{"errcode":0,"draft_list":"` + token + `"}`), wechattest.Raw(`{"errcode":0,"draft_list":[{"user_desc":"` + token + `"}]}`),
		wechattest.Redirect("http://127.0.0.1:1/"), wechattest.Refuse(-1, token), wechattest.Drop(), wechattest.Reset(), wechattest.CutShort(),
	} {
		world.WeChat.Fail(wechattest.PathDraftList, fault.Always())
		drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "").Problem(t)
		world.WeChat.Heal("")
	}
	world.AWS.SetSecret(componentSecret, `{"access_token":"`+token+`","expires_at":"`+token+`"}`)
	world.Clock.Forward(time.Hour)
	drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "").Problem(t)
}

func TestEventFiles(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		status int
		says   string
	}{
		"base-path":              {200, `{"draft_id":0,`},
		"get-id-0":               {200, `{"draft_id":0,`},
		"get-missing":            {404, "not-found"},
		"history":                {200, `{"drafts":[]}`},
		"list":                   {200, `"count":2`},
		"list-filtered":          {200, `{"drafts":[{"draft_id":0,`},
		"list-fresh":             {200, `"count":2`},
		"list-jwt-caller":        {200, `"count":2`},
		"list-rest-api":          {200, `"count":1`},
		"list-unknown-parameter": {400, `\"sort\"`},
	}
	files, err := filepath.Glob("../../events/drafts/*.json")
	if err != nil {
		t.Fatal(err)
	}
	played := maps.Clone(want)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(event), `"requestContext"`) {
			continue // the schedule's
		}
		delete(played, name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, drafts := start(t)
			result, err := drafts.Invoke(t.Context(), json.RawMessage(event))
			if err != nil {
				t.Fatal(err)
			}
			var reply struct {
				StatusCode int
				Body       string
			}
			if err := json.Unmarshal(result, &reply); err != nil {
				t.Fatal(err)
			}
			if w, known := want[name]; !known || reply.StatusCode != w.status || !strings.Contains(reply.Body, w.says) {
				t.Errorf("got %s", result)
			}
		})
	}
	for name := range played {
		t.Errorf("there is no event %s", name)
	}
}
