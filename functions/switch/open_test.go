package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// confirmed opens an account's switch with the confirmation that takes.
func confirmed(ctx context.Context, f *functiontest.Function, appID string) functiontest.Response {
	return f.HTTP(ctx, "POST", path(appID), `{"confirm":"`+appID+`"}`)
}

// audits are the audit lines, without their time.
func audits(t *testing.T, world *functiontest.World) (lines []map[string]any) {
	t.Helper()
	for _, text := range world.Log.Lines(`"audit"`) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"time", "level", "msg"} {
			delete(line, key)
		}
		lines = append(lines, line)
	}
	return lines
}

// checkAudit fails if the attempt didn't leave exactly one audit line with the outcome.
func checkAudit(t *testing.T, world *functiontest.World, appID, outcome string) {
	t.Helper()
	want := []map[string]any{{"audit": "draft-switch-open", "appid": appID, "outcome": outcome,
		"caller": "arn:aws:iam::123456789012:user/ci", "source_ip": "192.0.2.1", "request_id": "request-1"}}
	if diff := cmp.Diff(want, audits(t, world)); diff != "" {
		t.Errorf("audit: %s", diff)
	}
}

// claimed reports whether an opening of the account is under way, as far as the table knows.
func claimed(world *functiontest.World, appID string) bool {
	_, ok := world.AWS.Item(functiontest.StateTable, "opening", appID)
	return ok
}

// published are the details of the events of a type.
func published(world *functiontest.World, detailType string) (details []string) {
	for _, e := range world.AWS.Events() {
		if e.DetailType == detailType {
			details = append(details, string(e.Detail))
		}
	}
	return details
}

func TestOpeningNeedsAConfirmation(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for _, body := range []string{
		"", " ", "{}", "null", "[]", `"` + id + `"`, "not JSON", `{"confirm":"` + id + `"`, `{"confirm":"` + id + `"}}`,
		`{"confirm":null}`, `{"confirm":true}`, `{"confirm":["` + id + `"]}`, `{"confirm":" ` + id + `"}`, `{"confirm":"` + strings.ToUpper(id) + `"}`,
		`{"confirm":"` + wechattest.ExampleOpen + `"}`, `{"confirm":"*"}`, `{"confirmed":"` + id + `"}`, "confirm=" + id,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			r := f.HTTP(t.Context(), "POST", path(id), body)
			if slug, _ := r.Problem(t); slug != "confirmation-required" || r.Status != 400 {
				t.Errorf("got %s", r.Body)
			}
			if world.WeChat.Calls("") != 0 || world.AWS.Calls("") != 0 {
				t.Errorf("%d calls of WeChat, %d of AWS", world.WeChat.Calls(""), world.AWS.Calls(""))
			}
			checkAudit(t, world, id, "confirmation-required")
		})
	}
}

func TestOpeningHasToBeAllowed(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for openable, status := range map[string]int{"": 403, wechattest.ExampleOpen: 403, id: 200, wechattest.ExampleOpen + ", " + id: 200, "*": 200} {
		t.Run(openable, func(t *testing.T) {
			t.Parallel()
			world, _ := start(t)
			world.Env["OPENABLE_ACCOUNTS"] = openable
			f := world.Start(wire)
			r := confirmed(t.Context(), f, id)
			if r.Status != status {
				t.Errorf("got %s", r.Body)
			}
			if status == 200 {
				return
			}
			if slug, _ := r.Problem(t); slug != "opening-not-allowed" || world.WeChat.Calls("") != 0 || world.AWS.Calls("") != 0 {
				t.Errorf("%d calls of WeChat, %d of AWS, got %s", world.WeChat.Calls(""), world.AWS.Calls(""), r.Body)
			}
			checkAudit(t, world, id, "opening-not-allowed")
			if slug, _ := f.HTTP(t.Context(), "POST", path(id), "{}").Problem(t); slug != "confirmation-required" {
				t.Errorf("unconfirmed it is %s", slug)
			}
		})
	}
}

// Conditions of faults: the check before the opening has passed by then.
var (
	opens  = wechattest.Request.Opens
	checks = wechattest.Request.Checks
)

// first applies the fault to the second check only.
func secondCheck(f wechattest.Fault) []wechattest.Fault {
	return []wechattest.Fault{wechattest.Pass().When(checks), f.Always().When(checks)}
}

