package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// fields are an item's attributes.
type fields = map[string]any

// accountResource names an account's item as faults do.
func accountResource(appID string) string { return functiontest.StateTable + "/account/" + appID }

const (
	cursorResource = functiontest.StateTable + "/survey/cursor"
	closedOnce     = "2026-01-02T03:04:05Z" // a checked_at
)

// sleeper replaces sleeping: it records the durations, and returns whether there was time.
type sleeper struct {
	mu    sync.Mutex
	slept []time.Duration
	times int // how often there is time; negative: always
}

func (s *sleeper) sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slept = append(s.slept, d)
	if s.times == 0 {
		return false
	}
	s.times--
	return true
}

// startWith starts the function with a replaced sleep, and with AWS clients for the survey that give up quickly.
func startWith(world *functiontest.World, sleep func(context.Context, time.Duration) bool) *functiontest.Function {
	return world.Start(func(parts bootstrap.Deps) trigger.Router {
		once := parts.AWS.Copy()
		once.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
		table := state.NewTable(dynamodb.NewFromConfig(once), parts.Settings.StateTable, parts.Now)
		h := newHandler(parts)
		h.survey.sleep, h.survey.cursor = sleep, table.SurveyCursor()
		h.survey.recorder.accounts, h.survey.recorder.check.tokens = table.Accounts(), parts.Tokens(parts.Secrets)
		h.survey.queue.recorder = h.survey.recorder
		return h.router()
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

// setClosed records that the accounts' switches were closed yesterday, so that nothing has to be written if they still are.
func setClosed(world *functiontest.World, appIDs []string) []string {
	for _, id := range appIDs {
		at := world.Clock.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
		world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "checked_at": at, "kind": "official-account"})
	}
	return appIDs
}

// items are the accounts' items by appid.
func items(world *functiontest.World) map[string]any {
	all := make(map[string]any)
	for _, item := range world.AWS.Items(functiontest.StateTable) {
		if item["pk"] == "account" {
			all[item["sk"].(string)] = item
		}
	}
	return all
}

// cursorOf is where the next survey begins; empty: at the start.
func cursorOf(world *functiontest.World) string {
	item, _ := world.AWS.Item(functiontest.StateTable, "survey", "cursor")
	after, _ := item["after"].(string)
	return after
}

func runSurvey(t *testing.T, f *functiontest.Function) surveyResult {
	t.Helper()
	result, err := f.Invoke(t.Context(), map[string]string{"task": "check-switches"})
	if err != nil {
		t.Fatal(err)
	}
	var s surveyResult
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
	world.StorePlatform()
	world.StoreComponentToken() // with which a refusal is confirmed
	world.Env["OPENABLE_ACCOUNTS"] = "*"
	const (
		throttled = "wx0000000000000011"
		changed   = "wx0000000000000012"
		known     = "wx0000000000000013"
		left      = "wx0000000000000014"
		tokenless = "wx0000000000000015"
		mini      = "wx0000000000000016"
	)
	for _, id := range []string{throttled, changed, known, left, mini} {
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true, Open: id == changed})
	}
	for _, id := range []string{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted,
		wechattest.ExampleRevoked, wechattest.ExampleOwn, throttled, changed, known, left, mini} {
		world.StoreAccountToken(id)
	}
	world.AWS.SetSecret("wechat/draftbox/accounts/readme", "no account")
	world.AWS.SetSecret("wechat/draftbox/accounts-of-others/wx0000000000000099", "no account")
	world.SetAccount(wechattest.ExampleNotGranted, fields{"status": "authorized", "draft_switch": "closed", "note": "keep me"})
	world.SetAccount(wechattest.ExampleRevoked, fields{"status": "authorized", "status_at": 1413192605, "draft_switch": "unknown"})
	world.SetAccount(changed, fields{"status": "authorized", "draft_switch": "closed", "checked_at": closedOnce, "errcode": 61007})
	world.SetAccount(known, fields{"status": "authorized", "draft_switch": "open", "checked_at": closedOnce})
	world.SetAccount(left, fields{"status": "unauthorized", "draft_switch": "closed"})
	world.SetAccount(tokenless, fields{"status": "authorized", "draft_switch": "closed", "checked_at": closedOnce})
	world.SetAccount(mini, fields{"status": "authorized", "draft_switch": "unknown", "kind": "mini-program"})
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(throttled).Always())
	wait := &sleeper{} // there is no minute left
	f := startWith(world, wait.sleep)

	// The unauthorized account, the mini program and the non-account aren't counted.
	want := surveyResult{Task: "check-switches", Accounts: 9, KnownOpen: 1, Checked: 4, Failed: 4}
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
	if fields := world.Account(wechattest.ExampleNotGranted); fields["note"] != "keep me" {
		t.Errorf("a key of somebody else is lost: %v", fields)
	}
	if fields := world.Account(wechattest.ExampleRevoked); fields["status_at"] != json.Number("1413192605") {
		t.Errorf("status_at was changed by something that is no push: %v", fields)
	}

	answer := f.HTTP(t.Context(), "GET", "/accounts", "")
	var table struct{ Accounts []map[string]any }
	answer.Decode(t, &table)
	got := make(map[string]string)
	for _, a := range table.Accounts {
		if len(a) != 7 {
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
		mini:                         "authorized <nil> never <nil>",
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
	world.StorePlatform()
	world.StoreComponentToken()
	f := world.Start(wire)
	if got := runSurvey(t, f); got.Checked != 26 {
		t.Fatalf("the first survey: %+v", got)
	}
	runSurvey(t, f) // learns 20 kinds
	runSurvey(t, f) // and the rest
	first, before := items(world), len(world.AWS.Recorded())
	world.Clock.Forward(time.Minute)
	want := surveyResult{Task: "check-switches", Accounts: 26, KnownOpen: 1, Checked: 25}
	if diff := cmp.Diff(want, runSurvey(t, f)); diff != "" {
		t.Errorf("the survey without news (-want +got):\n%s", diff)
	}
	var calls []string
	for _, call := range world.AWS.Recorded()[before:] {
		calls = append(calls, call.Operation)
	}
	slices.Sort(calls)
	wantCalls := []string{"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "secretsmanager:ListSecrets"}
	if diff := cmp.Diff(wantCalls, calls); diff != "" {
		t.Errorf("calls of AWS (-want +got):\n%s", diff)
	}
	if times := asked(world); times[wechattest.ExampleOpen] != 1 || times[ids[0]] != 4 {
		t.Errorf("asked %v", times)
	}

	// A week later checked_at is worth a write, although nothing else changed.
	world.Clock.Forward(7 * 24 * time.Hour)
	for _, id := range ids {
		world.StoreAccountToken(id)
	}
	runSurvey(t, f)
	second := items(world)
	for id := range first {
		if written := !cmp.Equal(first[id], second[id]); written != (id != wechattest.ExampleOpen) {
			t.Errorf("%s was written: %t", id, written)
		}
	}
}

// TestSurveyOrder: every account once, starting where the last survey stopped, and those without an item before it
// wraps around.
func TestSurveyOrder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ after, want string }{ // - has but a token
		{"", "2 4 6 8 - - - -"},
		{numbered(4), "6 8 - - - - 2 4"},
		{numbered(5), "6 8 - - - - 2 4"}, // it is there no more
		{numbered(8), "- - - - 2 4 6 8"},
		{numbered(9), "- - - - 2 4 6 8"},
	} {
		for _, store := range []string{"secretsmanager", "dynamodb"} {
			t.Run(store+" after "+test.after, func(t *testing.T) {
				t.Parallel()
				world := functiontest.New(t)
				world.Env["ACCOUNT_TOKEN_STORE"] = store
				for _, n := range []int{2, 4, 6, 8} {
					world.SetAccount(numbered(n), fields{"status": "authorized", "draft_switch": "closed"})
				}
				for _, n := range []int{1, 2, 3, 7, 8, 9} {
					world.WeChat.AddAccount(wechattest.Account{AppID: numbered(n), Authorized: true})
					storeInTable(world, numbered(n))
					world.StoreAccountToken(numbered(n))
				}
				world.AWS.SetItem(functiontest.TokenTable, fields{"appid": "readme"})
				world.AWS.SetSecret("wechat/draftbox/accounts/readme", "no account")
				var got, missing []string
				for a, err := range newSurvey(world).all(t.Context(), test.after) {
					if err != nil {
						t.Fatal(err)
					}
					if a.IsStored() {
						got = append(got, strings.TrimLeft(a.AppID, "wx0"))
						continue
					}
					got, missing = append(got, "-"), append(missing, a.AppID)
					world.SetAccount(a.AppID, fields{"status": "authorized"}) // as the survey does
				}
				slices.Sort(missing)
				if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" || !slices.Equal(missing, []string{numbered(1), numbered(3), numbered(7), numbered(9)}) {
					t.Errorf("without an item %q, order (-want +got):\n%s", missing, diff)
				}
			})
		}
	}
}

