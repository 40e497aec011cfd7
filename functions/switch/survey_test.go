package main

import (
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/functiontest"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
	"wechat-draftbox/pkg/wechattest"
)

const parameters = "/wechat/draftbox/accounts/"

// waits stands in for waiting: it notes for how long, and says at once whether there was time.
type waits struct {
	mu    sync.Mutex
	asked []time.Duration
	times int // how often there is time; negative: always
}

func (w *waits) wait(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, d)
	if w.times == 0 {
		return false
	}
	w.times--
	return true
}

// startWith starts the function with another way to wait, and with the SDK's repeats off.
func startWith(world *functiontest.World, wait func(context.Context, time.Duration) bool) *functiontest.Function {
	return world.Start(func(parts bootstrap.Deps) trigger.Router {
		parts.AWS.RetryMaxAttempts = 1
		once := bootstrap.New(parts.Settings, parts.AWS, parts.Log, parts.Metrics, parts.Now)
		once.WeChat = parts.WeChat
		h := newHandler(once)
		h.survey.wait, h.survey.queue.wait = wait, wait
		return h.triggers()
	})
}

// appIDs are n accounts that WeChat knows, with tokens stored.
func appIDs(world *functiontest.World, n int, open bool) (all []string) {
	for i := range n {
		id := fmt.Sprintf("wx%016d", 1000+i)
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true, Open: open})
		world.StoreAccountToken(id)
		all = append(all, id)
	}
	return all
}

// record writes an account's parameter; fields are JSON.
func record(world *functiontest.World, appID, fields string) {
	world.AWS.SetParameter(parameters+appID, fmt.Sprintf(`{"appid": %q, %s}`, appID, fields))
}

// closed records that the accounts' switches were closed yesterday, so that nothing has to be written if they still are.
func closed(world *functiontest.World, appIDs []string) []string {
	for _, id := range appIDs {
		at := world.Clock.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
		record(world, id, fmt.Sprintf(`"status": "authorized", "draft_switch": "closed", "checked_at": %q`, at))
	}
	return appIDs
}

