package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// watchScene is a world and a function in it that watches.
type watchScene struct {
	*functiontest.World
	t      *testing.T
	drafts *functiontest.Function
	seen   int // how many events were looked at
}

func newWatchScene(t *testing.T, options ...wechattest.Option) *watchScene {
	world := functiontest.New(t, options...)
	world.StoreComponentToken()
	return &watchScene{World: world, t: t, drafts: world.Start(wire)}
}

func watchOn(t *testing.T, drafts *functiontest.Function) (watchResult, error) {
	t.Helper()
	result, err := drafts.Invoke(t.Context(), map[string]string{"task": watchTask})
	var w watchResult
	if err == nil {
		err = json.Unmarshal(result, &w)
	}
	return w, err
}

// watch runs a watch that must succeed, and returns its result and the published events.
func (s *watchScene) watch() (watchResult, []event) {
	s.t.Helper()
	result, err := watchOn(s.t, s.drafts)
	if err != nil {
		s.t.Fatalf("watch: %v", err)
	}
	return result, s.events()
}

// fail runs a watch that must fail, and returns its error and the published events.
func (s *watchScene) fail() (string, []event) {
	s.t.Helper()
	result, err := watchOn(s.t, s.drafts)
	if err == nil {
		s.t.Fatalf("the watch should have failed, but it says %+v", result)
	}
	return err.Error(), s.events()
}

// baseline runs the first watch.
func (s *watchScene) baseline() {
	s.t.Helper()
	if result, events := s.watch(); !result.Baseline || len(events) > 0 {
		s.t.Fatalf("the first watch says %+v and sent %v", result, events)
	}
}

// event is an event as a consumer sees it.
type event struct {
	Kind     string         `json:"-"`
	ID       string         `json:"id"`
	Draft    map[string]any `json:"draft"`
	Previous map[string]any `json:"previous"`
}

// String is the kind and the drafts' ids, as in "Draft Uploaded 5 for 4".
func (e event) String() string {
	text := fmt.Sprintf("%s %v", e.Kind, e.Draft["draft_id"])
	if e.Previous != nil {
		text += fmt.Sprintf(" for %v", e.Previous["draft_id"])
	}
	return text
}

func brief(events []event) (all []string) {
	for _, e := range events {
		all = append(all, e.String())
	}
	return all
}

// events returns the events since the last call.
func (s *watchScene) events() (all []event) {
	s.t.Helper()
	accepted := s.AWS.Events()
	for _, e := range accepted[s.seen:] {
		if e.Source != "wechat.draftbox" || e.Bus != "default" || !slices.Equal(e.Resources, []string{"wechat/draftbox"}) {
			s.t.Errorf("event of source %q on bus %q about %q", e.Source, e.Bus, e.Resources)
		}
		one := event{Kind: e.DetailType}
		if err := json.Unmarshal(e.Detail, &one); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, one)
	}
	s.seen = len(accepted)
	return all
}