// newSurvey is the survey of a function that is started in the world.
func newSurvey(world *functiontest.World) (s survey) {
	world.Start(func(parts bootstrap.Deps) trigger.Router {
		s = newHandler(parts).survey
		return trigger.Router{}
	})
	return s
}

func TestSurveyLearnsTwentyKindsARun(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StorePlatform()
	world.StoreComponentToken()
	ids := appIDs(world, 25, false)
	for _, id := range ids {
		world.SetAccount(id, fields{"status": "authorized", "draft_switch": "unknown"})
	}
	for _, id := range ids[:3] {
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Name: "Tea", Authorized: true, Granted: true, MiniProgram: true})
	}
	world.SetAccount(ids[4], fields{"status": "unauthorized", "draft_switch": "unknown"})
	f := world.Start(wire)
	for run, want := range []struct{ learned, accounts int }{{20, 21}, {1 + 20, 21}, {1 + 20, 21}} {
		got := runSurvey(t, f)
		if n := world.WeChat.Calls(wechattest.PathAuthorizerInfo); got.Accounts != want.accounts || n != min(want.learned+run*4, 24) {
			t.Errorf("run %d: %d calls, %+v", run, n, got)
		}
	}
	if got := world.Account(ids[0]); got["kind"] != "mini-program" || got["name"] != "Tea" || asked(world)[ids[0]] != 0 {
		t.Errorf("recorded %v, and its switch was asked for %d times", got, asked(world)[ids[0]])
	}
	if got := world.Account(ids[24]); got["kind"] != "official-account" || got["draft_switch"] != "closed" {
		t.Errorf("recorded %v", got)
	}
}