func stored(t *testing.T, world *functiontest.World, appID string) (fields map[string]any) {
	t.Helper()
	text, _, ok := world.AWS.Parameter(parameters + appID)
	if !ok {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func runSurvey(t *testing.T, f *functiontest.Function) surveyed {
	t.Helper()
	result, err := f.Invoke(t.Context(), map[string]string{"task": "check-switches"})
	if err != nil {
		t.Fatal(err)
	}
	var s surveyed
	if err := json.Unmarshal(result, &s); err != nil {
		t.Fatal(err)
	}
	if s.Task != "check-switches" {
		t.Errorf("task %q in the result", s.Task)
	}
	return s
}

// asked is how often WeChat was asked for each account's switch.
func asked(world *functiontest.World) map[string]int {
	times := make(map[string]int)
	for _, r := range world.WeChat.Requests(wechattest.PathSwitch) {
		times[r.AppID]++
	}
	return times
}

// happened are the published events, without their ids: "Draft Switch Changed wx… closed open".
func happened(t *testing.T, world *functiontest.World) (events []string, ids []string) {
	t.Helper()
	for _, e := range world.AWS.Events() {
		var detail struct{ ID, AppID, From, To string }
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		events = append(events, strings.TrimSpace(strings.Join([]string{e.DetailType, detail.AppID, detail.From, detail.To}, " ")))
		ids = append(ids, detail.ID)
	}
	slices.Sort(events)
	return events, ids
}

func TestSurveyOfMixedAccounts(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.Env["OPENABLE_ACCOUNTS"] = "*"
	const (
		throttled = "wx0000000000000011"
		changed   = "wx0000000000000012"
		known     = "wx0000000000000013"
		left      = "wx0000000000000014"
		tokenless = "wx0000000000000015"
	)
	for _, id := range []string{throttled, changed, known, left} {
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true, Open: id == changed})
	}
	for _, id := range []string{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted,
		wechattest.ExampleRevoked, wechattest.ExampleOwn, throttled, changed, known, left} {
		world.StoreAccountToken(id)
	}
	world.AWS.SetSecret("wechat/draftbox/accounts/readme", "no account")
	world.AWS.SetSecret("wechat/draftbox/accounts-of-others/wx0000000000000099", "no account")
	record(world, wechattest.ExampleNotGranted, `"status": "authorized", "draft_switch": "closed", "note": "keep me"`)
	record(world, wechattest.ExampleRevoked, `"status": "authorized", "status_at": 1413192605, "draft_switch": "unknown"`)
	record(world, changed, `"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z", "errcode": 61007`)
	record(world, known, `"status": "authorized", "draft_switch": "open", "checked_at": "2026-01-02T03:04:05Z"`)
	record(world, left, `"status": "unauthorized", "draft_switch": "closed"`)
	record(world, tokenless, `"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z"`)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(throttled).Always())
	wait := &waits{} // there is no minute left
	f := startWith(world, wait.wait)

	// Neither the one that left nor what is no account counts.
	want := surveyed{Task: "check-switches", Accounts: 9, KnownOpen: 1, Checked: 4, Failed: 4}
	if diff := cmp.Diff(want, runSurvey(t, f)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if lines := world.Log.Lines(`"task":"check-switches"`); len(lines) != 1 || !strings.Contains(lines[0], `"accounts":9,"known_open":1,"queued":0,"checked":4,"failed":4`) {
		t.Errorf("log lines of the result: %q", lines)
	}
	wantAsked := map[string]int{wechattest.ExampleClosed: 1, wechattest.ExampleOpen: 1, wechattest.ExampleNotGranted: 1,
		wechattest.ExampleRevoked: 1, wechattest.ExampleOwn: 1, throttled: 1, changed: 1}
	if diff := cmp.Diff(wantAsked, asked(world)); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if n := world.WeChat.OpenCalls(); n != 0 {
		t.Errorf("%d calls opened a switch", n)
	}
	events, _ := happened(t, world)
	wantEvents := []string{"Account Unauthorized " + wechattest.ExampleRevoked, "Draft Switch Changed " + changed + " closed open"}
	if diff := cmp.Diff(wantEvents, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if fields := stored(t, world, wechattest.ExampleNotGranted); fields["note"] != "keep me" {
		t.Errorf("a key of somebody else is lost: %v", fields)
	}
	if fields := stored(t, world, wechattest.ExampleRevoked); fields["status_at"] != float64(1413192605) {
		t.Errorf("status_at was changed by something that is no push: %v", fields)
	}

	answer := f.HTTP(t.Context(), "GET", "/accounts", "")
	var table struct{ Accounts []map[string]any }
	answer.Decode(t, &table)
	got := make(map[string]string)
	for _, a := range table.Accounts {
		if len(a) != 5 {
			t.Errorf("an entry has other keys: %v", a)
		}
		at := "never"
		if text, ok := a["checked_at"].(string); ok {
			when, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Error(err)
			}
			at = "long ago"
			if time.Since(when) < time.Minute {
				at = "now"
			}
		}
		got[a["appid"].(string)] = fmt.Sprint(a["status"], " ", a["draft_switch"], " ", at, " ", a["errcode"])
	}
	wantTable := map[string]string{
		wechattest.ExampleClosed:     "authorized closed now <nil>",
		wechattest.ExampleOpen:       "authorized open now <nil>",
		wechattest.ExampleNotGranted: "authorized closed now 61007",
		wechattest.ExampleRevoked:    "unauthorized unknown now 61003",
		wechattest.ExampleOwn:        "authorized closed now <nil>",
		throttled:                    "authorized unknown never <nil>",
		changed:                      "authorized open now <nil>",
		known:                        "authorized open long ago <nil>",
		left:                         "unauthorized closed never <nil>",
		tokenless:                    "authorized closed long ago <nil>",
	}
	if diff := cmp.Diff(wantTable, got); diff != "" {
		t.Errorf("GET /accounts (-want +got):\n%s", diff)
	}
}

