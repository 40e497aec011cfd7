package wechattest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestAdmin(t *testing.T) {
	t.Parallel()
	const appid = "wx00000000000000aa"
	w := start(t, wechattest.WithExample())
	callbackURL, pushes := receive(t, w.Platform(), success)

	w.post("/_sim/callback", "", object{"url": callbackURL})
	if got := w.post("/_sim/ticket", "", nil); got["answer"] != "success" {
		t.Errorf("ticket: %v", got)
	}
	if in := <-pushes; in.ComponentVerifyTicket != w.Ticket() {
		t.Error("another ticket was pushed")
	}
	if diff := cmp.Diff(object{"draft_id": 5.0}, w.post("/_sim/drafts", "", object{"user_version": "3", "source_miniprogram_appid": appid, "colour": "red"})); diff != "" {
		t.Error(diff)
	}
	w.post("/_sim/accounts", "", object{"appid": appid, "name": "A", "authorized": true, "granted": true, "refresh_token": "refreshtoken@@@a"})
	token := w.post("/_sim/tokens", "", object{"appid": appid})["access_token"].(string)
	wantCode(t, "switch", w.post(wechattest.PathSwitch, token, nil), 0)
	component := w.post("/_sim/tokens", "", object{"appid": ""})["access_token"].(string)
	w.post(wechattest.PathAddToTemplate, component, `{"draft_id":5}`)

	w.post("/_sim/faults", "", object{"path": wechattest.PathSwitch, "kind": "refuse", "errcode": -1, "times": 2, "appid": appid, "only": "check"})
	wantCode(t, "fault", w.post(wechattest.PathSwitch, token, nil, "checkonly", "1"), -1)

	_, text := w.do(http.MethodGet, "/_sim/state", nil, "")
	var state object
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	// New secrets come after the state was written; the ones it may hold are all known by now.
	for _, secret := range w.Secrets() {
		if strings.Contains(text, secret) {
			t.Errorf("the state shows the secret %s", secret)
		}
	}
	for key, want := range map[string]any{
		"component_appid": w.Platform().AppID, "ticket_age_seconds": 0.0, "callback": true, "open_calls": 1.0, "pushing": false,
		"faults": []any{object{"path": wechattest.PathSwitch, "kind": "refuse", "times": 1.0}},
		"tokens": []any{
			object{"kind": "component", "appid": "", "expires_at": w.clock.now().Add(2 * time.Hour).Format(time.RFC3339), "superseded": false},
			object{"kind": "authorizer", "appid": appid, "expires_at": w.clock.now().Add(2 * time.Hour).Format(time.RFC3339), "superseded": false},
		},
	} {
		if diff := cmp.Diff(want, state[key]); diff != "" {
			t.Errorf("state: %s: %s", key, diff)
		}
	}
	if last := state["drafts"].([]any)[2].(object); last["colour"] != "red" || last["draft_id"] != 5.0 {
		t.Errorf("state: draft %v", last)
	}
	if n := len(state["templates"].([]any)); n != 1 {
		t.Errorf("state: %d templates", n)
	}
	want := object{"appid": appid, "name": "A", "own": false, "authorized": true, "granted": true, "mini_program": false, "open": true}
	if diff := cmp.Diff(want, state["accounts"].([]any)[5]); diff != "" {
		t.Error(diff)
	}

	if status, _ := w.do(http.MethodDelete, "/_sim/faults", url.Values{"path": {wechattest.PathSwitch}}, ""); status != 200 {
		t.Errorf("DELETE faults: status %d", status)
	}
	wantCode(t, "healed", w.post(wechattest.PathSwitch, token, nil, "checkonly", "1"), 0)
	w.post("/_sim/whitelist", "", object{"refused_ip": "203.0.113.7"})
	wantCode(t, "whitelist", w.get(wechattest.PathDraftList, component), 61004)
	w.post("/_sim/whitelist", "", nil)
	w.post("/_sim/tokens/expire", "", nil)
	wantCode(t, "expired", w.get(wechattest.PathDraftList, component), 42001)
	w.post("/_sim/unauthorize", "", object{"appid": appid})
	w.post("/_sim/authorize", "", object{"appid": appid})
	if a, b := <-pushes, <-pushes; a.InfoType != "unauthorized" || b.InfoType != "authorized" {
		t.Errorf("pushes %s and %s", a.InfoType, b.InfoType)
	}
	for path, want := range map[string]int{"/_sim/drafts/5": 200, "/_sim/drafts/6": 400, "/_sim/drafts/x": 400} {
		if status, body := w.do(http.MethodDelete, path, nil, ""); status != want {
			t.Errorf("DELETE %s: status %d, %s", path, status, body)
		}
	}
	if left := w.Drafts(); len(left) != 2 || left[1].DraftID != 4 {
		t.Errorf("left in the box: %v", left)
	}
}