// TestOpening goes through what the first check, the opening call and the check after it can say.
func TestOpening(t *testing.T) {
	t.Parallel()
	const lost504 = "wechat-timeout 504"
	type row struct {
		name    string
		appID   string // empty: the closed one
		faults  []wechattest.Fault
		options []wechattest.Option
		want    string // "STATE IS_OPEN CHANGED STATUS", or "SLUG STATUS"
		opens   int
		outcome string // of the audit line; empty: the slug
		known   string // draft_switch in the account's item afterwards
		event   bool
	}
	opened := func(name string, f wechattest.Fault) row {
		return row{name: name, faults: []wechattest.Fault{f.When(opens)}, want: "open true true 200", opens: 1, outcome: "opened", known: "open", event: true}
	}
	lost := func(name string, f wechattest.Fault, more ...wechattest.Fault) row {
		return row{name: name, faults: append([]wechattest.Fault{f.When(opens)}, more...), want: lost504, opens: 1}
	}
	refused := func(code int, want string) row {
		return row{name: fmt.Sprint("opening refused with ", code), faults: []wechattest.Fault{wechattest.Refuse(code).When(opens)}, want: want, opens: 1}
	}
	later := func(name string, want string, faults ...wechattest.Fault) row {
		return row{name: name, faults: faults, want: want, opens: 1, outcome: "opening"}
	}
	rows := []row{
		{name: "already open", appID: wechattest.ExampleOpen, want: "open true false 200", outcome: "already-open", known: "open"},
		{name: "first check says nothing", faults: []wechattest.Fault{wechattest.Raw(`{"errcode":0,"errmsg":"ok"}`).Always().When(checks)}, want: "bad-upstream-answer 502"},
		{name: "first check says something new", faults: []wechattest.Fault{wechattest.Raw(`{"errcode":0,"is_open":2}`).Always().When(checks)}, want: "bad-upstream-answer 502"},
		{name: "first check is cut short", faults: []wechattest.Fault{wechattest.CutShort().Always().When(checks)}, want: "bad-upstream-answer 502"},
		{name: "first check breaks twice", faults: []wechattest.Fault{wechattest.Drop().When(checks), wechattest.Reset().When(checks)},
			want: "open true true 200", opens: 1, outcome: "opened", known: "open", event: true},

		opened("done", wechattest.Pass()),
		opened("done, without errcode", wechattest.Rewrite(func([]byte) []byte { return []byte(`{"errmsg":"ok"}`) })),
		opened("done, drop", wechattest.Drop().After()),
		opened("done, reset", wechattest.Reset().After()),
		opened("done, status 500", wechattest.Status(500, "").After()),
		opened("done, status 403", wechattest.Status(403, "").After()),
		opened("done, status 201", wechattest.Status(201, `{"errcode":0}`).After()),
		opened("done, redirect", wechattest.Redirect("http://127.0.0.1:1/").After()),
		opened("done, busy", wechattest.Refuse(-1).After()),
		opened("done, HTML", wechattest.Raw("<html>").After()),
		opened("done, empty", wechattest.Raw("").After()),
		opened("done, cut short", wechattest.CutShort()),
		opened("done, half", wechattest.Rewrite(wechattest.HalfOf)),
		opened("done, huge", wechattest.Huge()),
		opened("done, hang", wechattest.Hang().After()),
		opened("done, BOM", wechattest.Rewrite(wechattest.WithBOM)),

		lost("drop", wechattest.Drop()),
		lost("reset", wechattest.Reset()),
		lost("status 500", wechattest.Status(500, "")),
		lost("status 403", wechattest.Status(403, "")),
		lost("redirect", wechattest.Redirect("http://127.0.0.1:1/")),
		lost("busy", wechattest.Refuse(-1)),
		lost("HTML", wechattest.Raw("<html>")),
		lost("empty", wechattest.Raw("")),
		lost("errcode in words", wechattest.Raw(`{"errcode":"x"}`)),
		lost("hang", wechattest.Hang()),
		lost("drop, and the check fails", wechattest.Drop().After(), secondCheck(wechattest.Refuse(45011))...),
		lost("drop, and the check says nothing", wechattest.Drop().After(), secondCheck(wechattest.Raw(`{"errcode":0}`))...),
		lost("drop, and the check drops", wechattest.Drop().After(), secondCheck(wechattest.Drop())...),

		refused(61007, "not-granted 403"),
		refused(48001, "not-granted 403"),
		refused(61003, "not-granted 403"),
		refused(61015, "misconfigured 500"),
		refused(61004, "egress-ip-not-whitelisted 502"),
		refused(45009, "quota-exceeded 429"),
		refused(45011, "quota-exceeded 429"),
		refused(48009, "interface-retired 410"),
		refused(99999, "bad-upstream-answer 502"),
		refused(40001, "token-rejected 502"),
		{name: "opening retired by 404", faults: []wechattest.Fault{wechattest.Status(404, "").When(opens)}, want: "interface-retired 410", opens: 1},
		{name: "opening retired by 410", faults: []wechattest.Fault{wechattest.Status(410, "").When(opens)}, want: "interface-retired 410", opens: 1},

		{name: "done, and the check says closed", options: []wechattest.Option{wechattest.WithOpeningLag(1)}, want: "opening false true 202", opens: 1, outcome: "opening"},
		later("done, and the check says nothing", "opening <nil> true 202", secondCheck(wechattest.Raw(`{"errcode":0}`))...),
		later("done, and the check is refused", "opening <nil> true 202", secondCheck(wechattest.Refuse(45011))...),
		later("done, and the check's token is refused", "opening <nil> true 202", secondCheck(wechattest.Refuse(40001))...),
		later("done, and the check breaks", "opening <nil> true 202", secondCheck(wechattest.Reset())...),
		later("done, and the check is no JSON", "opening <nil> true 202", secondCheck(wechattest.Raw("<html>"))...),
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			id := c.appID
			if id == "" {
				id = wechattest.ExampleClosed
			}
			world, f := start(t, c.options...)
			world.WeChat.Fail(wechattest.PathSwitch, c.faults...)
			ctx := t.Context()
			if strings.Contains(c.name, "hang") {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 6*time.Second)
				defer cancel()
			}
			r := confirmed(ctx, f, id)
			if n := world.WeChat.OpenCalls(); n != c.opens {
				t.Errorf("%d opening calls, want %d", n, c.opens)
			}

			outcome := c.outcome
			if outcome == "" {
				slug, problem := r.Problem(t)
				if got := fmt.Sprint(slug, " ", r.Status); got != c.want {
					t.Errorf("got %s: %s", got, r.Body)
				}
				if detail, _ := problem["detail"].(string); c.want == lost504 && !strings.Contains(detail, "not repeated") {
					t.Errorf("the detail %q does not say that it was not repeated", detail)
				}
				outcome = slug
			} else {
				s := answered(t, world, r)
				if got := fmt.Sprint(s.State, " ", s.IsOpen, " ", s.Changed, " ", r.Status); got != c.want || s.AppID != id {
					t.Errorf("got %s: %s", got, r.Body)
				}
			}
			checkAudit(t, world, id, outcome)

			if known, _ := world.Account(id)["draft_switch"].(string); known != c.known {
				t.Errorf("the account's item says %q, want %q", known, c.known)
			}
			if got, want := claimed(world, id), r.Status == 202 || r.Status == 504; got != want {
				t.Errorf("claimed afterwards: %t, want %t", got, want)
			}
			changes := published(world, "Draft Switch Changed")
			if c.event != (len(changes) == 1) || len(changes) > 1 {
				t.Errorf("events %v", changes)
			}
			for _, change := range changes {
				var detail map[string]string
				if err := json.Unmarshal([]byte(change), &detail); err != nil || detail["id"] == "" {
					t.Errorf("event %s", change)
				}
				delete(detail, "id")
				if diff := cmp.Diff(map[string]string{"appid": id, "from": "closed", "to": "open"}, detail); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestARefusedTokenIsTheOneReasonToSendAnOpeningAgain, once, and with another token.
func TestARefusedTokenIsTheOneReasonToSendAnOpeningAgain(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for _, c := range []struct {
		name   string
		faults []wechattest.Fault // of the opening calls
		want   string
		opens  int
	}{
		{"taken", []wechattest.Fault{wechattest.Refuse(40001)}, "200", 2},
		{"refused again", []wechattest.Fault{wechattest.Refuse(42001), wechattest.Refuse(40001)}, "502 token-rejected", 2},
		{"lost, but done", []wechattest.Fault{wechattest.Refuse(40001), wechattest.Drop().After()}, "200", 2},
		{"lost", []wechattest.Fault{wechattest.Refuse(40001), wechattest.Drop()}, "504 wechat-timeout", 2},
		{"busy", []wechattest.Fault{wechattest.Refuse(40001), wechattest.Refuse(-1)}, "504 wechat-timeout", 2},
		{"not granted", []wechattest.Fault{wechattest.Refuse(40001), wechattest.Refuse(61007)}, "403 not-granted", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			f.HTTP(t.Context(), "GET", path(id), "") // the instance keeps the token
			old := world.WeChat.LiveToken(id)
			fresh := world.StoreAccountToken(id)
			for _, fault := range c.faults {
				world.WeChat.Fail(wechattest.PathSwitch, fault.When(opens))
			}
			r := confirmed(t.Context(), f, id)
			got := fmt.Sprint(r.Status)
			if r.Status >= 400 {
				slug, _ := r.Problem(t)
				got += " " + slug
			}
			if got != c.want || world.WeChat.OpenCalls() != c.opens {
				t.Errorf("%d opening calls, got %s", world.WeChat.OpenCalls(), r.Body)
			}
			var sent []string
			for _, request := range world.WeChat.Requests(wechattest.PathSwitch) {
				if request.Opens() {
					sent = append(sent, strings.TrimPrefix(request.RawQuery, "access_token="))
				}
			}
			if diff := cmp.Diff([]string{old, fresh}, sent); diff != "" {
				t.Errorf("opened with other tokens: %s", diff)
			}
			if rejected := published(world, "Token Rejected"); (len(rejected) == 1) != strings.HasSuffix(c.want, "token-rejected") {
				t.Errorf("tokens rejected: %v", rejected)
			}
		})
	}
}

func TestTooLittleTimeToOpen(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for left, want := range map[time.Duration]int{time.Second: 0, 5 * time.Second: 0, 5400 * time.Millisecond: 0, 20 * time.Second: 1} {
		world, f := start(t)
		ctx, cancel := context.WithTimeout(t.Context(), left)
		defer cancel()
		r := confirmed(ctx, f, id)
		if world.WeChat.OpenCalls() != want {
			t.Errorf("%v left: %d opening calls: %s", left, world.WeChat.OpenCalls(), r.Body)
		}
		if want == 0 {
			if slug, _ := r.Problem(t); slug != "wechat-timeout" || r.Status != 504 {
				t.Errorf("%v left: %s", left, r.Body)
			}
			checkAudit(t, world, id, "wechat-timeout")
		}
	}
	// An open switch needs no time.
	_, f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if r := confirmed(ctx, f, wechattest.ExampleOpen); r.Status != 200 {
		t.Errorf("open already: %s", r.Body)
	}
}

// TestTheClaimComesFirst: without the claim nothing is sent, and a fault of the table isn't reported as the caller's.
func TestTheClaimComesFirst(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for name, fault := range map[string]awstest.Fault{
		"throttled": awstest.Throttle(), "denied": awstest.Deny(), "fails": awstest.Refuse("InternalServerError", 500),
		"no table": awstest.Refuse("ResourceNotFoundException", 400), "drops": awstest.Drop(), "garbage": awstest.Garbage(), "hangs": awstest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			world.AWS.Fail("dynamodb:UpdateItem", fault.Sticky())
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			r := confirmed(ctx, f, id)
			if slug, _ := r.Problem(t); slug != "aws-unavailable" || r.Status != 503 || world.WeChat.Calls("") != 0 || world.AWS.Calls(readSecret) != 0 {
				t.Errorf("%d calls of WeChat, got %s", world.WeChat.Calls(""), r.Body)
			}
			checkAudit(t, world, id, "aws-unavailable")
		})
	}
}

