package wechattest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

// clock is moved by a test.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// wechat is a simulated WeChat with an address.
type wechat struct {
	*wechattest.Server
	t     *testing.T
	url   string
	clock *clock
}

func start(t *testing.T, opts ...wechattest.Option) *wechat {
	t.Helper()
	c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := wechattest.New(append([]wechattest.Option{wechattest.WithClock(c.now)}, opts...)...)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &wechat{s, t, h.URL, c}
}

type object = map[string]any

// do sends a request and returns status and body.
func (w *wechat) do(method, path string, query url.Values, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// call sends a request and decodes its JSON response. A body that is not a string is sent as JSON.
func (w *wechat) call(method, path, token string, body any, more ...string) object {
	w.t.Helper()
	query := url.Values{}
	if token != "" {
		query.Set("access_token", token)
	}
	for i := 0; i < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	text, is := body.(string)
	if !is && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		text = string(b)
	}
	status, answer := w.do(method, path, query, text)
	var got object
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
		w.t.Fatalf("%s %s: status %d, %q", method, path, status, answer)
	}
	return got
}

func (w *wechat) get(path, token string, more ...string) object {
	w.t.Helper()
	return w.call(http.MethodGet, path, token, nil, more...)
}

func (w *wechat) post(path, token string, body any, more ...string) object {
	w.t.Helper()
	return w.call(http.MethodPost, path, token, body, more...)
}

// errcode is a response's errcode, or 0.
func errcode(answer object) int {
	n, _ := answer["errcode"].(float64)
	return int(n)
}

func wantCode(t *testing.T, what string, answer object, want int) {
	t.Helper()
	if got := errcode(answer); got != want {
		t.Errorf("%s: errcode %d, want %d (%v)", what, got, want, answer["errmsg"])
	}
}