func TestAdminShowsNoSecretOfARequest(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	w.fetchComponent(w.NewTicket())
	a, _ := w.Account(wechattest.ExampleClosed)
	w.refresh(a.AppID, a.RefreshToken)
	w.stable()
	w.post(wechattest.PathSwitch, w.LiveToken(a.AppID), nil, "checkonly", "1")
	w.post(wechattest.PathQueryAuth, w.LiveToken(""), object{"component_appid": w.Platform().AppID, "authorization_code": w.NewCode(a.AppID)})
	_, text := w.do(http.MethodGet, "/_sim/requests", nil, "")
	for _, secret := range append(w.Secrets(), url.QueryEscape(w.Ticket())) {
		if strings.Contains(text, secret) {
			t.Errorf("shows the secret %s", secret)
		}
	}
	_, text = w.do(http.MethodGet, "/_sim/requests", url.Values{"path": {wechattest.PathSwitch}}, "")
	var got []object
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := []object{{"time": "2026-01-02T03:04:05Z", "method": "POST", "path": wechattest.PathSwitch, "query": "access_token=REDACTED&checkonly=1", "body": "", "appid": a.AppID}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAdminFaultKinds(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	token := w.IssueComponentToken()
	for _, c := range []struct {
		fault  object
		status int
		start  string
	}{
		{object{"kind": "status", "status": 503}, 503, "<html>"},
		{object{"kind": "raw", "body": "x"}, 200, "x"},
		{object{"kind": "status", "status": 502, "host": strings.TrimPrefix(w.url, "http://")}, 502, "<html>"},
		{object{"kind": "gbk"}, 200, `{"errcode":0`},
		{object{"kind": "bom"}, 200, "\xef\xbb\xbf{"},
		{object{"kind": "refuse", "errcode": 61004, "errmsg": "not you", "delay": "1ms", "after": true}, 200, `{"errcode":61004,"errmsg":"not you rid`},
		{object{"kind": "late", "every": "1ms"}, 200, `{"errcode":0`},
		{object{"kind": "drip", "every": "1us"}, 200, `{"errcode":0`},
	} {
		c.fault["path"] = wechattest.PathDraftList
		w.post("/_sim/faults", "", c.fault)
		status, body := w.do(http.MethodGet, wechattest.PathDraftList, url.Values{"access_token": {token}}, "")
		if status != c.status || !strings.HasPrefix(body, c.start) {
			t.Errorf("%v: status %d, %.80q", c.fault, status, body)
		}
	}
}

func TestAdminRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct{ path, body, names string }{
		{"drafts", `{`, "body"},
		{"drafts", `{"draft_id":"x"}`, "draft_id"},
		{"accounts", `{}`, "appid"},
		{"accounts", `{"appid":"wx","colour":"red"}`, "colour"},
		{"faults", `{"kind":"x"}`, "kind"},
		{"faults", `{"kind":"status","status":7}`, "status"},
		{"faults", `{"kind":"pass","delay":"x"}`, "delay"},
		{"faults", `{"kind":"pass","only":"x"}`, "only"},
		{"tokens", `{"appid":"wx"}`, "wx"},
		{"article-drafts", `{"appid":"wx"}`, "wx"},
		{"authorize", `{}`, "appid"},
		{"unauthorize", `{"appid":"wx"}`, "wx"},
	} {
		status, body := w.do(http.MethodPost, "/_sim/"+c.path, nil, c.body)
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 400 || !strings.Contains(got.Error, c.names) {
			t.Errorf("%s %s: status %d, %s", c.path, c.body, status, body)
		}
	}
}