// holdsOpener follows a type's fields through this module.
func holdsOpener(kind reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[kind] {
		return false
	}
	seen[kind] = true
	if _, opens := kind.MethodByName("OpenDraftSwitch"); opens {
		return true
	}
	switch kind.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Chan:
		return holdsOpener(kind.Elem(), seen)
	case reflect.Struct:
		if kind.PkgPath() != "main" && !strings.HasPrefix(kind.PkgPath(), "wechat-draftbox/") {
			return false
		}
		for i := range kind.NumField() {
			if holdsOpener(kind.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

func TestSurveyHoldsNothingToOpenASwitchWith(t *testing.T) {
	t.Parallel()
	if !holdsOpener(reflect.TypeFor[opening](), map[reflect.Type]bool{}) {
		t.Error("the opener of the confirmed opening isn't found, so this test finds none at all")
	}
	if holdsOpener(reflect.TypeFor[survey](), map[reflect.Type]bool{}) {
		t.Error("the survey holds something that opens switches")
	}
}

func TestSurveyWithoutNewsCostsNothing(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 25, false)
	world.StoreAccountToken(wechattest.ExampleOpen)
	f := world.Start(wire)
	if got := runSurvey(t, f); got.Checked != 26 {
		t.Fatalf("the first survey: %+v", got)
	}
	first := world.AWS.Parameters(parameters)
	calls := func() (n []int) {
		for _, op := range []string{"ssm:GetParameter", "ssm:PutParameter", "events:PutEvents", "secretsmanager:GetSecretValue"} {
			n = append(n, world.AWS.Calls(op))
		}
		return n
	}
	before := calls()
	world.Clock.Forward(time.Minute)
	want := surveyed{Task: "check-switches", Accounts: 26, KnownOpen: 1, Checked: 25}
	if diff := cmp.Diff(want, runSurvey(t, f)); diff != "" {
		t.Errorf("the second survey (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, calls()); diff != "" {
		t.Errorf("reads and writes of single parameters, events, reads of secrets (-before +after):\n%s", diff)
	}
	times := asked(world)
	if times[wechattest.ExampleOpen] != 1 || times[ids[0]] != 2 {
		t.Errorf("asked %v", times)
	}

	// A week later checked_at is worth a write, although nothing else changed.
	world.Clock.Forward(7 * 24 * time.Hour)
	for _, id := range ids {
		world.StoreAccountToken(id)
	}
	runSurvey(t, f)
	second := world.AWS.Parameters(parameters)
	for _, id := range ids {
		if first[parameters+id] == second[parameters+id] {
			t.Fatalf("checked_at of %s was not written again: %s", id, second[parameters+id])
		}
	}
	if open := parameters + wechattest.ExampleOpen; first[open] != second[open] {
		t.Errorf("the open account's parameter was written: %s", second[open])
	}
}

func TestSurveyTellsBeforeItSaves(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		op    string
		fault awstest.Fault
	}{
		"the answer of EventBridge is lost": {"events:PutEvents", awstest.DropAfter()},
		"the parameter can't be written":    {"ssm:PutParameter", awstest.Deny()},
		"the parameter is throttled":        {"ssm:PutParameter", awstest.Throttle()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			id := appIDs(world, 1, true)[0]
			record(world, id, `"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z"`)
			record(world, wechattest.ExampleRevoked, `"status": "authorized", "status_at": 1413192605, "draft_switch": "closed"`)
			world.StoreAccountToken(wechattest.ExampleRevoked)
			before := world.AWS.Parameters(parameters)
			f := startWith(world, (&waits{}).wait)

			world.AWS.Fail(fault.op, fault.fault.Sticky())
			if got := runSurvey(t, f); got.Failed != 2 || got.Checked != 0 {
				t.Errorf("with the fault: %+v", got)
			}
			if diff := cmp.Diff(before, world.AWS.Parameters(parameters)); diff != "" {
				t.Fatalf("something was saved that was not told (-before +after):\n%s", diff)
			}
			world.AWS.Heal("")
			if got := runSurvey(t, f); got.Checked != 1 || got.Failed != 1 {
				t.Errorf("without the fault: %+v", got)
			}
			if got := stored(t, world, id)["draft_switch"]; got != "open" {
				t.Errorf("%v is recorded", got)
			}
			runSurvey(t, f)
			events, ids := happened(t, world)
			slices.Sort(ids)
			if n := len(slices.Compact(slices.Clone(ids))); n != 2 || len(ids) < 4 {
				t.Errorf("events %q have %d ids: %q", events, n, ids)
			}
		})
	}
}

func TestSurveyTellsNothingThatCannotBeTold(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, true)[0]
	record(world, id, `"status": "authorized", "draft_switch": "closed"`)
	world.AWS.Fail("events:PutEvents", awstest.Deny().Sticky())
	f := startWith(world, (&waits{}).wait)
	if got := runSurvey(t, f); got.Failed != 1 {
		t.Errorf("result %+v", got)
	}
	if n := world.AWS.Calls("ssm:PutParameter"); n != 0 {
		t.Errorf("%d writes before the event was accepted", n)
	}
}