func TestUnknownPathIsAPage(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, path := range []string{"/", "/wxa/gettemplatedraftlists", "/cgi-bin/clear_quota", "/_sim/nothing"} {
		status, body := w.do(http.MethodGet, path, nil, "")
		if status != http.StatusNotFound || json.Valid([]byte(body)) {
			t.Errorf("%s: status %d, %q; want a page with 404", path, status, body)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	component, account := w.IssueComponentToken(), w.IssueAccountToken(wechattest.ExampleClosed)
	wantCode(t, "template list by POST", w.post(wechattest.PathTemplateList, component, nil), 43001)
	wantCode(t, "draft list by POST", w.post(wechattest.PathDraftList, component, nil), 43001)
	wantCode(t, "switch by GET", w.get(wechattest.PathSwitch, account, "checkonly", "1"), 43002)
	wantCode(t, "add by GET", w.get(wechattest.PathAddToTemplate, component), 43002)
	if a, _ := w.Account(wechattest.ExampleClosed); a.Open {
		t.Error("a GET opened the switch")
	}
}

func TestErrmsgEndsInRid(t *testing.T) {
	t.Parallel()
	w := start(t)
	shape := regexp.MustCompile(` rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)
	first := w.get(wechattest.PathDraftList, "")["errmsg"].(string)
	second := w.get(wechattest.PathDraftList, "")["errmsg"].(string)
	if !shape.MatchString(first) || first == second {
		t.Errorf("errmsgs %q and %q: want different rids at their ends", first, second)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	token := w.IssueComponentToken()
	for _, c := range []struct {
		name, body string
		want       int
	}{
		{"nothing", "", 47001},
		{"no JSON", "{", 47001},
		{"no object", "[4]", 47001},
		{"null", "null", 47001},
		{"id as a string", `{"draft_id":"4"}`, 47001},
		{"no id", `{}`, 47001},
		{"escape", `{"draft_id":4,"note":"\u4f60"}`, 47002},
		{"escaped backslash", `{"draft_id":99,"note":"\\u4f60"}`, 85064},
		{"good", `{"draft_id":4}`, 0},
	} {
		wantCode(t, c.name, w.post(wechattest.PathAddToTemplate, token, c.body), c.want)
	}
}

func TestWhitelist(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithRefusedAddress("203.0.113.7"))
	platform := w.Platform()
	fetch := object{"component_appid": platform.AppID, "component_appsecret": platform.AppSecret, "component_verify_ticket": w.NewTicket()}
	stable := object{"grant_type": "client_credential", "appid": wechattest.ExampleOwn, "secret": wechattest.ExampleOwnSecret}
	const ofPlatform, ofAccount = "access clientip is not registered requestIP: 203.0.113.7 rid: ", "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: "
	for _, c := range []struct {
		name   string
		answer object
		code   int
		msg    string
	}{
		{"drafts", w.get(wechattest.PathDraftList, w.IssueComponentToken()), 61004, ofPlatform},
		{"component token", w.post(wechattest.PathComponentToken, "", fetch), 61004, ofPlatform},
		{"authorizer's switch", w.post(wechattest.PathSwitch, w.IssueAccountToken(wechattest.ExampleClosed), nil), 61004, ofPlatform},
		{"own account's switch", w.post(wechattest.PathSwitch, w.IssueAccountToken(wechattest.ExampleOwn), nil), 40164, ofAccount},
		{"stable token", w.post(wechattest.PathStableToken, "", stable), 40164, ofAccount},
	} {
		wantCode(t, c.name, c.answer, c.code)
		if msg := c.answer["errmsg"].(string); !strings.HasPrefix(msg, c.msg) {
			t.Errorf("%s: errmsg %q", c.name, msg)
		}
	}
	if a, _ := w.Account(wechattest.ExampleClosed); a.Open {
		t.Error("a refused call opened the switch")
	}
	w.RefuseAddress("")
	wantCode(t, "once it is in", w.post(wechattest.PathComponentToken, "", fetch), 0)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithDailyLimit(wechattest.PathDraftList, 2))
	token := w.IssueComponentToken()
	quota := func() any {
		return w.post(wechattest.PathQuota, token, object{"cgi_path": wechattest.PathDraftList})["quota"]
	}
	for i, want := range []int{0, 0, 45009} {
		wantCode(t, fmt.Sprint("call ", i), w.get(wechattest.PathDraftList, token), want)
	}
	if diff := cmp.Diff(object{"daily_limit": 2.0, "used": 2.0, "remain": 0.0}, quota()); diff != "" {
		t.Error(diff)
	}
	// It is 11:04:05 in Beijing: the day ends in 12:55:55.
	w.clock.advance(12*time.Hour + 55*time.Minute + 54*time.Second)
	token = w.IssueComponentToken()
	wantCode(t, "before midnight", w.get(wechattest.PathDraftList, token), 45009)
	w.clock.advance(time.Second)
	wantCode(t, "at midnight", w.get(wechattest.PathDraftList, token), 0)
	if diff := cmp.Diff(object{"daily_limit": 2.0, "used": 1.0, "remain": 1.0}, quota()); diff != "" {
		t.Error(diff)
	}
	account := w.IssueAccountToken(wechattest.ExampleClosed)
	for _, c := range []struct {
		token, path string
		want        int
	}{
		{token, "wxa/gettemplatedraftlist", 76003},
		{token, "/wxa/nothing", 76021},
		{token, wechattest.PathSwitch, 76022},
		{account, wechattest.PathDraftList, 76022},
		{account, wechattest.PathSwitch, 0},
	} {
		wantCode(t, c.path, w.post(wechattest.PathQuota, c.token, object{"cgi_path": c.path}), c.want)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithRecordedRequests(3))
	token := w.IssueAccountToken(wechattest.ExampleClosed)
	for range 2 {
		w.post(wechattest.PathSwitch, token, `{"n":1}`, "checkonly", "1")
	}
	for range 2 {
		w.get(wechattest.PathDraftList, "nobody's")
	}
	want := []wechattest.Request{
		{Time: w.clock.now(), Method: "POST", Path: wechattest.PathSwitch, Host: strings.TrimPrefix(w.url, "http://"), RawQuery: "access_token=" + token + "&checkonly=1", Body: `{"n":1}`, AppID: wechattest.ExampleClosed},
	}
	if diff := cmp.Diff(want, w.Requests(wechattest.PathSwitch)); diff != "" {
		t.Error(diff)
	}
	if n := len(w.Requests("")); n != 3 {
		t.Errorf("%d requests kept, want the newest 3", n)
	}
	if n, m := w.Calls(wechattest.PathSwitch), w.Calls(""); n != 2 || m != 4 {
		t.Errorf("%d and %d calls, want 2 and 4", n, m)
	}
}

func TestPlatformAndContentType(t *testing.T) {
	t.Parallel()
	p := wechattest.Platform{AppID: "wx134c8103faa5a59e", AppSecret: "s", MessageToken: "AAAAA", EncodingAESKey: strings.Repeat("A", 43)}
	for want, opts := range map[string][]wechattest.Option{
		"text/plain":       {wechattest.WithPlatform(p)},
		"application/json": {wechattest.WithPlatform(p), wechattest.WithContentType("application/json")},
	} {
		w := start(t, opts...)
		if w.Platform() != p {
			t.Error("another platform")
		}
		wantCode(t, "fetch", w.fetchComponent(w.NewTicket()), 0)
		resp, err := http.Get(w.url + wechattest.PathDraftList + "?access_token=" + w.LiveToken(""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("Content-Type %q, want %q", got, want)
		}
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithLatency(30*time.Millisecond))
	before := time.Now()
	w.get(wechattest.PathDraftList, "")
	if took := time.Since(before); took < 30*time.Millisecond {
		t.Errorf("answered after %s", took)
	}
}

// TestConcurrency is for the race detector, and checks that no update is lost.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithTemplateLimit(1000))
	token := w.IssueComponentToken()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				w.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: fmt.Sprintf("wx%016d", i)})
				w.post(wechattest.PathAddToTemplate, token, `{"draft_id":4}`)
				w.get(wechattest.PathDraftList, token)
				w.KickToken(wechattest.ExampleClosed)
				w.do(http.MethodGet, "/_sim/state", nil, "")
			}
		})
	}
	wg.Wait()
	if n := len(w.Templates()); n != 80 {
		t.Errorf("%d templates, want 80", n)
	}
	if n := len(w.Drafts()); n != 10 {
		t.Errorf("%d drafts, want 10", n)
	}
}