func TestSurveyPublishesBeforeItSaves(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		op    string
		fault awstest.Fault
	}{
		"the answer of EventBridge is lost": {"events:PutEvents", awstest.DropAfter()},
		"EventBridge refuses":               {"events:PutEvents", awstest.Deny()},
		"the item can't be written":         {"dynamodb:UpdateItem", awstest.Deny()},
		"the write is throttled":            {"dynamodb:UpdateItem", awstest.Throttle()},
		"the write is dropped":              {"dynamodb:UpdateItem", awstest.Drop()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			world.StorePlatform()
			world.StoreComponentToken() // with which a refusal is confirmed
			id := appIDs(world, 1, true)[0]
			world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "checked_at": closedOnce, "kind": "official-account"})
			world.SetAccount(wechattest.ExampleRevoked, fields{"status": "authorized", "status_at": 1413192605, "draft_switch": "closed", "kind": "official-account"})
			world.StoreAccountToken(wechattest.ExampleRevoked)
			before := items(world)
			f := startWith(world, (&sleeper{}).sleep)

			world.AWS.Fail(fault.op, fault.fault.Sticky())
			if got := runSurvey(t, f); got.Failed != 2 || got.Checked != 0 {
				t.Errorf("with the fault: %+v", got)
			}
			if diff := cmp.Diff(before, items(world)); diff != "" {
				t.Fatalf("something was saved that was not published (-before +after):\n%s", diff)
			}
			world.AWS.Heal("")
			if got := runSurvey(t, f); got.Checked != 1 || got.Failed != 1 {
				t.Errorf("without the fault: %+v", got)
			}
			if got := world.Account(id)["draft_switch"]; got != "open" {
				t.Errorf("%v is recorded", got)
			}
			runSurvey(t, f)
			events, ids := happened(t, world)
			slices.Sort(ids)
			if n, repeated := len(slices.Compact(slices.Clone(ids))), name != "EventBridge refuses"; n != 2 || len(ids) > 2 != repeated {
				t.Errorf("events %q have %d ids: %q", events, n, ids)
			}
		})
	}
}

