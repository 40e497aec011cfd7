package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const readSecret = "secretsmanager:GetSecretValue"

// start starts the function in a world that has every account's token and may open every account's switch.
func start(t *testing.T, options ...wechattest.Option) (*functiontest.World, *functiontest.Function) {
	t.Helper()
	world := functiontest.New(t, options...)
	world.Env["OPENABLE_ACCOUNTS"] = "*"
	for _, id := range []string{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted, wechattest.ExampleRevoked, wechattest.ExampleOwn} {
		world.StoreAccountToken(id)
	}
	return world, world.Start(wire)
}

func path(appID string) string { return "/accounts/" + appID + "/draft-switch" }

// said is a response about a switch, without its time.
type said struct {
	AppID   string `json:"appid"`
	IsOpen  any    `json:"is_open"`
	State   string `json:"state"`
	Changed any    `json:"changed"` // nil: not there
}

func answered(t *testing.T, world *functiontest.World, r functiontest.Response) (s said) {
	t.Helper()
	r.Decode(t, &s)
	var keys map[string]any
	r.Decode(t, &keys)
	text, _ := keys["checked_at"].(string)
	at, err := time.Parse("2006-01-02T15:04:05Z", text)
	if err != nil || world.Clock.Now().Sub(at).Abs() > time.Minute {
		t.Errorf("checked_at is %q", text)
	}
	if _, there := keys["is_open"]; !there || r.Header["Cache-Control"] != "no-store" {
		t.Errorf("got %+v", r)
	}
	return s
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, appID, raw string
		want             said
	}{
		{"closed", wechattest.ExampleClosed, "", said{IsOpen: false, State: "closed"}},
		{"open", wechattest.ExampleOpen, "", said{IsOpen: true, State: "open"}},
		{"own account", wechattest.ExampleOwn, "", said{IsOpen: false, State: "closed"}},
		{"no state", wechattest.ExampleClosed, `{"errcode":0,"errmsg":"ok"}`, said{State: "unknown"}},
		{"state null", wechattest.ExampleClosed, `{"errcode":0,"is_open":null}`, said{State: "unknown"}},
		{"state as a string, no errcode", wechattest.ExampleClosed, "\ufeff" + `{"is_open":"1"}`, said{IsOpen: true, State: "open"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			if c.raw != "" {
				world.WeChat.Fail(wechattest.PathSwitch, wechattest.Raw(c.raw))
			}
			r := f.HTTP(t.Context(), "GET", path(c.appID), "")
			c.want.AppID = c.appID
			if diff := cmp.Diff(c.want, answered(t, world, r)); r.Status != 200 || diff != "" {
				t.Errorf("status %d: %s", r.Status, diff)
			}
			if world.WeChat.Calls("") != 1 || world.AWS.Calls("") != 1 {
				t.Errorf("%d calls of WeChat, %d of AWS", world.WeChat.Calls(""), world.AWS.Calls(""))
			}
		})
	}
}

