package wechattest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestSwitch(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithOpeningLag(2))
	w.AddAccount(wechattest.Account{AppID: "wx0000000000000009", Authorized: true, Granted: true, MiniProgram: true})
	check := func(appid string) object {
		t.Helper()
		return w.post(wechattest.PathSwitch, w.IssueAccountToken(appid), nil, "checkonly", "1")
	}
	closed, open := object{"errcode": 0.0, "errmsg": "ok", "is_open": 0.0}, object{"errcode": 0.0, "errmsg": "ok", "is_open": 1.0}
	for appid, want := range map[string]object{wechattest.ExampleClosed: closed, wechattest.ExampleOpen: open, wechattest.ExampleOwn: closed} {
		if diff := cmp.Diff(want, check(appid)); diff != "" {
			t.Errorf("%s: %s", appid, diff)
		}
	}
	wantCode(t, "not granted", check(wechattest.ExampleNotGranted), 61007)
	wantCode(t, "revoked", check(wechattest.ExampleRevoked), 61003)
	wantCode(t, "mini program", check("wx0000000000000009"), 48001)
	wantCode(t, "the platform's token", w.post(wechattest.PathSwitch, w.IssueComponentToken(), nil, "checkonly", "1"), 61015)
	if n := w.OpenCalls(); n != 0 {
		t.Fatalf("%d calls opened a switch, want none", n)
	}

	if diff := cmp.Diff(object{"errcode": 0.0, "errmsg": "ok"}, w.post(wechattest.PathSwitch, w.IssueAccountToken(wechattest.ExampleClosed), nil)); diff != "" {
		t.Error(diff)
	}
	if a, _ := w.Account(wechattest.ExampleClosed); !a.Open {
		t.Error("the switch is not open")
	}
	for i, want := range []object{closed, closed, open, open} {
		if diff := cmp.Diff(want, check(wechattest.ExampleClosed)); diff != "" {
			t.Errorf("check %d after the opening: %s", i, diff)
		}
	}
	if n := w.OpenCalls(); n != 1 {
		t.Errorf("%d calls opened a switch, want 1", n)
	}
}

// TestWhatOpens tries every wrong form of checkonly.
func TestWhatOpens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query, body string
	}{
		{"nothing", "", ""},
		{"in the body", "", `{"checkonly":1}`},
		{"form in the body", "", "checkonly=1"},
		{"0", "&checkonly=0", ""},
		{"empty", "&checkonly=", ""},
		{"true", "&checkonly=true", ""},
		{"capitals", "&CheckOnly=1", ""},
		{"1 and 0", "&checkonly=1&checkonly=0", ""},
		{"broken query", "&checkonly=1&x=%zz", ""},
	} {
		w := start(t, wechattest.WithExample())
		token := w.IssueAccountToken(wechattest.ExampleClosed)
		resp, err := http.Post(w.url+wechattest.PathSwitch+"?access_token="+token+c.query, "", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if a, _ := w.Account(wechattest.ExampleClosed); !a.Open {
			t.Errorf("%s: the switch is closed", c.name)
		}
		if n := w.OpenCalls(); n != 1 {
			t.Errorf("%s: %d opening calls counted, want 1", c.name, n)
		}
	}
}

func TestRetiredSwitch(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithRetiredSwitch(200, 48009))
	token := w.IssueAccountToken(wechattest.ExampleClosed)
	wantCode(t, "retired", w.post(wechattest.PathSwitch, token, nil), 48009)
	w.RetireSwitch(404, 0)
	if status, _ := w.do(http.MethodPost, wechattest.PathSwitch, url.Values{"access_token": {token}}, ""); status != 404 {
		t.Errorf("status %d, want 404", status)
	}
	if a, _ := w.Account(wechattest.ExampleClosed); a.Open {
		t.Error("a retired switch opened")
	}
}