func TestSurveyWhoseWriteLosesItsAnswer(t *testing.T) {
	t.Parallel()
	for name, recorded := range map[string]bool{"a new item": false, "a known one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			id := appIDs(world, 1, true)[0]
			if recorded {
				world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed"})
			}
			world.AWS.Fail("dynamodb:UpdateItem", awstest.DropAfter())
			if got := runSurvey(t, world.Start(wire)); got.Checked != 1 || got.Failed != 0 {
				t.Errorf("result %+v", got)
			}
			if got := world.Account(id)["draft_switch"]; got != "open" {
				t.Errorf("%v is recorded", got)
			}
		})
	}
}

func TestSurveyRetriesWhatAWSThrottles(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 12, false)
	world.SetAccount(ids[0], fields{"status": "authorized"})
	for _, op := range []string{"dynamodb:Query", "dynamodb:GetItem", "dynamodb:UpdateItem", "secretsmanager:ListSecrets", "secretsmanager:GetSecretValue"} {
		world.AWS.Fail(op, awstest.Throttle(), awstest.Drop())
	}
	world.AWS.Fail("dynamodb:BatchGetItem", awstest.Throttle(), awstest.FailEntries("", 0, 5))
	if got := runSurvey(t, world.Start(wire)); got.Checked != 12 || got.Failed != 0 || len(items(world)) != 12 {
		t.Errorf("result %+v", got)
	}
}

// TestSurveyThatCannotList: the accounts listed before the failure are checked, and the next run continues after them.
func TestSurveyThatCannotList(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		op      string
		faults  []awstest.Fault
		checked int
	}{
		{"dynamodb:GetItem", []awstest.Fault{awstest.Deny().On(cursorResource)}, 0},
		{"dynamodb:Query", []awstest.Fault{awstest.Throttle()}, 0},
		{"dynamodb:Query", []awstest.Fault{awstest.Before(func() {}), awstest.Throttle()}, 10},
		{"secretsmanager:ListSecrets", []awstest.Fault{awstest.Deny()}, 30},
		{"dynamodb:BatchGetItem", []awstest.Fault{awstest.Deny()}, 30},
	} {
		t.Run(fmt.Sprint(test.op, " ", test.checked), func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			ids := appIDs(world, 33, false)
			for _, id := range ids[:30] {
				world.SetAccount(id, fields{"status": "authorized", "note": strings.Repeat("x", 100_000)})
			}
			world.AWS.Fail(test.op, test.faults...)
			f := startWith(world, (&sleeper{}).sleep)
			_, err := f.Invoke(t.Context(), fields{"task": "check-switches"})
			if err == nil || !strings.Contains(err.Error(), test.op) {
				t.Fatalf("error %v", err)
			}
			wantCursor := ""
			if test.checked > 0 {
				wantCursor = ids[test.checked-1]
			}
			if got := len(asked(world)); got != test.checked || cursorOf(world) != wantCursor {
				t.Errorf("%d accounts asked for, want %d; cursor %q, want %q", got, test.checked, cursorOf(world), wantCursor)
			}
			if lines := world.Log.Lines("AccountsOpen"); len(lines) != 0 {
				t.Errorf("counted %q", lines)
			}
			before := len(world.WeChat.Requests(wechattest.PathSwitch))
			if got := runSurvey(t, f); got.Checked != 33 || cursorOf(world) != "" {
				t.Errorf("afterwards: %+v, cursor %q", got, cursorOf(world))
			}
			for _, r := range world.WeChat.Requests(wechattest.PathSwitch)[before:][:3] { // the rest of the order is another test's
				if r.AppID == ids[0] && test.checked > 0 {
					t.Errorf("the second run began with %s", r.AppID)
				}
			}
		})
	}
}

