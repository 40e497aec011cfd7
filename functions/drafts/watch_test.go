package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/functiontest"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechattest"
)

// watchScene is a world and a function in it that watches.
type watchScene struct {
	*functiontest.World
	t      *testing.T
	drafts *functiontest.Function
	told   int // how many events were looked at
}

func newWatchScene(t *testing.T, options ...wechattest.Option) *watchScene {
	world := functiontest.New(t, options...)
	world.StoreComponentToken()
	return &watchScene{World: world, t: t, drafts: world.Start(wire)}
}

func watchOn(t *testing.T, drafts *functiontest.Function) (watched, error) {
	t.Helper()
	result, err := drafts.Invoke(t.Context(), map[string]string{"task": watchTask})
	var w watched
	if err == nil {
		err = json.Unmarshal(result, &w)
	}
	return w, err
}

// watch runs a watch that has to be good, and returns its result and the events that it sent.
func (s *watchScene) watch() (watched, []told) {
	s.t.Helper()
	result, err := watchOn(s.t, s.drafts)
	if err != nil {
		s.t.Fatalf("watch: %v", err)
	}
	return result, s.events()
}

// fail runs a watch that has to fail, and returns its error and the events that it sent.
func (s *watchScene) fail() (string, []told) {
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

// told is an event as a consumer sees it.
type told struct {
	Kind     string         `json:"-"`
	ID       string         `json:"id"`
	Draft    map[string]any `json:"draft"`
	Previous map[string]any `json:"previous"`
}

// String is the kind and the drafts' ids, as in "Draft Uploaded 5 for 4".
func (e told) String() string {
	text := fmt.Sprintf("%s %v", e.Kind, e.Draft["draft_id"])
	if e.Previous != nil {
		text += fmt.Sprintf(" for %v", e.Previous["draft_id"])
	}
	return text
}

func brief(events []told) (all []string) {
	for _, e := range events {
		all = append(all, e.String())
	}
	return all
}

// events are those that came since it was called last.
func (s *watchScene) events() (all []told) {
	s.t.Helper()
	accepted := s.AWS.Events()
	for _, e := range accepted[s.told:] {
		if e.Source != "wechat.draftbox" || e.Bus != "default" {
			s.t.Errorf("event of source %q on bus %q", e.Source, e.Bus)
		}
		one := told{Kind: e.DetailType}
		if err := json.Unmarshal(e.Detail, &one); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, one)
	}
	s.told = len(accepted)
	return all
}