// TestBestEffort: once an opening is claimed and sent, faults of DynamoDB and EventBridge are only logged.
func TestBestEffort(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"denied": awstest.Deny(), "throttled": awstest.Throttle(), "fails": awstest.Refuse("InternalServerError", 500),
		"hangs": awstest.Hang(), "drops": awstest.Drop(), "garbage": awstest.Garbage(),
	} {
		for id, wants := range map[string]struct {
			changed bool
			warned  []string
		}{
			wechattest.ExampleClosed: {true, []string{"could not read", "could not record", "could not publish", "could not release"}},
			wechattest.ExampleOpen:   {false, []string{"could not read", "could not record", "could not release"}},
		} {
			t.Run(fmt.Sprint(name, " changed ", wants.changed), func(t *testing.T) {
				t.Parallel()
				world, f := start(t)
				world.AWS.Fail("dynamodb:*", fault.Sticky().On(accountResource(id)))
				world.AWS.Fail("dynamodb:DeleteItem", fault.Sticky())
				world.AWS.Fail("events:*", fault.Sticky())
				r := confirmed(t.Context(), f, id)
				if got := answered(t, world, r); r.Status != 200 || got.State != "open" || got.Changed != wants.changed {
					t.Errorf("got %s", r.Body)
				}
				for _, words := range wants.warned {
					lines := world.Log.Lines(words)
					if len(lines) != 1 || !strings.Contains(lines[0], `"level":"WARN"`) {
						t.Errorf("%s: %v", words, lines)
					}
				}
			})
		}
	}
}