func TestSurveyOfAnswersWithoutState(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, false)[0]
	world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "errcode": 61007})
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Raw(`{"errcode": 0, "errmsg": "ok"}`))
	if got := runSurvey(t, world.Start(wire)); got.Failed != 1 || got.Checked != 0 {
		t.Errorf("result %+v", got)
	}
	account := world.Account(id)
	if _, refused := account["errcode"]; refused || account["draft_switch"] != "closed" {
		t.Errorf("recorded %v: the state that was known stays, and the check was not refused", account)
	}
}

// An account that has a token but no item gets one, whatever the result of its check.
func TestSurveyRecordsAccountsThatHaveButAToken(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 3, false)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45009).For(ids[0]).Always(), wechattest.Refuse(61007).For(ids[1]))
	if got := runSurvey(t, world.Start(wire)); got.Checked != 1 || got.Failed != 2 {
		t.Errorf("result %+v", got)
	}
	for i, want := range []fields{
		{"appid": ids[0], "status": "authorized", "draft_switch": "unknown"},
		{"appid": ids[1], "status": "authorized", "draft_switch": "unknown", "errcode": json.Number("61007")},
		{"appid": ids[2], "status": "authorized", "draft_switch": "closed"},
	} {
		got := world.Account(ids[i])
		delete(got, "checked_at")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// TestSurveyGoesOnWhereItStopped: 20 accounts hang and block the survey until its deadline.
func TestSurveyGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := setClosed(world, appIDs(world, 200, false))
	for _, id := range ids[10 : 10+maxInFlight] {
		world.WeChat.Fail(wechattest.PathSwitch, wechattest.Hang().For(id).Always())
	}
	f := world.Start(wire)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	result, err := f.Invoke(ctx, fields{"task": "check-switches"})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("error %v, context %v", err, ctx.Err())
	}
	var got surveyResult
	json.Unmarshal(result, &got)
	at := slices.Index(ids, cursorOf(world))
	if got.Failed != 0 || at < 0 || at == len(ids)-1 || at < got.Checked-1 {
		t.Errorf("result %+v, cursor %q", got, cursorOf(world))
	}
	if lines := world.Log.Lines(`"AccountsOpen"`); len(lines) != 0 {
		t.Errorf("accounts were counted, but not all: %q", lines)
	}

	world.WeChat.Heal("")
	before := len(world.WeChat.Requests(wechattest.PathSwitch))
	if got := runSurvey(t, f); got.Accounts != 200 || got.Checked != 200 || cursorOf(world) != "" {
		t.Errorf("the second run: %+v, cursor %q", got, cursorOf(world))
	}
	for i, r := range world.WeChat.Requests(wechattest.PathSwitch)[before:] {
		if n := slices.Index(ids, r.AppID); i < 200-at-workers && n <= at {
			t.Errorf("the second run asked for account %d as its number %d, although it began behind %d", n, i, at)
		}
	}
}