// wants compares what a watch said and sent with what it should have.
func (s *watchScene) wants(drafts, uploaded, removed int, events ...string) []told {
	s.t.Helper()
	result, got := s.watch()
	if diff := cmp.Diff(watched{watchTask, drafts, uploaded, removed, false}, result); diff != "" {
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

// quiet checks that there are no news.
func (s *watchScene) quiet(drafts int) {
	s.t.Helper()
	s.wants(drafts, 0, 0)
}

func TestWatchTellsUploadReplacementAndRemoval(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	result, events := s.watch()
	if diff := cmp.Diff(watched{watchTask, 2, 0, 0, true}, result); diff != "" || len(events) > 0 {
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
	previous := map[string]any{"draft_id": 5.0, "create_time": want["create_time"],
		"user_version": "1.0\n第一版", "source_miniprogram_appid": "wxaaaaaaaaaaaaaaaa"}
	if diff := cmp.Diff(previous, second[0].Previous); diff != "" {
		t.Errorf("previous (-want +got):\n%s", diff)
	}

	s.WeChat.RemoveDraft(6)
	third := s.wants(2, 0, 1, "Draft Removed 6")
	if third[0].Draft["user_version"] != "1.1" || third[0].Draft["source_miniprogram_appid"] != "wxaaaaaaaaaaaaaaaa" {
		t.Errorf("removed draft: %v", third[0].Draft)
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

func TestWatchWithoutNewsCostsOneCallAndOneRead(t *testing.T) {
	t.Parallel()
	for name, count := range map[string]int{"few": 2, "five hundred": 500} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.fill(count, commit)
			s.baseline()
			before := len(s.AWS.Recorded())
			calls := s.WeChat.Calls("")
			s.quiet(count + 2)
			if got := s.WeChat.Calls("") - calls; got != 1 {
				t.Errorf("%d calls of WeChat", got)
			}
			var ops []string
			for _, call := range s.AWS.Recorded()[before:] {
				ops = append(ops, call.Operation)
			}
			if diff := cmp.Diff([]string{"ssm:GetParametersByPath"}, ops); diff != "" {
				t.Errorf("calls of AWS (-want +got):\n%s", diff)
			}
		})
	}
}

// commit is a version as CI writes it: nothing in it can be compressed but that it is hexadecimal.
func commit(i int) string {
	return fmt.Sprintf("%x 提交于第%d次构建", sha256.Sum256(fmt.Append(nil, i)), i)[24:]
}

// hostile is a version of 2,000 characters that can't be compressed.
func hostile(i int) string {
	var text []rune
	for n := 0; len(text) < 500; n++ {
		for _, b := range sha256.Sum256(fmt.Append(nil, i, n)) {
			switch {
			case b < 32:
				text = append(text, rune(b), '"')
			default:
				text = append(text, 0x4e00+rune(b)*83+rune(i%83))
			}
		}
	}
	return string(text[:500])
}

func program(i int) string {
	return fmt.Sprintf("wx%.8x", sha256.Sum256(fmt.Append(nil, "program", i)))
}

// fill uploads drafts of as many mini programs.
func (s *watchScene) fill(count int, version func(int) string) {
	for i := range count {
		s.upload(program(i), version(i))
	}
}

func TestWatchStaysWithinTheLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version func(int) string
		steps   []int
		writes  int // at most, for one draft
	}{"commits": {commit, []int{20, 200, 500}, 1}, "hostile versions": {hostile, []int{500}, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.baseline()
			growing := 0
			for _, count := range c.steps { // the stand-in refuses what SSM refuses
				for ; growing < count; growing++ {
					s.upload(program(growing), c.version(growing))
				}
				result, events := s.watch()
				if result.Drafts != count+2 || result.Uploaded != len(events) {
					t.Errorf("%d drafts: %+v and %d events", count, result, len(events))
				}
				s.quiet(count + 2)
			}
			seen := s.AWS.Parameters("/wechat/draftbox/drafts-seen")
			for name, value := range seen {
				if len(value) > 8192 {
					t.Errorf("%s has %d bytes", name, len(value))
				}
			}
			t.Logf("%d parameters", len(seen))

			writes := s.AWS.Calls("ssm:PutParameter")
			s.Clock.Forward(time.Minute)
			id := s.upload(program(77), c.version(501))
			replaced := s.wants(502, 1, 0, fmt.Sprintf("Draft Uploaded %d for %d", id, 77+5))
			if writes = s.AWS.Calls("ssm:PutParameter") - writes; writes > c.writes {
				t.Errorf("one new draft of 500 cost %d writes", writes)
			}
			previous := replaced[0].Previous
			version, _ := previous["user_version"].(string)
			if whole := c.version(77); !strings.HasPrefix(whole, version) || len(version) < min(len(whole), 800) {
				t.Errorf("the previous version is %d bytes, of %d: %q", len(version), len(whole), version)
			} else if cut := previous["truncated"] != nil; cut != (version != whole) {
				t.Errorf("previous is marked as cut: %v", cut)
			}

			for _, d := range s.WeChat.Drafts() { // shrinking
				if d.DraftID != 0 {
					s.WeChat.RemoveDraft(d.DraftID)
				}
			}
			if result, events := s.watch(); result.Drafts != 1 || result.Removed != 501 || len(events) != 501 {
				t.Errorf("all gone but one: %+v and %d events", result, len(events))
			}
			if left := s.AWS.Parameters("/wechat/draftbox/drafts-seen"); len(left) != 1 {
				t.Errorf("one draft stands in %d parameters", len(left))
			}
			s.quiet(1)
		})
	}
}