// TestCheckNeverOpensNorRecords, whatever it is sent and whatever it is answered.
func TestCheckNeverOpensNorRecords(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	id := wechattest.ExampleClosed
	for _, query := range []string{"", "?checkonly=0", "?checkonly=", "?open=1&confirm=" + id, "?access_token=x"} {
		for _, body := range []string{"", `{"confirm":"` + id + `"}`, `{"checkonly":0}`} {
			f.HTTP(t.Context(), "GET", path(id)+query, body)
		}
	}
	for _, fault := range []wechattest.Fault{wechattest.Refuse(-1), wechattest.Refuse(40001), wechattest.Drop(), wechattest.Status(500, ""), wechattest.Raw("")} {
		world.WeChat.Fail(wechattest.PathSwitch, fault)
		f.HTTP(t.Context(), "GET", path(id), "")
	}
	if world.WeChat.OpenCalls() != 0 {
		t.Errorf("%d opening calls", world.WeChat.OpenCalls())
	}
	if world.AWS.Calls("dynamodb:*") != 0 || len(world.Log.Lines(`"audit"`)) != 0 {
		t.Errorf("%d calls of DynamoDB, audit lines %v", world.AWS.Calls("dynamodb:*"), world.Log.Lines(`"audit"`))
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	ok := wechattest.ExampleClosed
	for _, bad := range []string{"wx1", "xx0000000000000001", "WX0000000000000001", "wx00000000000000012", "wx000000000000000%2F", "wx000000000000000-", "wx000000000000000%0A", ok + "%0A", "%20" + ok, "wx000000000000000é", "..%2F" + ok} {
		for method, body := range map[string]string{"GET": "", "POST": `{"confirm":"` + bad + `"}`} {
			r := f.HTTP(t.Context(), method, path(bad), body)
			if slug, _ := r.Problem(t); slug != "invalid-request" || r.Status != 400 {
				t.Errorf("%s %s: %s", method, bad, r.Body)
			}
		}
	}
	for _, bad := range []string{path(""), path(ok) + "/", path(ok) + "/x", "/accounts/" + ok, "/", "/draft-switch"} {
		r := f.HTTP(t.Context(), "POST", bad, `{"confirm":"`+ok+`"}`)
		if slug, _ := r.Problem(t); slug != "not-found" || r.Status != 404 {
			t.Errorf("%s: %s", bad, r.Body)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "HEAD", "PATCH"} {
		r := f.HTTP(t.Context(), method, path(ok), `{"confirm":"`+ok+`"}`)
		if slug, _ := r.Problem(t); slug != "method-not-allowed" || r.Header["Allow"] != "GET, POST" {
			t.Errorf("%s: %+v", method, r)
		}
	}
	if world.WeChat.Calls("") != 0 || world.AWS.Calls("") != 0 {
		t.Errorf("%d calls of WeChat, %d of AWS", world.WeChat.Calls(""), world.AWS.Calls(""))
	}
}

func TestACheckWithARefusedToken(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001, 42006} {
		world, f := start(t)
		id := wechattest.ExampleClosed
		f.HTTP(t.Context(), "GET", path(id), "")
		world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(code))
		world.StoreAccountToken(id)
		if r := f.HTTP(t.Context(), "GET", path(id), ""); r.Status != 200 {
			t.Errorf("%d: with another token stored: %s", code, r.Body)
		}
		if n := world.AWS.Calls(readSecret); n != 2 || len(world.AWS.Events()) != 0 {
			t.Errorf("%d: %d reads of the secret, events %v", code, n, world.AWS.Events())
		}
		world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(code).Always())
		if slug, _ := f.HTTP(t.Context(), "GET", path(id), "").Problem(t); slug != "token-rejected" {
			t.Errorf("%d: with the same token stored: %s", code, slug)
		}
		_, version, _ := world.AWS.Secret("wechat/draftbox/accounts/" + id)
		events := world.AWS.Events()
		if len(events) != 1 || string(events[0].Detail) != fmt.Sprintf(`{"appid":%q,"errcode":%d,"version_id":%q}`, id, code, version) {
			t.Errorf("%d: events %+v", code, events)
		}
	}
}

func TestTokensInDynamoDB(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := wechattest.ExampleClosed
	world.Env["ACCOUNT_TOKEN_STORE"], world.Env["OPENABLE_ACCOUNTS"] = "dynamodb", id
	storeInTable(world, id)
	f := world.Start(wire)
	if r := confirmed(t.Context(), f, id); r.Status != 200 || world.AWS.Calls("secretsmanager:*") != 0 {
		t.Errorf("%d calls of Secrets Manager: %s", world.AWS.Calls("secretsmanager:*"), r.Body)
	}
	if slug, _ := f.HTTP(t.Context(), "GET", path(wechattest.ExampleOpen), "").Problem(t); slug != "unknown-account" {
		t.Errorf("got %s", slug)
	}
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(40001).Always())
	f.HTTP(t.Context(), "GET", path(id), "")
	want := []string{fmt.Sprintf(`{"appid":%q,"errcode":40001,"version_id":"7"}`, id)}
	if diff := cmp.Diff(want, published(world, "Token Rejected")); diff != "" {
		t.Error(diff)
	}
}

// storeInTable stores a token that WeChat issues for the account in the token table.
func storeInTable(world *functiontest.World, appID string) {
	world.AWS.SetItem(functiontest.TokenTable, fields{"appid": appID, "access_token": world.WeChat.IssueAccountToken(appID), "version": 7})
}

// trouble is a fault during a check, and the problem that callers get.
type trouble struct {
	name   string
	appID  string // empty: the closed one
	cause  func(*functiontest.World)
	slug   string
	status int
}

// fails is a fault of WeChat.
func fails(f wechattest.Fault) func(*functiontest.World) {
	return func(w *functiontest.World) { w.WeChat.Fail(wechattest.PathSwitch, f.Always()) }
}

// awsFails is a fault of AWS.
func awsFails(f awstest.Fault) func(*functiontest.World) {
	return func(w *functiontest.World) { w.AWS.Fail(readSecret, f.Sticky()) }
}