// If the time runs out among the accounts without an item, the next run continues with the rest.
func TestSurveyThatStopsAmongAccountsWithoutAnItem(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 100, false)
	setClosed(world, ids[40:45])
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).When(func(r wechattest.Request) bool {
		return !slices.Contains(ids[40:45], r.AppID)
	}).Always())
	if got := runSurvey(t, startWith(world, (&sleeper{}).sleep)); got.Checked != 5 || got.Failed < maxDeferred || got.Failed == 95 {
		t.Fatalf("result %+v", got)
	}
	if got := cursorOf(world); got != ids[44] {
		t.Errorf("the next run goes on behind %q", got)
	}
}

func TestSurveyWhoseCursorCannotBeSaved(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := setClosed(world, appIDs(world, 3, false))
	world.AWS.SetItem(functiontest.StateTable, fields{"pk": "survey", "sk": "cursor", "after": ids[1]})
	world.AWS.Fail("dynamodb:UpdateItem", awstest.Deny())
	if got := runSurvey(t, world.Start(wire)); got.Checked != 3 || cursorOf(world) != ids[1] || len(world.Log.Lines("could not save where")) != 1 {
		t.Errorf("result %+v", got)
	}
}

func TestSurveyDefersAMinuteQuota(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := setClosed(world, appIDs(world, 30, false))
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(ids[3]).Times(2))
	s := &sleeper{times: -1}
	if got := runSurvey(t, startWith(world, s.sleep)); got.Checked != 30 || got.Failed != 0 {
		t.Errorf("result %+v", got)
	}
	if diff := cmp.Diff([]time.Duration{time.Minute, time.Minute}, s.slept); diff != "" {
		t.Errorf("slept (-want +got):\n%s", diff)
	}
	for id, times := range asked(world) {
		if want := map[string]int{ids[3]: 3}[id]; times != max(want, 1) {
			t.Errorf("%s asked for %d times", id, times)
		}
	}
}

func TestSurveyPausesWhenThePlatformsMinuteIsUsedUp(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := setClosed(world, appIDs(world, 200, false))
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).Always())
	s := &sleeper{}
	f := startWith(world, s.sleep)
	got := runSurvey(t, f)
	calls := world.WeChat.Calls(wechattest.PathSwitch)
	if calls < maxDeferred || calls > maxDeferred+workers || got.Failed != calls || got.Checked != 0 {
		t.Errorf("%d calls, result %+v", calls, got)
	}
	if len(s.slept) == 0 || slices.ContainsFunc(s.slept, func(d time.Duration) bool { return d != time.Minute }) {
		t.Errorf("slept %v", s.slept)
	}
	if cursorOf(world) != ids[calls-1] {
		t.Errorf("%d calls, but the next run goes on behind %q", calls, cursorOf(world))
	}

	// With enough time it completes.
	world.WeChat.Heal("")
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).Times(3*maxDeferred))
	s.times = -1
	if got := runSurvey(t, f); got.Checked != 200 || got.Failed != 0 || cursorOf(world) != "" {
		t.Errorf("result %+v, cursor %q", got, cursorOf(world))
	}
}

func TestSurveyHasNoMinuteBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 3, false)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(ids[0]).Always())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	result, err := startWith(world, retry.Sleep).Invoke(ctx, fields{"task": "check-switches"})
	if err != nil || ctx.Err() != nil {
		t.Errorf("error %v, context %v", err, ctx.Err())
	}
	if want := `"checked":2,"failed":1}`; !strings.Contains(string(result), want) {
		t.Errorf("result %s", result)
	}
}

func TestSurveysAtOnce(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 12, true)
	for _, id := range ids {
		world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "checked_at": closedOnce})
	}
	var runs sync.WaitGroup
	for range 3 {
		f := world.Start(wire)
		runs.Go(func() { runSurvey(t, f) })
	}
	runs.Wait()
	for _, id := range ids {
		if got := world.Account(id); got["draft_switch"] != "open" {
			t.Errorf("recorded %v", got)
		}
	}
	_, changes := happened(t, world)
	slices.Sort(changes)
	if n := len(slices.Compact(changes)); n != 12 {
		t.Errorf("%d ids of 12 changes", n)
	}
}