// A run that dies is followed by one that tells everything that has not been told, and whatever it tells again under
// the same id.
func TestWatchDies(t *testing.T) {
	t.Parallel()
	pass := awstest.Delay(0)
	for name, c := range map[string]struct {
		op     string
		faults []awstest.Fault
		sent   int // events that were accepted before it died
	}{
		"before the events":                {"events:PutEvents", []awstest.Fault{awstest.Deny()}, 0},
		"between two batches of events":    {"events:PutEvents", []awstest.Fault{pass, awstest.Deny()}, 10},
		"with an entry refused to the end": {"events:PutEvents", []awstest.Fault{awstest.FailEntries("InternalFailure", 3), awstest.FailEntries("InternalFailure", 0), awstest.FailEntries("InternalFailure", 0)}, 9},
		"between the events and the state": {"ssm:PutParameter", []awstest.Fault{awstest.Deny()}, 24},
		"between two pages of the state":   {"ssm:PutParameter", []awstest.Fault{pass, awstest.Deny()}, 24},
		"before the last page":             {"ssm:PutParameter", []awstest.Fault{pass, pass, awstest.Deny()}, 24},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.fill(50, hostile) // several pages
			s.baseline()
			s.Clock.Forward(time.Minute)
			want := make(map[string]string) // id by what is told
			for i := range 22 {             // replaced and new
				draft := wechattest.Draft{DraftID: 1000 + int64(i), SourceMiniProgramAppID: program(50 + i), UserVersion: hostile(1000 + i)}
				if i < 10 { // of those that are on different pages
					draft.SourceMiniProgramAppID = program(5 * i)
				}
				s.WeChat.UploadDraft(draft)
				want[eventID(t, eventbus.DraftUploaded, s.WeChat.Drafts(), draft.DraftID)] = fmt.Sprint("Draft Uploaded ", draft.DraftID)
			}
			for _, i := range []int{1, 38} {
				id := int64(5 + i)
				want[eventID(t, eventbus.DraftRemoved, s.WeChat.Drafts(), id)] = fmt.Sprint("Draft Removed ", id)
				s.WeChat.RemoveDraft(id)
			}
			state := s.AWS.Parameters("/wechat/draftbox/drafts-seen")
			if len(state) < 4 {
				t.Fatalf("the state has %d pages, too few for this test", len(state))
			}

			s.AWS.Fail(c.op, c.faults...)
			_, before := s.fail()
			if len(before) != c.sent {
				t.Errorf("%d events were sent before it died, want %d: %v", len(before), c.sent, brief(before))
			}
			if c.op == "events:PutEvents" {
				if diff := cmp.Diff(state, s.AWS.Parameters("/wechat/draftbox/drafts-seen")); diff != "" {
					t.Errorf("the state changed before the events were accepted:\n%s", diff)
				}
			}
			s.AWS.Heal("")
			_, after := s.watch()
			got := make(map[string]string)
			for _, e := range append(before, after...) {
				text, _, _ := strings.Cut(e.String(), " for ")
				got[e.ID] = text
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
	s := newWatchScene(t)
	s.fill(60, hostile)
	s.AWS.Fail("ssm:PutParameter", awstest.Delay(0), awstest.Delay(0), awstest.Deny())
	s.fail()
	if s.AWS.Calls("ssm:PutParameter") != 3 || len(s.AWS.Parameters("/wechat/draftbox/drafts-seen")) != 2 {
		t.Fatal("it should have died after two pages")
	}
	s.upload("wxaaaaaaaaaaaaaaaa", "1") // nobody has seen the box before
	s.WeChat.RemoveDraft(64)
	s.baseline()
	s.quiet(62)
}

// The answer is lost, and the SDK asks once more.
func TestWatchLosesAnswers(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.AWS.Fail("ssm:PutParameter", awstest.DropAfter()) // the repeat finds the page there
	s.baseline()
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	s.AWS.Fail("events:PutEvents", awstest.DropAfter())
	s.AWS.Fail("ssm:PutParameter", awstest.DropAfter())
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
		s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(keyless), wechattest.Refuse(45009), wechattest.Raw(keyless))
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
	const name = "/wechat/draftbox/drafts-seen/0"
	for fault, c := range map[string]struct {
		set  func(*watchScene)
		says []string
	}{
		"state is malformed": {func(s *watchScene) { s.AWS.SetParameter(name, "H4sI") }, []string{name, "malformed", "former version"}},
		"state is clear":     {func(s *watchScene) { s.AWS.SetParameter(name, `{"drafts":[]}`) }, []string{name, "malformed"}},
		"state can't be read": {func(s *watchScene) { s.AWS.Fail("ssm:GetParametersByPath", awstest.Deny()) },
			[]string{"ssm:GetParametersByPath", "AccessDenied"}},
		"WeChat refuses": {func(s *watchScene) { s.WeChat.Fail(wechattest.PathDraftList, wechattest.Refuse(45009)) }, []string{"45009"}},
		"an entry without id": {func(s *watchScene) {
			s.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"draft_list":[{"create_time":1}]}`))
		}, []string{"no id"}},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.baseline()
			s.upload("wxaaaaaaaaaaaaaaaa", "1")
			good, _, _ := s.AWS.Parameter(name)
			c.set(s)
			bad, _, _ := s.AWS.Parameter(name)
			text, events := s.fail()
			for _, part := range append(c.says, "watch-drafts") {
				if !strings.Contains(text, part) {
					t.Errorf("the error %q does not say %q", text, part)
				}
			}
			if now, _, _ := s.AWS.Parameter(name); now != bad || len(events) > 0 {
				t.Errorf("it sent %v and left the state as %q", events, now)
			}
			if bad != good { // mended as the error says
				s.AWS.SetParameter(name, good)
			}
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
	s.AWS.Fail("ssm:PutParameter", awstest.Before(func() {
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

// Another run, which listed the box earlier, writes between this one's read and write.
func TestWatchMakesItsChangesToWhatAnotherWrote(t *testing.T) {
	t.Parallel()
	const name = "/wechat/draftbox/drafts-seen/0"
	s := newWatchScene(t)
	s.baseline()
	s.upload("wxaaaaaaaaaaaaaaaa", "1")
	s.WeChat.RemoveDraft(4)
	unseen := record{DraftID: 3, CreateTime: 1500000000, SourceMiniprogramAppID: "wxbbbbbbbbbbbbbbbb"}
	s.AWS.Fail("ssm:PutParameter", awstest.Before(func() {
		s.AWS.SetParameter(name, seenPage(t, s).with([]record{unseen}).encode())
	}))
	s.wants(2, 1, 1, "Draft Uploaded 5", "Draft Removed 4")
	var ids []int64
	for _, r := range seenPage(t, s).Drafts {
		ids = append(ids, r.DraftID)
	}
	if diff := cmp.Diff([]int64{0, 3, 5}, ids); diff != "" {
		t.Errorf("drafts that are remembered (-want +got):\n%s", diff)
	}
	if seenPage(t, s).Keyless {
		t.Error("the last answer had a draft_list")
	}
	s.wants(2, 0, 1, "Draft Removed 3")
}

// seenPage is the first page of what is remembered.
func seenPage(t *testing.T, s *watchScene) pageContent {
	t.Helper()
	name := "/wechat/draftbox/drafts-seen/0"
	text, version, _ := s.AWS.Parameter(name)
	content, err := decodePage(parameter.Value{Name: name, Text: secret.New(text), Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCut(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain": strings.Repeat("a", 50), "Chinese": strings.Repeat("长", 20), "quotes": strings.Repeat(`"\`, 20),
		"white space": strings.Repeat("\n\t\r\b\f", 9), "controls": strings.Repeat("\x00\x1f\x7f", 9),
		"separators": strings.Repeat("\u2028\u2029", 5), "emoji": strings.Repeat("\U0001f600", 9), "web": strings.Repeat("<&>", 12),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			size := func(text string) int {
				encoded, err := plainjson.Marshal(text)
				if err != nil {
					t.Fatal(err)
				}
				return len(encoded) - len(`""`)
			}
			for limit := range size(text) + 2 {
				got := cut(text, limit)
				if !strings.HasPrefix(text, got) || !utf8.ValidString(got) || size(got) > limit {
					t.Fatalf("at %d: %q takes %d", limit, got, size(got))
				}
				_, next := utf8.DecodeRuneInString(text[len(got):])
				if longer := text[:len(got)+next]; longer != got && size(longer) <= limit {
					t.Fatalf("at %d: %q, but %q fits", limit, got, longer)
				}
			}
		})
	}
	if got := cut("a", -1); got != "" {
		t.Errorf("where there is no room at all: %q", got)
	}
}