// holds is a fault in the content of the account's secret.
func holds(text func(*functiontest.World) string) func(*functiontest.World) {
	return func(w *functiontest.World) {
		w.AWS.SetSecret("wechat/draftbox/accounts/"+wechattest.ExampleClosed, text(w))
	}
}

// retired has WeChat take the switch away, and the count of drafts with it.
func retired(how wechattest.Fault) func(*functiontest.World) {
	return func(w *functiontest.World) {
		w.WeChat.Fail(wechattest.PathSwitch, how.Always())
		w.WeChat.Fail(wechattest.PathDraftCount, how.Always())
	}
}

func troubles() []trouble {
	live := func(before, after string) func(*functiontest.World) {
		return holds(func(w *functiontest.World) string {
			return before + w.WeChat.LiveToken(wechattest.ExampleClosed) + after
		})
	}
	list := []trouble{
		{"not granted", wechattest.ExampleNotGranted, nil, "not-granted", 403},
		{"authorisation ended", wechattest.ExampleRevoked, nil, "not-granted", 403},
		{"not known", "wx0000000000000009", nil, "unknown-account", 404},
		{"retired by 404", "", retired(wechattest.Status(404, "")), "interface-retired", 410},
		{"retired by 410", "", retired(wechattest.Status(410, "")), "interface-retired", 410},
		{"retired by errcode", "", retired(wechattest.Refuse(48009)), "interface-retired", 410},
		{"platform's address", "", func(w *functiontest.World) { w.WeChat.RefuseAddress("203.0.113.7") }, "egress-ip-not-whitelisted", 502},
		{"own account's address", wechattest.ExampleOwn, func(w *functiontest.World) { w.WeChat.RefuseAddress("203.0.113.7") }, "egress-ip-not-whitelisted", 502},
		{"the platform's token", "", holds(func(w *functiontest.World) string { return w.WeChat.IssueComponentToken() }), "misconfigured", 500},
		{"busy", "", fails(wechattest.Refuse(-1)), "wechat-busy", 503},
		{"day quota", "", fails(wechattest.Refuse(45009)), "quota-exceeded", 429},
		{"minute quota", "", fails(wechattest.Refuse(45011)), "quota-exceeded", 429},
		{"unknown errcode", "", fails(wechattest.Refuse(99999)), "bad-upstream-answer", 502},
		{"drop", "", fails(wechattest.Drop()), "wechat-unreachable", 502},
		{"reset", "", fails(wechattest.Reset()), "wechat-unreachable", 502},
		{"refused connections", "", func(w *functiontest.World) { w.Env["WECHAT_API_BASE_URL"] = "http://127.0.0.1:1" }, "wechat-unreachable", 502},
		{"hang", "", fails(wechattest.Hang()), "wechat-timeout", 504},
		{"status 500", "", fails(wechattest.Status(500, "")), "bad-upstream-answer", 502},
		{"status 403", "", fails(wechattest.Status(403, "")), "bad-upstream-answer", 502},
		{"HTML", "", fails(wechattest.Raw("<html>")), "bad-upstream-answer", 502},
		{"empty", "", fails(wechattest.Raw("")), "bad-upstream-answer", 502},
		{"neither errcode nor state", "", fails(wechattest.Raw("{}")), "bad-upstream-answer", 502},
		{"cut short", "", fails(wechattest.CutShort()), "bad-upstream-answer", 502},
		{"huge", "", fails(wechattest.Huge()), "bad-upstream-answer", 502},
		{"tokens ended", "", func(w *functiontest.World) { w.WeChat.ExpireTokens() }, "token-rejected", 502},
		{"token past its expiry", "", live(`{"access_token":"`, `","expires_at":1}`), "token-rejected", 502},
		{"token has yet to be fetched", "", holds(func(*functiontest.World) string { return `{"refresh_token":"r"}` }), "token-rejected", 502},
		{"secret malformed", "", live(`{"access_token":"`, `",}`), "misconfigured", 500},
		{"secret denied", "", awsFails(awstest.Deny()), "misconfigured", 500},
		{"Secrets Manager throttles", "", awsFails(awstest.Throttle()), "aws-unavailable", 503},
		{"Secrets Manager fails", "", awsFails(awstest.Refuse("InternalServiceError", 500)), "aws-unavailable", 503},
		{"Secrets Manager hangs", "", awsFails(awstest.Hang()), "aws-unavailable", 503},
	}
	for slug, codes := range map[string][]int{
		"not-granted":               {42002, 42007, 43007, 48001, 50001, 61003, 61007, 61017, 48004, 50002},
		"misconfigured":             {61014, 61015, 40013, 40125, 61011},
		"egress-ip-not-whitelisted": {61004, 40164, 45035, 40090, 89501, 89502, 89503, 89504, 89505, 89506, 89507},
		"token-rejected":            {40001, 40014, 42001, 42006},
	} {
		for _, code := range codes {
			status := map[string]int{"not-granted": 403, "misconfigured": 500}[slug]
			if status == 0 {
				status = 502
			}
			list = append(list, trouble{fmt.Sprint("errcode ", code), "", fails(wechattest.Refuse(code)), slug, status})
		}
	}
	return list
}

