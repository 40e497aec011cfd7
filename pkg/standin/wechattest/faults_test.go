package wechattest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

// meet opens a switch and returns the client's result, and whether the switch is open afterwards.
func (w *wechat) meet(ctx context.Context, faults ...wechattest.Fault) (resp *http.Response, body []byte, opened bool, err error) {
	w.t.Helper()
	w.AddAccount(wechattest.Account{AppID: wechattest.ExampleClosed, Authorized: true, Granted: true})
	w.Fail(wechattest.PathSwitch, faults...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+wechattest.PathSwitch+"?access_token="+w.IssueAccountToken(wechattest.ExampleClosed), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // a connection of its own, so that net/http repeats nothing
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err = client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
	}
	a, _ := w.Account(wechattest.ExampleClosed)
	return resp, body, a.Open, err
}

func TestFaultsAsAClientSeesThem(t *testing.T) {
	t.Parallel()
	const done = `{"errcode":0,"errmsg":"ok"}`
	answers := func(status int, want string) func(*http.Response, []byte, error) bool {
		return func(r *http.Response, b []byte, err error) bool {
			return err == nil && r.StatusCode == status && strings.HasPrefix(string(b), want)
		}
	}
	fails := func(want error) func(*http.Response, []byte, error) bool {
		return func(r *http.Response, _ []byte, err error) bool { return r == nil && errors.Is(err, want) }
	}
	for _, c := range []struct {
		name   string
		fault  wechattest.Fault
		seen   func(*http.Response, []byte, error) bool
		opened bool
	}{
		{"refuse", wechattest.Refuse(-1), answers(200, `{"errcode":-1,"errmsg":"system error rid: `), false},
		{"refuse with words", wechattest.Refuse(45011, "slowly"), answers(200, `{"errcode":45011,"errmsg":"slowly rid: `), false},
		{"refuse after", wechattest.Refuse(-1).After(), answers(200, `{"errcode":-1,`), true},
		{"status", wechattest.Status(502, ""), answers(502, "<html>"), false},
		{"status with a body", wechattest.Status(500, done), answers(500, done), false},
		{"raw, nothing", wechattest.Raw(""), func(r *http.Response, b []byte, err error) bool {
			return err == nil && r.StatusCode == 200 && len(b) == 0
		}, false},
		{"raw, control characters", wechattest.Raw("{\"a\":\"\x01\n\"}"), answers(200, "{\"a\":\"\x01\n\"}"), false},
		{"drop", wechattest.Drop(), fails(io.EOF), false},
		{"drop after", wechattest.Drop().After(), fails(io.EOF), true},
		{"reset", wechattest.Reset(), fails(syscall.ECONNRESET), false},
		{"reset after", wechattest.Reset().After(), fails(syscall.ECONNRESET), true},
		{"hang", wechattest.Hang(), fails(context.DeadlineExceeded), false},
		{"hang after", wechattest.Hang().After(), fails(context.DeadlineExceeded), true},
		{"redirect", wechattest.Redirect("http://127.0.0.1:1/x"), func(r *http.Response, _ []byte, err error) bool {
			return err == nil && r.StatusCode == 302 && strings.HasPrefix(r.Header.Get("Location"), "http://127.0.0.1:1/x?access_token=")
		}, false},
		{"pass", wechattest.Pass(), answers(200, done), true},
		{"late", wechattest.Late(time.Minute), fails(context.DeadlineExceeded), true},
		{"a delay that is too long", wechattest.Pass().Delayed(time.Minute), fails(context.DeadlineExceeded), false},
		{"BOM", wechattest.Rewrite(wechattest.WithBOM), answers(200, "\xef\xbb\xbf"+done), true},
		{"half", wechattest.Rewrite(wechattest.HalfOf), func(r *http.Response, b []byte, err error) bool {
			return err == nil && string(b) == done[:len(done)/2]
		}, true},
		{"cut short", wechattest.CutShort(), func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && string(b) == done[:len(done)/2] && errors.Is(err, io.ErrUnexpectedEOF)
		}, true},
		{"drip", wechattest.Drip(time.Millisecond), answers(200, done), true},
		{"a drip that is too slow", wechattest.Drip(time.Minute), func(r *http.Response, b []byte, err error) bool {
			return r.StatusCode == 200 && len(b) < len(done) && errors.Is(err, context.DeadlineExceeded)
		}, true},
		{"huge", wechattest.Huge(), func(r *http.Response, b []byte, err error) bool {
			return err == nil && len(b) > 8<<20 && json.Valid(b) && bytes.HasSuffix(b, []byte(done))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			limit := 20 * time.Second
			if strings.HasPrefix(c.name, "hang") || c.name == "late" || strings.HasPrefix(c.name, "a d") {
				limit = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			resp, body, opened, err := w.meet(ctx, c.fault)
			if !c.seen(resp, body, err) {
				t.Errorf("the client saw %+v, %.100q, %v", resp, body, err)
			}
			if opened != c.opened {
				t.Errorf("opened: %t, want %t", opened, c.opened)
			}
			if n := w.OpenCalls(); n != 1 {
				t.Errorf("%d opening calls, want 1", n)
			}
		})
	}
}

func TestDelayedFault(t *testing.T) {
	t.Parallel()
	w := start(t)
	before := time.Now()
	_, body, _, _ := w.meet(t.Context(), wechattest.Refuse(-1).Delayed(30*time.Millisecond))
	if took := time.Since(before); took < 30*time.Millisecond || !strings.Contains(string(body), "-1") {
		t.Errorf("after %s: %s", took, body)
	}
}

func TestFaultsComeInOrder(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	token := w.IssueComponentToken()
	w.Fail(wechattest.PathDraftList, wechattest.Refuse(-1).Times(2), wechattest.Pass(), wechattest.Refuse(45011).Always())
	w.Fail("", wechattest.Refuse(45009))
	for i, want := range []int{-1, -1, 0, 45011, 45011} {
		if got := errcode(w.get(wechattest.PathDraftList, token)); got != want {
			t.Errorf("request %d: errcode %d, want %d", i, got, want)
		}
	}
	wantCode(t, "another path", w.get(wechattest.PathTemplateList, token), 45009)
	wantCode(t, "another path again", w.get(wechattest.PathTemplateList, token), 0)
	w.Heal(wechattest.PathDraftList)
	wantCode(t, "healed", w.get(wechattest.PathDraftList, token), 0)
	w.Fail("", wechattest.Refuse(-1).Always())
	w.Heal("")
	wantCode(t, "all healed", w.get(wechattest.PathDraftList, token), 0)
}

func TestFaultsForSomeRequests(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	closed, open := w.IssueAccountToken(wechattest.ExampleClosed), w.IssueAccountToken(wechattest.ExampleOpen)
	w.Fail(wechattest.PathSwitch, wechattest.Refuse(-1).When(wechattest.Request.Opens), wechattest.Refuse(45011).For(wechattest.ExampleOpen).When(wechattest.Request.Checks))
	wantCode(t, "check of another account", w.post(wechattest.PathSwitch, closed, nil, "checkonly", "1"), 0)
	wantCode(t, "opening by the account whose check is to fail", w.post(wechattest.PathSwitch, open, nil), -1)
	wantCode(t, "check", w.post(wechattest.PathSwitch, open, nil, "checkonly", "1"), 45011)
	wantCode(t, "opening, after the fault was met", w.post(wechattest.PathSwitch, closed, nil), 0)
}