// wants compares a watch's result and events with the expected ones.
func (s *watchScene) wants(drafts, uploaded, removed int, events ...string) []event {
	s.t.Helper()
	result, got := s.watch()
	if diff := cmp.Diff(watchResult{watchTask, drafts, uploaded, removed, false}, result); diff != "" {
		s.t.Errorf("result (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(events, brief(got)); diff != "" {
		s.t.Errorf("events (-want +got):\n%s", diff)
	}
	return got
}

func (s *watchScene) upload(program, version string) int64 {
	return s.WeChat.UploadDraft(wechattest.Draft{UserVersion: version, UserDesc: "of " + program,
		SourceMiniProgramAppID: program, SourceMiniProgram: program + "'s name", Developer: "dev"})
}

// quiet runs a watch that has nothing to publish.
func (s *watchScene) quiet(drafts int) {
	s.t.Helper()
	s.wants(drafts, 0, 0)
}

func TestWatchPublishesUploadReplacementAndRemoval(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	result, events := s.watch()
	if diff := cmp.Diff(watchResult{watchTask, 2, 0, 0, true}, result); diff != "" || len(events) > 0 {
		t.Fatalf("the first watch sent %v and says (-want +got):\n%s", events, diff)
	}

	s.upload("wxaaaaaaaaaaaaaaaa", "1.0\n第一版")
	first := s.wants(3, 1, 0, "Draft Uploaded 5")
	want := map[string]any{
		"draft_id": 5.0, "create_time": float64(s.WeChat.Drafts()[2].CreateTime),
		"created_at":   time.Unix(s.WeChat.Drafts()[2].CreateTime, 0).UTC().Format(time.RFC3339),
		"user_version": "1.0\n第一版", "user_desc": "of wxaaaaaaaaaaaaaaaa", "source_miniprogram_appid": "wxaaaaaaaaaaaaaaaa",
		"source_miniprogram": "wxaaaaaaaaaaaaaaaa's name", "developer": "dev", "category_list": []any{},
	}
	if diff := cmp.Diff(want, first[0].Draft); diff != "" {
		t.Errorf("draft (-want +got):\n%s", diff)
	}

	s.Clock.Forward(time.Minute)
	s.upload("wxaaaaaaaaaaaaaaaa", "1.1")
	second := s.wants(3, 1, 0, "Draft Uploaded 6 for 5")
	if diff := cmp.Diff(want, second[0].Previous); diff != "" {
		t.Errorf("previous (-want +got):\n%s", diff)
	}

	s.WeChat.RemoveDraft(6)
	third := s.wants(2, 0, 1, "Draft Removed 6")
	if diff := cmp.Diff(second[0].Draft, third[0].Draft); diff != "" {
		t.Errorf("removed draft (-want +got):\n%s", diff)
	}
	if ids := map[string]bool{first[0].ID: true, second[0].ID: true, third[0].ID: true}; len(ids) != 3 || ids[""] {
		t.Errorf("the ids of three events: %v", ids)
	}

	for _, line := range []string{
		`"task":"watch-drafts","drafts":2,"uploaded":0,"removed":0,"baseline":true`,
		`"task":"watch-drafts","drafts":2,"uploaded":0,"removed":1,"baseline":false`,
	} {
		if len(s.Log.Lines(line)) != 1 {
			t.Errorf("log lines with %s: %q", line, s.Log.Lines(line))
		}
	}
}

func TestWatchDraftZero(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.WeChat.RemoveDraft(0)
	s.WeChat.RemoveDraft(4)
	s.baseline()
	zero := `{"errcode":0,"draft_list":[{"draft_id":0,"create_time":1488965944,"user_version":"VVV","source_miniprogram_appid":"wx6"}]}`
	s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(zero))
	s.wants(1, 1, 0, "Draft Uploaded 0")
	s.wants(0, 0, 1, "Draft Removed 0")
}

// The example's two drafts are of one mini program.
func TestWatchDraftsOfOneMiniProgram(t *testing.T) {
	t.Parallel()
	t.Run("both replaced", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.upload("wx6XXXXXXXXXXXXXXX", "12")
		s.wants(1, 1, 0, "Draft Uploaded 5 for 4")
		s.quiet(1)
	})
	t.Run("the newer one gone", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.WeChat.RemoveDraft(4)
		s.wants(1, 0, 1, "Draft Removed 4")
	})
	t.Run("the older one gone, as WeChat keeps the newest", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.WeChat.RemoveDraft(0)
		s.wants(1, 0, 0)
	})
}

func TestWatchUnnamedMiniPrograms(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	unnamed := []string{"source_miniprogram_appid", "source_miniprogram", "developer"}
	old := s.WeChat.UploadDraft(wechattest.Draft{UserVersion: "1", Omit: unnamed})
	s.baseline()
	s.WeChat.RemoveDraft(old)
	s.WeChat.UploadDraft(wechattest.Draft{UserVersion: "2", Omit: unnamed})
	s.wants(3, 1, 1, "Draft Uploaded 6", "Draft Removed 5")
}