func TestWhoOpened(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../events/switch/open.json")
	if err != nil {
		t.Fatal(err)
	}
	const iam = "arn:aws:iam::123456789012:user/operator"
	for name, c := range map[string]struct{ authorizer, caller string }{
		"IAM":      {`{"iam":{"userArn":"` + iam + `"}}`, iam},
		"JWT":      {`{"jwt":{"claims":{"sub":"someone","iss":"https://login.example.com"},"scopes":["a"]}}`, "someone"},
		"nobody":   {`null`, ""},
		"a Lambda": {`{"lambda":{"user":"x"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var event map[string]json.RawMessage
			var requestContext map[string]json.RawMessage
			if err := errors.Join(json.Unmarshal(raw, &event), json.Unmarshal(event["requestContext"], &requestContext)); err != nil {
				t.Fatal(err)
			}
			requestContext["authorizer"] = json.RawMessage(c.authorizer)
			event["requestContext"], _ = json.Marshal(requestContext)
			world, _ := start(t)
			world.Env["LOG_LEVEL"] = "error"
			result, err := world.Start(wire).Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			want := []map[string]any{{"audit": "draft-switch-open", "appid": wechattest.ExampleClosed, "outcome": "opened", "caller": c.caller,
				"source_ip": "192.0.2.17", "request_id": "JKJaXmPLvHcESH11="}}
			if diff := cmp.Diff(want, audits(t, world)); diff != "" || !strings.Contains(string(result), `"X-Request-Id":"JKJaXmPLvHcESH11="`) {
				t.Errorf("%s%s", result, diff)
			}
		})
	}
}

// outcome is an answer in short: "opened", "already-open" or the problem's slug.
func outcome(t *testing.T, r functiontest.Response) string {
	t.Helper()
	if r.Status != 200 {
		slug, _ := r.Problem(t)
		return slug
	}
	var s said
	r.Decode(t, &s)
	if s.Changed == true {
		return "opened"
	}
	return "already-open"
}

// TestOneOpeningAtATime has two instances open an account's switch at once, again and again.
func TestOneOpeningAtATime(t *testing.T) {
	t.Parallel()
	const worlds, times = 4, 25
	id := wechattest.ExampleClosed
	for n := range worlds {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			world, f := start(t, wechattest.WithLatency(10*time.Millisecond))
			instances := []*functiontest.Function{f, world.Start(wire)}
			for range times {
				world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true}) // closed again
				before := world.WeChat.OpenCalls()
				var outcomes [2]string
				var both sync.WaitGroup
				for i, f := range instances {
					both.Go(func() { outcomes[i] = outcome(t, confirmed(t.Context(), f, id)) })
				}
				both.Wait()
				slices.Sort(outcomes[:])
				if calls := world.WeChat.OpenCalls() - before; calls != 1 || outcomes != [2]string{"opened", "opening-under-way"} && outcomes != [2]string{"already-open", "opened"} {
					t.Fatalf("%d opening calls, outcomes %v", calls, outcomes)
				}
				if claimed(world, id) {
					t.Fatal("the claim was not released")
				}
			}
		})
	}
}

func TestOpeningAtOnceInOneInstance(t *testing.T) {
	t.Parallel()
	const n = 20
	world, f := start(t)
	id := wechattest.ExampleClosed
	var mu sync.Mutex
	outcomes := make(map[string]int)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			got := outcome(t, confirmed(t.Context(), f, id))
			mu.Lock()
			defer mu.Unlock()
			outcomes[got]++
		})
	}
	all.Wait()
	if outcomes["opened"] != 1 || outcomes["already-open"]+outcomes["opening-under-way"] != n-1 || world.WeChat.OpenCalls() != 1 {
		t.Errorf("%d opening calls, outcomes %v", world.WeChat.OpenCalls(), outcomes)
	}
	if known := world.Account(id); known["draft_switch"] != "open" || len(published(world, "Draft Switch Changed")) != 1 || world.AWS.Calls(readSecret) != 1 {
		t.Errorf("recorded %v, events %v, %d reads of the secret", known, world.AWS.Events(), world.AWS.Calls(readSecret))
	}
}

// TestASecondOpeningMeanwhile asks another instance at several moments of an opening.
func TestASecondOpeningMeanwhile(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for name, operation := range map[string]string{
		"before the first check": readSecret, "before the event": "events:PutEvents", "before the release": "dynamodb:DeleteItem",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			second := world.Start(wire)
			got := ""
			world.AWS.Fail(operation, awstest.Before(func() {
				before := world.WeChat.Calls("")
				r := confirmed(t.Context(), second, id)
				got = fmt.Sprint(r.Status, " ", outcome(t, r), " ", world.WeChat.Calls("")-before, " ", r.Header["Retry-After"])
			}))
			if r := confirmed(t.Context(), f, id); outcome(t, r) != "opened" || got != "409 opening-under-way 0 60" {
				t.Errorf("the second: %s; the first: %s", got, r.Body)
			}
			if r := confirmed(t.Context(), second, id); outcome(t, r) != "already-open" || world.WeChat.OpenCalls() != 1 {
				t.Errorf("%d opening calls, afterwards %s", world.WeChat.OpenCalls(), r.Body)
			}
			other := wechattest.ExampleOwn // an account of its own has a claim of its own
			world.AWS.Fail(readSecret, awstest.Before(func() { confirmed(t.Context(), second, id) }))
			if r := confirmed(t.Context(), f, other); outcome(t, r) != "opened" {
				t.Errorf("another account: %s", r.Body)
			}
		})
	}
}

// TestAClaimEndsByItself: an unreleased claim expires after 60 seconds.
func TestAClaimEndsByItself(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for name, test := range map[string]struct {
		options []wechattest.Option
		cause   func(*functiontest.World)
		status  int // of the opening that leaves the claim
		then    string
	}{
		"202":   {[]wechattest.Option{wechattest.WithOpeningLag(1)}, func(*functiontest.World) {}, 202, "already-open"},
		"504":   {nil, func(w *functiontest.World) { w.WeChat.Fail(wechattest.PathSwitch, wechattest.Drop().When(opens)) }, 504, "opened"},
		"crash": {nil, func(w *functiontest.World) { w.AWS.Fail("dynamodb:DeleteItem", awstest.Deny()) }, 200, "already-open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t, test.options...)
			test.cause(world)
			if r := confirmed(t.Context(), f, id); r.Status != test.status || !claimed(world, id) {
				t.Fatalf("got %s, claimed %t", r.Body, claimed(world, id))
			}
			calls := world.WeChat.Calls("")
			world.Clock.Forward(40 * time.Second) // leaves 20 to the test
			if r := confirmed(t.Context(), f, id); outcome(t, r) != "opening-under-way" || world.WeChat.Calls("") != calls {
				t.Errorf("after 40 seconds: %s", r.Body)
			}
			world.Clock.Forward(20 * time.Second)
			if r := confirmed(t.Context(), world.Start(wire), id); outcome(t, r) != test.then || claimed(world, id) {
				t.Errorf("after 60 seconds: %s, claimed %t", r.Body, claimed(world, id))
			}
		})
	}
}

func TestAClaimWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	id := wechattest.ExampleClosed
	world.AWS.Fail("dynamodb:UpdateItem", awstest.DropAfter())
	world.AWS.Fail("dynamodb:DeleteItem", awstest.DropAfter())
	if r := confirmed(t.Context(), f, id); outcome(t, r) != "opened" || claimed(world, id) || len(world.Log.Lines("could not")) != 0 {
		t.Errorf("claimed %t, got %s", claimed(world, id), r.Body)
	}
}

// TestOpenIsFinal: a check that overlaps an opening doesn't overwrite the open state.
func TestOpenIsFinal(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for _, operation := range []string{"dynamodb:GetItem", "dynamodb:UpdateItem"} {
		for _, known := range []string{"none", "unknown", "closed"} {
			t.Run(operation+" "+known, func(t *testing.T) {
				t.Parallel()
				world := functiontest.New(t)
				world.Env["OPENABLE_ACCOUNTS"] = "*"
				world.StoreAccountToken(id)
				if known != "none" {
					world.SetAccount(id, fields{"status": "authorized", "draft_switch": known, "errcode": 61007})
				}
				opener := world.Start(wire)
				world.AWS.Fail(operation, awstest.Before(func() {
					if r := confirmed(t.Context(), opener, id); outcome(t, r) != "opened" {
						t.Errorf("got %s", r.Body)
					}
				}).On(accountResource(id)))
				runSurvey(t, world.Start(wire))
				if got := world.Account(id); got["draft_switch"] != "open" || world.WeChat.OpenCalls() != 1 {
					t.Errorf("%d opening calls, recorded %v", world.WeChat.OpenCalls(), got)
				}
				if changes := published(world, "Draft Switch Changed"); len(changes) != 1 {
					t.Errorf("events %v", changes)
				}
			})
		}
	}
}

// TestTheEventComesBeforeTheRecord: after a crash between them, the next request that finds the switch open publishes
// the event again, with the same id.
func TestTheEventComesBeforeTheRecord(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	id := wechattest.ExampleClosed
	world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z"})
	world.AWS.Fail("dynamodb:UpdateItem", awstest.Deny().Sticky().On(accountResource(id))) // as far as the table knows, the function died here
	if r := confirmed(t.Context(), f, id); r.Status != 200 {
		t.Errorf("got %s", r.Body)
	}
	world.AWS.Heal("")
	runSurvey(t, f)
	if changes := published(world, "Draft Switch Changed"); len(changes) != 2 || changes[0] != changes[1] {
		t.Errorf("events %v", changes)
	}

	own := wechattest.ExampleOwn
	world.AWS.Fail("events:PutEvents", awstest.Before(func() {
		if account := world.Account(own); account["draft_switch"] == "open" {
			t.Errorf("recorded before the event: %v", account)
		}
	}))
	confirmed(t.Context(), f, own)
}

func TestWhatIsKnownOfTheAccountSurvives(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	id := wechattest.ExampleClosed
	world.SetAccount(id, fields{"status": "authorized", "status_at": 1413192605, "draft_switch": "closed", "errcode": 61007, "name": "Tea", "note": fields{"of": "somebody"}})
	confirmed(t.Context(), f, id)
	got := world.Account(id)
	delete(got, "checked_at")
	want := fields{"appid": id, "status": "authorized", "status_at": json.Number("1413192605"), "draft_switch": "open", "name": "Tea", "note": fields{"of": "somebody"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// Once it is known to be open there is nothing to write but the claim.
	writes := world.AWS.Calls("dynamodb:UpdateItem")
	if r := confirmed(t.Context(), f, id); r.Status != 200 || world.AWS.Calls("dynamodb:UpdateItem") != writes+1 {
		t.Errorf("%d writes, got %s", world.AWS.Calls("dynamodb:UpdateItem")-writes, r.Body)
	}
}

// TestSecretsThatComeBack: WeChat and gateways echo what they were sent. The scan at the end of the test looks for
// leaks.
func TestSecretsThatComeBack(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	id := wechattest.ExampleClosed
	token := world.WeChat.LiveToken(id)
	for _, fault := range []wechattest.Fault{
		wechattest.Refuse(40001, "invalid credential "+token), wechattest.Refuse(61007, "https://api.weixin.qq.com/x?access_token="+token+"&checkonly=1"),
		wechattest.Refuse(-1, token), wechattest.Status(502, "<html>"+token), wechattest.Raw(token), wechattest.Raw(`{"errcode":"` + token + `"}`),
		wechattest.Raw(`{"errcode":0,"is_open":"` + token + `"}`), wechattest.Redirect("http://127.0.0.1:1/"), wechattest.Drop(), wechattest.Reset(),
	} {
		for _, when := range []func(wechattest.Request) bool{opens, checks} {
			world.WeChat.Fail(wechattest.PathSwitch, fault.Always().When(when))
			f.HTTP(t.Context(), "GET", path(id), "")
			if r := confirmed(t.Context(), f, id); r.Status < 300 && world.WeChat.OpenCalls() == 0 {
				t.Errorf("got %s", r.Body)
			}
			world.WeChat.Heal("")
			world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true})
			world.AWS.DeleteItem(functiontest.StateTable, "opening", id)
		}
	}
}