// Two first runs: what came between them has to be told.
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
	s.told = 0
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

func TestWatchCutsWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("长\n", 70_000) // 280 KB, and more as JSON
	for name, c := range map[string]struct {
		draft     wechattest.Draft
		truncated []any
	}{
		"description": {wechattest.Draft{UserVersion: "1.0", UserDesc: long}, []any{"user_desc"}},
		"both":        {wechattest.Draft{UserVersion: long, UserDesc: long}, []any{"user_desc", "user_version"}},
		"all": {wechattest.Draft{UserVersion: long, UserDesc: long, SourceMiniProgram: long, Developer: long},
			[]any{"user_desc", "user_version", "source_miniprogram", "developer"}},
		"a key of tomorrow": {wechattest.Draft{UserVersion: "1.0", Extra: map[string]any{"new": long}}, []any{"*"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWatchScene(t)
			s.baseline()
			c.draft.SourceMiniProgramAppID = "wxaaaaaaaaaaaaaaaa"
			s.WeChat.UploadDraft(c.draft)
			s.upload("wxbbbbbbbbbbbbbbbb", "not held up")
			events := s.wants(4, 2, 0, "Draft Uploaded 5", "Draft Uploaded 6")
			got := events[0].Draft
			if diff := cmp.Diff(c.truncated, got["truncated"]); diff != "" {
				t.Errorf("truncated (-want +got):\n%s", diff)
			}
			if events[1].Draft["truncated"] != nil || got["draft_id"] != 5.0 || got["create_time"] == nil ||
				got["source_miniprogram_appid"] != "wxaaaaaaaaaaaaaaaa" {
				t.Errorf("draft: %.200v", got)
			}
			if version, _ := got["user_version"].(string); !strings.HasPrefix(c.draft.UserVersion, version) || len(c.draft.UserVersion) < 9 && version != "1.0" {
				t.Errorf("version %.100q", version)
			}
			detail := s.AWS.Events()[0].Detail
			if len(detail) > eventbus.MaxDetail || name != "a key of tomorrow" && len(detail) < eventbus.MaxDetail*9/10 {
				t.Errorf("the detail has %d bytes", len(detail))
			}
		})
	}
}

func TestWatchHeedsTheDeadline(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.AWS.Fail("ssm:GetParametersByPath", awstest.Hang().Sticky())
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := s.drafts.Invoke(ctx, map[string]string{"task": watchTask})
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "ssm:GetParametersByPath") {
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