func TestWatchDraftListedTwice(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	one := `{"draft_id":7,"create_time":100,"source_miniprogram_appid":"wx7"}`
	s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"draft_list":[`+one+`,`+one+`]}`))
	s.wants(1, 1, 2, "Draft Uploaded 7", "Draft Removed 0", "Draft Removed 4")
}

// A draft can't have replaced one that is newer.
func TestWatchOlderDraftAppears(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	box := func(drafts ...int) wechattest.Fault {
		var list []string
		for _, id := range drafts {
			list = append(list, fmt.Sprintf(`{"draft_id":%d,"create_time":%[1]d,"source_miniprogram_appid":"wx7"}`, id))
		}
		return wechattest.Raw(`{"draft_list":[` + strings.Join(list, ",") + `]}`)
	}
	s.WeChat.Fail(wechattest.PathDraftList, box(100), box(200, 50), box(50))
	s.baseline()
	s.wants(2, 2, 0, "Draft Uploaded 50", "Draft Uploaded 200 for 100")
	s.wants(1, 0, 1, "Draft Removed 200")
}

func TestWatchIDUsedAgain(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	box := func(at int) wechattest.Fault {
		return wechattest.Raw(fmt.Sprintf(`{"draft_list":[{"draft_id":7,"create_time":%d,"user_version":"v%[1]d","source_miniprogram_appid":"wx6"}]}`, at))
	}
	s.WeChat.Fail(wechattest.PathDraftList, box(100), box(200), box(200))
	s.baseline()
	events := s.wants(1, 1, 0, "Draft Uploaded 7 for 7")
	if events[0].Draft["user_version"] != "v200" || events[0].Previous["user_version"] != "v100" {
		t.Errorf("event: %+v", events[0])
	}
	s.quiet(1)
}

// calls are the calls of AWS's services but Secrets Manager that do makes, by operation.
func (s *watchScene) calls(do func()) map[string]int {
	before := len(s.AWS.Recorded())
	do()
	calls := make(map[string]int)
	for _, call := range s.AWS.Recorded()[before:] {
		if call.Service != "secretsmanager" {
			calls[call.Operation]++
		}
	}
	return calls
}

func TestWatchCost(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"few": 2, "five hundred": 498} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			for i := range count {
				s.upload(program(i), "1")
			}
			s.baseline()
			calls := s.WeChat.Calls("")
			wantCalls(t, map[string]int{"dynamodb:Query": 1}, s.calls(func() { s.quiet(count + 2) }))
			if got := s.WeChat.Calls("") - calls; got != 1 {
				t.Errorf("%d calls of WeChat", got)
			}
			s.Clock.Forward(time.Minute)
			s.upload(program(0), "2")
			wantCalls(t, map[string]int{"dynamodb:Query": 1, "dynamodb:BatchGetItem": 1, "events:PutEvents": 1, "dynamodb:TransactWriteItems": 2},
				s.calls(func() { s.wants(count+2, 1, 0, fmt.Sprintf("Draft Uploaded %d for 5", count+5)) }))

			for _, d := range s.WeChat.Drafts()[1:] {
				s.WeChat.RemoveDraft(d.DraftID)
			}
			if result, events := s.watch(); result.Drafts != 1 || result.Removed != count+1 || len(events) != count+1 {
				t.Errorf("all gone but one: %+v and %d events", result, len(events))
			}
			s.quiet(1)
		})
	}
}

func wantCalls(t *testing.T, want, got map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls of AWS (-want +got):\n%s", diff)
	}
}

func program(i int) string {
	return fmt.Sprintf("wx%.8x", sha256.Sum256(fmt.Append(nil, "program", i)))
}

const write = "dynamodb:TransactWriteItems"

// state is what the table holds of drafts.
func (s *watchScene) state() []map[string]any { return s.AWS.Items(functiontest.StateTable) }

// After a crash, the next run publishes everything unpublished, and repeats have the same ids.
func TestWatchDies(t *testing.T) {
	t.Parallel()
	pass := awstest.Delay(0)
	passes := func(n int) []awstest.Fault { return slices.Repeat([]awstest.Fault{pass}, n) }
	for name, c := range map[string]struct {
		op     string
		faults []awstest.Fault
		sent   int // events that were accepted before it died
	}{
		"before it knows the drafts that are gone": {"dynamodb:BatchGetItem", []awstest.Fault{awstest.Deny()}, 0},
		"before the events":                        {"events:PutEvents", []awstest.Fault{awstest.Deny()}, 0},
		"between two batches of events":            {"events:PutEvents", []awstest.Fault{pass, awstest.Deny()}, 10},
		"with an entry refused to the end":         {"events:PutEvents", []awstest.Fault{awstest.FailEntries("InternalFailure", 3), awstest.FailEntries("InternalFailure", 0), awstest.FailEntries("InternalFailure", 0)}, 9},
		"between the events and the state":         {write, []awstest.Fault{awstest.Deny().Sticky()}, 24},
		"within the state":                         {write, append(passes(15), awstest.Deny().Sticky()), 24},
		"before the last write of the state":       {write, append(passes(33), awstest.Deny().Sticky()), 24},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			for i := range 50 {
				s.upload(program(i), "1")
			}
			s.baseline()
			s.Clock.Forward(time.Minute)
			want := make(map[string]string) // by id
			for i := range 22 {             // of which 10 replace one
				draft := wechattest.Draft{DraftID: 1000 + int64(i), SourceMiniProgramAppID: program(50 + i), UserVersion: "2"}
				if i < 10 {
					draft.SourceMiniProgramAppID = program(5 * i)
				}
				s.WeChat.UploadDraft(draft)
				text := fmt.Sprint("Draft Uploaded ", draft.DraftID)
				if i < 10 {
					text += fmt.Sprint(" for ", 5+5*i)
				}
				want[eventID(t, eventbus.DraftUploaded, s.WeChat.Drafts(), draft.DraftID)] = text
			}
			for _, i := range []int{1, 38} {
				id := int64(5 + i)
				want[eventID(t, eventbus.DraftRemoved, s.WeChat.Drafts(), id)] = fmt.Sprint("Draft Removed ", id)
				s.WeChat.RemoveDraft(id)
			}
			before := s.state()

			s.AWS.Fail(c.op, c.faults...)
			_, sent := s.fail()
			if len(sent) != c.sent {
				t.Errorf("%d events were sent before it died, want %d: %v", len(sent), c.sent, brief(sent))
			}
			if c.op != write {
				if diff := cmp.Diff(before, s.state()); diff != "" {
					t.Errorf("the state changed before the events were accepted:\n%s", diff)
				}
			}
			s.AWS.Heal("")
			_, repeated := s.watch()
			got := make(map[string]string)
			for _, e := range append(sent, repeated...) { // a repeat is like the first
				if text := e.String(); got[e.ID] == "" || got[e.ID] == text {
					got[e.ID] = text
				} else {
					t.Errorf("%s, and then %s", got[e.ID], text)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("events by id (-want +got):\n%s", diff)
			}
			s.quiet(len(s.WeChat.Drafts()))
		})
	}
}

// eventID is the id of an event about a draft of the box.
func eventID(t *testing.T, kind string, box []wechattest.Draft, id int64) string {
	t.Helper()
	for _, d := range box {
		if d.DraftID == id {
			return eventbus.ID(kind, d.DraftID, d.CreateTime)
		}
	}
	t.Fatalf("no draft %d", id)
	return ""
}

func TestWatchDiesInTheBaseline(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{"within the state": write, "before its last write": "dynamodb:UpdateItem"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.upload(program(0), "1")
			s.AWS.Fail(fault, awstest.Deny())
			s.fail()
			s.upload(program(1), "1") // nobody has seen the box before
			s.WeChat.RemoveDraft(5)
			s.baseline()
			s.quiet(3)
			if gone, ok := s.AWS.Item(functiontest.StateTable, "draft", sortKey(s.WeChat.Drafts(), 6)); !ok || gone["gone_at"] != nil {
				t.Errorf("a draft in the box is %v", gone)
			}
		})
	}
}

// sortKey is that of a draft's items.
func sortKey(box []wechattest.Draft, id int64) string {
	for _, d := range box {
		if d.DraftID == id {
			return fmt.Sprintf("%020d#%020d", d.CreateTime, id)
		}
	}
	return "none"
}

// The answers are lost, and the SDK asks once more.
func TestWatchLosesAnswers(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.AWS.Fail(write, awstest.DropAfter())
	s.AWS.Fail("dynamodb:UpdateItem", awstest.DropAfter())
	s.baseline()
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	s.AWS.Fail("events:PutEvents", awstest.DropAfter())
	s.AWS.Fail("dynamodb:*", awstest.DropAfter(), awstest.DropAfter())
	events := s.wants(3, 1, 0, "Draft Uploaded 5", "Draft Uploaded 5")
	if events[0].ID != events[1].ID {
		t.Errorf("one draft, two ids: %v", events)
	}
	s.quiet(3)
}

func TestWatchPartOfTheEventsIsRefused(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	for i := range 4 {
		s.upload(program(i), "1")
	}
	s.AWS.Fail("events:PutEvents", awstest.FailEntries("ThrottlingException", 1, 3), awstest.FailEntries("InternalFailure", 1))
	s.wants(6, 4, 0, "Draft Uploaded 5", "Draft Uploaded 7", "Draft Uploaded 6", "Draft Uploaded 8")
	s.quiet(6)
}

func TestWatchAnswerWithoutDraftList(t *testing.T) {
	t.Parallel()
	const keyless = `{"errcode":0,"errmsg":"ok"}`
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		for range 2 { // the second is not in a row with the first
			s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless))
			s.quiet(2)
			s.quiet(2)
		}
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless).Times(3))
		s.quiet(2)
		s.wants(0, 0, 2, "Draft Removed 0", "Draft Removed 4")
		s.quiet(0)
		s.wants(2, 2, 0, "Draft Uploaded 0", "Draft Uploaded 4")
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless))
		s.quiet(2)
	})
	t.Run("a failed run between", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless), wechattest.Refuse(61004), wechattest.Raw(keyless))
		s.quiet(2)
		s.fail()
		s.wants(0, 0, 2, "Draft Removed 0", "Draft Removed 4")
	})
	t.Run("an empty list", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.baseline()
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"errcode":0,"draft_list":[]}`))
		s.wants(0, 0, 2, "Draft Removed 0", "Draft Removed 4")
	})
	t.Run("before the baseline, with drafts that are known", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.AWS.Fail("dynamodb:UpdateItem", awstest.Deny()) // a first watch that died
		s.fail()
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless).Times(2))
		s.quiet(2)
		if result, events := s.watch(); !result.Baseline || result.Drafts != 0 || len(events) > 0 {
			t.Errorf("the baseline says %+v and sent %v", result, events)
		}
		s.wants(2, 2, 0, "Draft Uploaded 0", "Draft Uploaded 4")
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless))
		s.quiet(2) // it is the first in a row again
	})
	t.Run("first of all", func(t *testing.T) {
		t.Parallel()
		s := newWatchScene(t)
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless))
		s.baseline()
		s.wants(2, 2, 0, "Draft Uploaded 0", "Draft Uploaded 4")
	})
}

func TestWatchFailuresChangeNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail func(*watchScene)
		says string
	}{
		"the table can't be read":  {func(s *watchScene) { s.AWS.Fail("dynamodb:Query", awstest.Deny()) }, "dynamodb:Query wechat-draftbox-state/box: AccessDeniedException"},
		"the table is missing":     {func(s *watchScene) { s.AWS.Fail("dynamodb:Query", awstest.Refuse("ResourceNotFoundException", 400)) }, "ResourceNotFoundException"},
		"the table can't be asked": {func(s *watchScene) { s.AWS.Fail("dynamodb:Query", awstest.Throttle().Sticky()) }, "ThrottlingException"},
		"WeChat refuses":           {func(s *watchScene) { s.WeChat.Fail(wechattest.PathDraftList, wechattest.Refuse(61004)) }, "61004"},
		"an entry without id": {func(s *watchScene) {
			s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"draft_list":[{"create_time":1}]}`))
		}, "no id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.baseline()
			s.upload("wxaaaaaaaaaaaaaaaa", "1")
			before := s.state()
			c.fail(s)
			text, events := s.fail()
			if !strings.Contains(text, c.says) || !strings.HasPrefix(text, "watch-drafts: ") {
				t.Errorf("the error %q does not say %q", text, c.says)
			}
			if diff := cmp.Diff(before, s.state()); diff != "" || len(events) > 0 {
				t.Errorf("it sent %v and changed the state:\n%s", events, diff)
			}
			s.AWS.Heal("")
			s.wants(3, 1, 0, "Draft Uploaded 5")
		})
	}
}

// Another run begins and ends between the events and the state of the first, and sees more than it.
func TestWatchOvertaken(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	other := s.Start(wire)
	s.AWS.Fail(write, awstest.Before(func() {
		s.upload("wxbbbbbbbbbbbbbbbb", "1")
		s.WeChat.RemoveDraft(4)
		if result, err := watchOn(t, other); err != nil || result.Uploaded != 2 || result.Removed != 1 {
			t.Errorf("the other run: %+v, %v", result, err)
		}
	}))
	if result, _ := s.watch(); result.Uploaded != 1 {
		t.Errorf("the overtaken run: %+v", result)
	}
	s.quiet(3) // what the other saw is not forgotten
	s.WeChat.RemoveDraft(6)
	s.wants(2, 0, 1, "Draft Removed 6")
}

// Another run records a draft that arrived after this one listed the box: it isn't gone.
func TestWatchOvertakenWhileItLists(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	other := s.Start(wire)
	s.WeChat.Fail(wechattest.PathDraftList, wechattest.Rewrite(func(body []byte) []byte {
		s.upload("wxaaaaaaaaaaaaaaaa", "1")
		if result, err := watchOn(t, other); err != nil || result.Uploaded != 1 {
			t.Errorf("the other run: %+v, %v", result, err)
		}
		return body
	}))
	s.wants(2, 0, 0, "Draft Uploaded 5")
	s.quiet(3)
}

// Two runs publish that a draft was replaced, and the later of the two has nothing to change.
func TestWatchOverlaps(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	s.baseline()
	s.Clock.Forward(time.Minute)
	s.upload("wxaaaaaaaaaaaaaaaa", "2")
	other := s.Start(wire)
	var written []map[string]any
	s.AWS.Fail(write, awstest.Before(func() {
		if result, err := watchOn(t, other); err != nil || result.Uploaded != 1 {
			t.Errorf("the other run: %+v, %v", result, err)
		}
		written = s.state()
		s.Clock.Forward(time.Minute)
	}))
	events := s.wants(3, 1, 0, "Draft Uploaded 6 for 5", "Draft Uploaded 6 for 5")
	if events[0].ID != events[1].ID {
		t.Errorf("one draft, two ids: %v", events)
	}
	if diff := cmp.Diff(written, s.state()); diff != "" {
		t.Errorf("the state (-of the first run +of the second):\n%s", diff)
	}
	s.quiet(3)
}

// A conflicting write is repeated; a run whose writes always conflict starts over, and finally gives up.
func TestWatchMeetsAnotherWrite(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	conflict := awstest.Refuse("TransactionConflictException", 400)
	s.AWS.Fail(write, conflict, conflict)
	s.wants(3, 1, 0, "Draft Uploaded 5")
	s.WeChat.RemoveDraft(5)
	s.AWS.Fail(write, conflict.Sticky())
	if text, events := s.fail(); len(events) != 3 || !strings.Contains(text, "TransactionConflictException") {
		t.Errorf("%q after %d events", text, len(events))
	}
	s.AWS.Heal("")
	s.wants(2, 0, 1, "Draft Removed 5")
}

// A draft whose item was deleted from the table is published as far as it is known.
func TestWatchLacksAWholeDraft(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	s.baseline()
	s.AWS.DeleteItem(functiontest.StateTable, "draft", sortKey(s.WeChat.Drafts(), 5))
	s.WeChat.RemoveDraft(5)
	events := s.wants(2, 0, 1, "Draft Removed 5")
	if got := events[0].Draft; got["source_miniprogram_appid"] != "wxaaaaaaaaaaaaaaaa" || got["create_time"] == nil || got["truncated"] == nil {
		t.Errorf("draft %v", got)
	}
}

// Two first runs: what came between them has to be published.
func TestWatchOvertakenInTheBaseline(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	other := s.Start(wire)
	// The token is read after the state and before the box.
	s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Before(func() {
		if result, err := watchOn(t, other); err != nil || !result.Baseline {
			t.Errorf("the other run: %+v, %v", result, err)
		}
		s.upload("wxaaaaaaaaaaaaaaaa", "1")
	}))
	s.wants(3, 1, 0, "Draft Uploaded 5")
}

// After a crashed first run, two more run: the one that sees less doesn't lose what the other one recorded.
func TestWatchOvertakenInASecondBaseline(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.AWS.Fail("dynamodb:UpdateItem", awstest.Deny())
	s.fail()
	other := s.Start(wire)
	s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"draft_list":[{"draft_id":0,"create_time":1488965944}]}`))
	s.AWS.Fail(write, awstest.Before(func() {
		if result, err := watchOn(t, other); err != nil || !result.Baseline || result.Drafts != 2 {
			t.Errorf("the other run: %+v, %v", result, err)
		}
	}))
	s.quiet(2)
	s.quiet(2)
}