func TestSurveyWhoseWriteLosesItsAnswer(t *testing.T) {
	t.Parallel()
	for name, recorded := range map[string]bool{"a new parameter": false, "a known one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			id := appIDs(world, 1, true)[0]
			if recorded {
				record(world, id, `"status": "authorized", "draft_switch": "closed"`)
			}
			world.AWS.Fail("ssm:PutParameter", awstest.DropAfter())
			if got := runSurvey(t, startWith(world, (&waits{times: -1}).wait)); got.Checked != 1 || got.Failed != 0 {
				t.Errorf("result %+v", got)
			}
			if got := stored(t, world, id)["draft_switch"]; got != "open" {
				t.Errorf("%v is recorded", got)
			}
		})
	}
}

func TestSurveyIsPatientWithAWS(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	appIDs(world, 12, false)
	for _, op := range []string{"ssm:GetParametersByPath", "secretsmanager:ListSecrets", "ssm:PutParameter", "ssm:GetParameter"} {
		for range 4 {
			world.AWS.Fail(op, awstest.Throttle())
		}
	}
	wait := &waits{times: -1}
	if got := runSurvey(t, startWith(world, wait.wait)); got.Checked != 12 || got.Failed != 0 {
		t.Errorf("result %+v", got)
	}
	if len(wait.asked) < 8 || slices.Min(wait.asked) < 500*time.Millisecond {
		t.Errorf("waited %v", wait.asked)
	}
}

func TestSurveyThatCannotList(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"ssm:GetParametersByPath", "secretsmanager:ListSecrets"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			ids := appIDs(world, 3, false)
			record(world, ids[0], `"status": "authorized", "draft_switch": "unknown"`)
			world.AWS.Fail(op, awstest.Deny().Sticky())
			_, err := startWith(world, (&waits{}).wait).Invoke(t.Context(), map[string]string{"task": "check-switches"})
			if err == nil || !strings.Contains(err.Error(), op) {
				t.Fatalf("error %v", err)
			}
			// What was listed is checked all the same.
			if got, want := len(asked(world)), map[string]int{"secretsmanager:ListSecrets": 1}[op]; got != want {
				t.Errorf("%d accounts asked for, want %d", got, want)
			}
		})
	}
}