// TestProblems: a check that fails is the same problem for both methods, and nothing is opened.
func TestProblems(t *testing.T) {
	t.Parallel()
	for _, c := range troubles() {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+c.name, func(t *testing.T) {
				t.Parallel()
				id := c.appID
				if id == "" {
					id = wechattest.ExampleClosed
				}
				world, _ := start(t)
				if c.cause != nil {
					c.cause(world)
				}
				f := world.Start(wire) // with the environment that the cause made
				ctx := t.Context()
				if strings.Contains(c.name, "hang") {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				r := f.HTTP(ctx, method, path(id), `{"confirm":"`+id+`"}`)
				if slug, _ := r.Problem(t); slug != c.slug || r.Status != c.status {
					t.Errorf("got %d %s", r.Status, r.Body)
				}
				if (r.Header["Retry-After"] != "") != (c.status == 429 || c.slug == "wechat-busy") {
					t.Errorf("Retry-After is %q", r.Header["Retry-After"])
				}
				if world.WeChat.OpenCalls() != 0 || world.Account(id) != nil {
					t.Errorf("%d opening calls, recorded %v", world.WeChat.OpenCalls(), world.Account(id))
				}
				if method == "POST" {
					checkAudit(t, world, id, c.slug)
				}
				if claim := claimed(world, id); claim != (method == "POST" && c.status == 504) {
					t.Errorf("claimed afterwards: %t", claim)
				}
			})
		}
	}
}

func TestEventFiles(t *testing.T) {
	t.Parallel()
	want := map[string]struct {
		status int
		says   string
		opens  int
	}{
		"check":                      {200, `"state":"closed"`, 0},
		"check-open":                 {200, `"state":"open"`, 0},
		"check-bad-appid":            {400, "invalid-request", 0},
		"open":                       {200, `"changed":true`, 1},
		"open-base64":                {200, `"changed":true`, 1},
		"open-already-open":          {200, `"changed":false`, 0},
		"open-unconfirmed":           {400, "confirmation-required", 0},
		"open-confirmed-for-another": {400, "confirmation-required", 0},
	}
	files, err := filepath.Glob("../../events/switch/*.json")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		there[name] = true
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(event), "/draft-switch") {
			continue // the schedule's, the queue's, the list of accounts
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			result, err := f.Invoke(t.Context(), json.RawMessage(event))
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
			if w, known := want[name]; !known || reply.StatusCode != w.status || !strings.Contains(reply.Body, w.says) || world.WeChat.OpenCalls() != w.opens {
				t.Errorf("%d opening calls, got %s", world.WeChat.OpenCalls(), result)
			}
		})
	}
	for name := range want {
		if !there[name] {
			t.Errorf("there is no event %s", name)
		}
	}
}

// An empty secret is the operator's mistake, and the problem names the secret.
func TestSecretWithoutAnything(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"access_token":""}`} {
		world := functiontest.New(t)
		const name = "wechat/draftbox/accounts/" + wechattest.ExampleClosed
		world.AWS.SetSecret(name, text)
		r := world.Start(wire).HTTP(t.Context(), "GET", "/accounts/"+wechattest.ExampleClosed+"/draft-switch", "")
		slug, problem := r.Problem(t)
		if r.Status != 500 || slug != "misconfigured" || !strings.Contains(fmt.Sprint(problem["detail"], problem["action"]), name) {
			t.Errorf("%s: answer %d %s", text, r.Status, r.Body)
		}
		if len(world.AWS.Events()) > 0 || world.WeChat.Calls("") > 0 {
			t.Errorf("%s: %d events, %d calls of WeChat", text, len(world.AWS.Events()), world.WeChat.Calls(""))
		}
	}
}