// A push may come while an account is being checked. Neither loses what the other wrote.
func TestSurveyBesideAnotherWriter(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, true)[0]
	world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed"})
	world.AWS.Fail("dynamodb:UpdateItem", awstest.Before(func() {
		world.SetAccount(id, fields{"status": "unauthorized", "status_at": 1413192605, "draft_switch": "closed"})
	}))
	runSurvey(t, world.Start(wire))
	got := world.Account(id)
	delete(got, "checked_at")
	want := fields{"appid": id, "status": "unauthorized", "status_at": json.Number("1413192605"), "draft_switch": "open"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSurveyWithTokensInDynamoDB(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.Env["ACCOUNT_TOKEN_STORE"] = "dynamodb"
	for n := range 123 { // more than one batch of reads
		id := numbered(1000 + n)
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true})
		storeInTable(world, id)
	}
	world.StoreAccountToken(wechattest.ExampleClosed) // where no token is looked for
	if got := runSurvey(t, world.Start(wire)); got.Accounts != 123 || got.Checked != 123 || len(items(world)) != 123 {
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
	result, err := world.Start(wire).Invoke(t.Context(), fields{"detail-type": "Scheduled Event", "source": "aws.events", "detail": fields{}})
	if want := `{"task":"check-switches","accounts":1,"known_open":0,"queued":0,"checked":1,"failed":0}`; err != nil || string(result) != want {
		t.Errorf("result %s, error %v", result, err)
	}
}

func TestSurveyKeepsTwentyCallsInFlight(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t, wechattest.WithLatency(200*time.Millisecond))
	setClosed(world, appIDs(world, 100, false))
	var mu sync.Mutex
	now, most := 0, 0
	f := world.Start(func(parts bootstrap.Deps) trigger.Router {
		h := newHandler(parts)
		limited := h.survey.recorder.check.wechat.(limitedClient)
		limited.wechat = counting{limited, func(by int) {
			mu.Lock()
			defer mu.Unlock()
			now += by
			most = max(most, now)
		}}
		h.survey.recorder.check.wechat = limited
		return h.router()
	})
	if got := runSurvey(t, f); got.Checked != 100 {
		t.Errorf("result %+v", got)
	}
	if most != maxInFlight {
		t.Errorf("%d calls at once", most)
	}
}

// counting counts concurrent checks.
type counting struct {
	limitedClient
	count func(int)
}

func (c counting) CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error) {
	c.count(1)
	defer c.count(-1)
	return c.wechat.CheckDraftSwitch(ctx, account)
}

// A single 61003 doesn't end an authorization: another call has to confirm it.
func TestSurveyConfirmsThatAnAuthorizationEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		info   *wechattest.Fault // what the second call meets; nil: an answer
		status string
	}{
		"it ended":              {new(wechattest.Refuse(61003)), "unauthorized"},
		"it didn't":             {nil, "authorized"},
		"that can't be told":    {new(wechattest.Refuse(45009)), "authorized"},
		"that can't be heard":   {new(wechattest.Raw("<html>")), "authorized"},
		"another right is gone": {new(wechattest.Refuse(48001)), "authorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			world.StorePlatform()
			world.StoreComponentToken()
			id := appIDs(world, 1, false)[0]
			world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed", "kind": "official-account"})
			world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(61003))
			if c.info != nil {
				world.WeChat.Fail(wechattest.PathAuthorizerInfo, c.info.Always())
			}
			if got := runSurvey(t, startWith(world, (&sleeper{}).sleep)); got.Failed != 1 || got.Checked != 0 {
				t.Errorf("result %+v", got)
			}
			account := world.Account(id)
			if account["status"] != c.status || account["draft_switch"] != "closed" || account["errcode"] != json.Number("61003") {
				t.Errorf("item %v", account)
			}
			if n := len(published(world, "Account Unauthorized")); (n == 1) != (c.status == "unauthorized") {
				t.Errorf("%d events", n)
			}
		})
	}
}