// A promotion may see a draft before any watch.
func TestWatchOfPromotedDrafts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(s *watchScene)
		drafts    int
		want      []string
	}{
		"in the box": {func(*watchScene) {}, 3, []string{"Draft Uploaded 5"}},
		"gone":       {func(s *watchScene) { s.WeChat.RemoveDraft(5) }, 2, nil}, // it was never announced
		"replaced": {func(s *watchScene) {
			s.Clock.Forward(time.Minute)
			s.upload("wxaaaaaaaaaaaaaaaa", "2")
		}, 3, []string{"Draft Uploaded 6 for 5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.baseline()
			s.upload("wxaaaaaaaaaaaaaaaa", "1")
			key := sortKey(s.WeChat.Drafts(), 5)
			s.Clock.Forward(minListAge)
			promoted := draftOf(t, s.drafts, 5)
			s.Start(func(parts bootstrap.Deps) trigger.Router {
				table := state.NewTable(dynamodb.NewFromConfig(parts.AWS), functiontest.StateTable, parts.Now)
				if err := table.Drafts(0).AddTemplate(t.Context(), promoted, 7); err != nil {
					t.Error(err)
				}
				return wire(parts)
			})
			c.meanwhile(s)
			s.wants(c.drafts, len(c.want), 0, c.want...)
			s.quiet(c.drafts)
			record, _ := s.AWS.Item(functiontest.StateTable, "draft", key)
			if gone := record["gone_at"] != nil; gone != (name != "in the box") || !cmp.Equal(record["template_ids"], []any{json.Number("7")}) {
				t.Errorf("record %v", record)
			}
		})
	}
}