func TestSurveyReachesOneUnreadableRecord(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 3, false)
	world.AWS.SetParameter(parameters+ids[1], "not JSON")
	if got := runSurvey(t, world.Start(wire)); got.Checked != 2 || got.Failed != 1 {
		t.Errorf("result %+v", got)
	}
	if text, _, _ := world.AWS.Parameter(parameters + ids[1]); text != "not JSON" {
		t.Errorf("what could not be read was overwritten: %s", text)
	}
}

func TestSurveyOfAnswersWithoutState(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, false)[0]
	record(world, id, `"status": "authorized", "draft_switch": "closed", "errcode": 61007`)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Raw(`{"errcode": 0, "errmsg": "ok"}`))
	if got := runSurvey(t, world.Start(wire)); got.Failed != 1 || got.Checked != 0 {
		t.Errorf("result %+v", got)
	}
	fields := stored(t, world, id)
	if _, refused := fields["errcode"]; refused || fields["draft_switch"] != "closed" {
		t.Errorf("recorded %v: the state that was known stays, and the check was not refused", fields)
	}
}

func TestSurveyEndsInTime(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t, wechattest.WithLatency(50*time.Millisecond))
	closed(world, appIDs(world, 3000, false))
	f := world.Start(wire)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	result, err := f.Invoke(ctx, map[string]string{"task": "check-switches"})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("error %v, context %v", err, ctx.Err())
	}
	var got surveyed
	json.Unmarshal(result, &got)
	if got.Checked == 0 || got.Checked >= 3000 || got.Failed != 0 {
		t.Errorf("result %+v", got)
	}
	if n := len(asked(world)); n != got.Checked { // what has begun is brought to its end
		t.Errorf("%d accounts asked for, %d checked", n, got.Checked)
	}
}

func TestAgendaGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	now := time.Now()
	of := func(id string, at time.Time) account.Record { return account.Record{AppID: id, CheckedAt: at} }
	firsts := make(map[string]int)
	for range 200 {
		var a agenda
		for i := range 10 {
			a.add(of(fmt.Sprint("yesterday", i), now.Add(-24*time.Hour)))
		}
		a.add(of("a fortnight ago", now.Add(-14*24*time.Hour)))
		a.add(of("never", time.Time{}))
		var order []string
		for range 3 {
			order = append(order, a[0].AppID)
			heap.Pop(&a)
		}
		if order[0] != "never" || order[1] != "a fortnight ago" {
			t.Fatalf("order %v", order)
		}
		firsts[order[2]]++
	}
	if len(firsts) != 10 {
		t.Errorf("of those that look alike these came first: %v", slices.Sorted(maps.Keys(firsts)))
	}
}

func TestSurveyHoldsBackForAMinute(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := closed(world, appIDs(world, 30, false))
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(ids[3]).Times(2))
	wait := &waits{times: -1}
	if got := runSurvey(t, startWith(world, wait.wait)); got.Checked != 30 || got.Failed != 0 {
		t.Errorf("result %+v", got)
	}
	if diff := cmp.Diff([]time.Duration{time.Minute, time.Minute}, wait.asked); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	for id, times := range asked(world) {
		if want := map[string]int{ids[3]: 3}[id]; times != max(want, 1) {
			t.Errorf("%s asked for %d times", id, times)
		}
	}
}

func TestSurveyStopsWhenThePlatformsMinuteIsUsedUp(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	closed(world, appIDs(world, 200, false))
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).Always())
	wait := &waits{}
	got := runSurvey(t, startWith(world, wait.wait))
	calls := world.WeChat.Calls(wechattest.PathSwitch)
	if calls < inFlight || calls > inFlight+atOnce || got.Failed != calls || got.Checked != 0 {
		t.Errorf("%d calls, result %+v", calls, got)
	}
	if diff := cmp.Diff([]time.Duration{time.Minute}, wait.asked); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

func TestSurveyHasNoMinuteBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 3, false)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(ids[0]).Always())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	result, err := startWith(world, retry.Sleep).Invoke(ctx, map[string]string{"task": "check-switches"})
	if err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("took %v, error %v", time.Since(began), err)
	}
	if want := `"checked":2,"failed":1}`; !strings.Contains(string(result), want) {
		t.Errorf("result %s", result)
	}
}

func TestSurveysAtOnce(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	for _, id := range appIDs(world, 12, true) {
		record(world, id, `"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z"`)
	}
	var runs sync.WaitGroup
	for range 3 {
		f := world.Start(wire)
		runs.Go(func() { runSurvey(t, f) })
	}
	runs.Wait()
	for name, text := range world.AWS.Parameters(parameters) {
		if !strings.Contains(text, `"draft_switch":"open"`) {
			t.Errorf("%s: %s", name, text)
		}
	}
	_, ids := happened(t, world)
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != 12 {
		t.Errorf("%d ids of 12 changes", n)
	}
}

// A push may come while an account is being checked. Neither loses what the other wrote.
func TestSurveyBesideAnotherWriter(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, true)[0]
	record(world, id, `"status": "authorized", "draft_switch": "closed"`)
	world.AWS.Fail("ssm:PutParameter", awstest.Before(func() {
		record(world, id, `"status": "unauthorized", "status_at": 1413192605, "draft_switch": "closed"`)
	}))
	runSurvey(t, world.Start(wire))
	fields := stored(t, world, id)
	if fields["status"] != "unauthorized" || fields["status_at"] != float64(1413192605) || fields["draft_switch"] != "open" {
		t.Errorf("recorded %v", fields)
	}
}

func TestSurveyWithTokensInSSM(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.Env["ACCOUNT_TOKEN_STORE"] = "ssm"
	for i := range 23 {
		id := fmt.Sprintf("wx%016d", 1000+i)
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true})
		world.AWS.SetSecureParameter("/wechat/draftbox/account-tokens/"+id, world.WeChat.IssueAccountToken(id))
	}
	world.StoreAccountToken(wechattest.ExampleClosed) // where no token is looked for
	if got := runSurvey(t, world.Start(wire)); got.Accounts != 23 || got.Checked != 23 {
		t.Errorf("result %+v", got)
	}
	if n := world.AWS.Calls("secretsmanager:*"); n != 0 {
		t.Errorf("%d calls of Secrets Manager", n)
	}
}

func TestScheduledEventSurveys(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StoreAccountToken(wechattest.ExampleClosed)
	result, err := world.Start(wire).Invoke(t.Context(), map[string]any{"detail-type": "Scheduled Event", "source": "aws.events", "detail": map[string]any{}})
	if want := `{"task":"check-switches","accounts":1,"known_open":0,"queued":0,"checked":1,"failed":0}`; err != nil || string(result) != want {
		t.Errorf("result %s, error %v", result, err)
	}
}

func TestSurveyKeepsTwentyCallsInFlight(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t, wechattest.WithLatency(200*time.Millisecond))
	closed(world, appIDs(world, 100, false))
	var mu sync.Mutex
	now, most := 0, 0
	f := world.Start(func(parts bootstrap.Deps) trigger.Router {
		h := newHandler(parts)
		turns := h.survey.check.wechat.(inTurn)
		turns.wechat = counting{turns, func(by int) {
			mu.Lock()
			defer mu.Unlock()
			now += by
			most = max(most, now)
		}}
		h.survey.check.wechat = turns
		return h.triggers()
	})
	if got := runSurvey(t, f); got.Checked != 100 {
		t.Errorf("result %+v", got)
	}
	if most != inFlight {
		t.Errorf("%d calls at once", most)
	}
}

// counting tells how many checks are under way.
type counting struct {
	inTurn
	count func(int)
}

func (c counting) CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error) {
	c.count(1)
	defer c.count(-1)
	return c.wechat.CheckDraftSwitch(ctx, account)
}