func draftOf(t *testing.T, drafts *functiontest.Function, id int64) (d wechat.Draft) {
	t.Helper()
	drafts.HTTP(t.Context(), "GET", fmt.Sprint("/drafts/", id), "").Decode(t, &d)
	return d
}

func TestWatchManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.baseline()
	instances := []*functiontest.Function{s.drafts, s.Start(wire), s.Start(wire)}
	want := make(map[string]bool)
	for round := range 30 {
		s.Clock.Forward(time.Minute)
		var running sync.WaitGroup
		for _, instance := range instances {
			running.Go(func() {
				if _, err := watchOn(t, instance); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range 3 {
			id := s.upload(program(round%7*3+i), fmt.Sprint(round))
			want[eventID(t, eventbus.DraftUploaded, s.WeChat.Drafts(), id)] = true
		}
		running.Wait()
		s.watch() // so that each upload is there long enough to be seen
		s.quiet(2 + min(round+1, 7)*3)
	}
	got := make(map[string]bool)
	s.seen = 0
	for _, e := range s.events() {
		if e.Kind != eventbus.DraftUploaded {
			t.Errorf("nothing was removed, but %s", e)
		}
		got[e.ID] = true
	}
	for id := range want {
		if !got[id] {
			t.Errorf("no event %s", id)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events by id, want %d", len(got), len(want))
	}
}

// An event holds the draft and the previous one as far as they fit; the history has the rest.
func TestWatchTruncates(t *testing.T) {
	t.Parallel()
	text := func(size int) string { return strings.Repeat("长\n", size/len("长\n ")) }
	for name, c := range map[string]struct {
		previous, draft            int   // bytes of the descriptions
		truncated, truncatedBefore []any // keys
	}{
		"none":                  {100 << 10, 100 << 10, nil, nil},
		"a large one alone":     {1 << 10, 240 << 10, nil, nil},
		"a large one before":    {240 << 10, 1 << 10, nil, nil},
		"too large":             {1 << 10, 300 << 10, []any{"user_desc"}, nil},
		"too large before":      {300 << 10, 1 << 10, nil, []any{"user_desc"}},
		"both":                  {300 << 10, 300 << 10, []any{"user_desc"}, []any{"user_desc"}},
		"larger than an item":   {500 << 10, 500 << 10, []any{"user_desc"}, []any{"user_desc"}},
		"too large, both whole": {150 << 10, 150 << 10, []any{"user_desc"}, []any{"user_desc"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			source := "wxaaaaaaaaaaaaaaaa"
			s.WeChat.UploadDraft(wechattest.Draft{UserVersion: "1.0", UserDesc: text(c.previous), SourceMiniProgramAppID: source})
			s.baseline()
			s.Clock.Forward(time.Minute)
			s.WeChat.UploadDraft(wechattest.Draft{UserVersion: "1.1", UserDesc: text(c.draft), SourceMiniProgramAppID: source})
			s.upload("wxbbbbbbbbbbbbbbbb", "not held up")
			events := s.wants(4, 2, 0, "Draft Uploaded 6 for 5", "Draft Uploaded 7")
			for _, part := range []struct {
				draft     map[string]any
				truncated []any
				version   string
				sent      string
			}{{events[0].Draft, c.truncated, "1.1", text(c.draft)}, {events[0].Previous, c.truncatedBefore, "1.0", text(c.previous)}} {
				desc, _ := part.draft["user_desc"].(string)
				if diff := cmp.Diff(part.truncated, part.draft["truncated"], cmpopts.EquateEmpty()); diff != "" && (part.truncated != nil || part.draft["truncated"] != nil) {
					t.Errorf("truncated of %s (-want +got):\n%s", part.version, diff)
				}
				if part.draft["user_version"] != part.version || !strings.HasPrefix(part.sent, desc) || part.truncated == nil && desc != part.sent {
					t.Errorf("%s: %d of %d bytes", part.version, len(desc), len(part.sent))
				}
			}
			detail := s.AWS.Events()[0].Detail
			if len(detail) > eventbus.MaxDetail || (c.truncated != nil || c.truncatedBefore != nil) && len(detail) < eventbus.MaxDetail*9/10 {
				t.Errorf("the detail has %d bytes", len(detail))
			}
		})
	}
}

func TestWatchHeedsTheDeadline(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.AWS.Fail("dynamodb:Query", awstest.Hang().Sticky())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := s.drafts.Invoke(ctx, map[string]string{"task": watchTask})
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "dynamodb:Query") {
		t.Errorf("before the invocation ended (%v) the watch said: %v", ctx.Err(), err)
	}
}

func TestWatchEvents(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"watch-drafts.json", "scheduled-event.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			event, err := os.ReadFile("../../events/drafts/" + file)
			if err != nil {
				t.Fatal(err)
			}
			s := newWatchScene(t)
			result, err := s.drafts.Invoke(t.Context(), json.RawMessage(event))
			if want := `{"task":"watch-drafts","drafts":2,"uploaded":0,"removed":0,"baseline":true}`; err != nil || string(result) != want {
				t.Errorf("got %s, %v; want %s", result, err, want)
			}
		})
	}
}
