package state_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

const day = 24 * time.Hour

// draft is one as WeChat sends it.
func draft(t *testing.T, id, createTime int64, source string, more ...string) wechat.Draft {
	t.Helper()
	text := fmt.Sprintf(`{"draft_id":%d,"create_time":%d,"source_miniprogram_appid":%q%s}`, id, createTime, source, strings.Join(more, ""))
	var d wechat.Draft
	must(t, json.Unmarshal([]byte(text), &d))
	return d
}

func itemKey(createTime, id int64) string { return fmt.Sprintf("%020d#%020d", createTime, id) }

func mustBox(t *testing.T, drafts state.Drafts) state.Box {
	t.Helper()
	box, err := drafts.Box(t.Context())
	must(t, err)
	return box
}

func mustHistory(t *testing.T, drafts state.Drafts, q state.HistoryQuery) ([]state.DraftRecord, string) {
	t.Helper()
	page, next, err := drafts.History(t.Context(), q)
	must(t, err)
	return page, next
}

var all = state.HistoryQuery{Until: math.MaxInt64, Limit: 1000}

var ignoreEncoded = cmpopts.IgnoreUnexported(wechat.Upload{})

func TestDraftComesAndGoes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts := f.Drafts(30 * day)
	wantDiff(t, "box before any watch", state.Box{Drafts: map[state.DraftKey]state.BoxEntry{}}, mustBox(t, drafts))

	first, second := draft(t, 0, 100, "wx6", `,"user_version":"1.0","new":{"n":[1]}`), draft(t, 7, 200, "wx6")
	must(t, drafts.Add(t.Context(), first, false))
	if box := mustBox(t, drafts); box.Watched || len(box.Drafts) != 1 {
		t.Errorf("box in the first watch: %+v", box)
	}
	must(t, drafts.FinishBaseline(t.Context()))
	f.clock.forward(time.Hour)
	must(t, drafts.FinishBaseline(t.Context())) // another first watch
	wantDiff(t, "watch", map[string]any{"baseline_at": "2026-01-02T03:04:05Z"}, f.item("box", "watch"))
	must(t, drafts.Add(t.Context(), second, true))
	wantDiff(t, "box", state.Box{Watched: true, Drafts: map[state.DraftKey]state.BoxEntry{
		{CreateTime: 100, DraftID: 0}: {SourceAppID: "wx6"}, {CreateTime: 200, DraftID: 7}: {SourceAppID: "wx6"},
	}}, mustBox(t, drafts))

	key := state.KeyOf(second)
	must(t, drafts.MarkGone(t.Context(), state.KeyOf(first), &key, true))
	f.clock.forward(time.Hour)
	must(t, drafts.MarkGone(t.Context(), state.KeyOf(first), &state.DraftKey{CreateTime: 300}, true)) // another watch: the first one's record stays
	must(t, drafts.MarkGone(t.Context(), key, nil, true))
	wantDiff(t, "box", state.Box{Watched: true, Drafts: map[state.DraftKey]state.BoxEntry{}}, mustBox(t, drafts))
	goneAt := start.Add(time.Hour)
	wantDiff(t, "item", map[string]any{
		"draft":   `{"draft_id":0,"create_time":100,"created_at":"1970-01-01T00:01:40Z","user_version":"1.0","source_miniprogram_appid":"wx6","new":{"n":[1]}}`,
		"seen_at": "2026-01-02T03:04:05Z", "gone_at": "2026-01-02T04:04:05Z", "replaced_by": itemKey(200, 7),
		"expires": json.Number(fmt.Sprint(goneAt.Add(30 * day).Unix())),
	}, f.item("draft", itemKey(100, 0)))
	page, next := mustHistory(t, drafts, all)
	wantDiff(t, "history", []state.DraftRecord{
		{Draft: second, SeenAt: goneAt, GoneAt: goneAt.Add(time.Hour), TemplateIDs: []int64{}},
		{Draft: first, SeenAt: start, GoneAt: goneAt, ReplacedBy: &key, TemplateIDs: []int64{}},
	}, page, ignoreEncoded)
	if next != "" {
		t.Errorf("next is %q", next)
	}
	whole, err := drafts.Get(t.Context(), []state.DraftKey{state.KeyOf(first), {CreateTime: 1}})
	must(t, err)
	wantDiff(t, "whole", map[state.DraftKey]wechat.Draft{state.KeyOf(first): first}, whole, ignoreEncoded)

	must(t, drafts.Add(t.Context(), first, true)) // it is back
	if item := f.item("draft", itemKey(100, 0)); item["gone_at"] != nil || item["expires"] != nil || item["replaced_by"] != nil || item["seen_at"] != "2026-01-02T03:04:05Z" {
		t.Errorf("item %v", item)
	}
}

func TestDraftIsKeptForEver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts := f.Drafts(0)
	must(t, drafts.Add(t.Context(), draft(t, 1, 100, ""), true))
	must(t, drafts.MarkGone(t.Context(), state.DraftKey{CreateTime: 100, DraftID: 1}, nil, true))
	if item := f.item("draft", itemKey(100, 1)); item["gone_at"] == nil || item["expires"] != nil {
		t.Errorf("item %v", item)
	}
}

// What a first watch found out counts only until another one has recorded the baseline: afterwards it has to be published.
func TestBaselineRace(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(*testing.T, state.Drafts) error{
		"added": func(t *testing.T, d state.Drafts) error { return d.Add(t.Context(), draft(t, 9, 900, "wx6"), false) },
		"gone": func(t *testing.T, d state.Drafts) error {
			return d.MarkGone(t.Context(), state.DraftKey{CreateTime: 100, DraftID: 1}, nil, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			drafts := f.Drafts(0)
			must(t, drafts.Add(t.Context(), draft(t, 1, 100, "wx6"), false)) // of a first watch that died
			f.aws.Fail("dynamodb:TransactWriteItems", awstest.Before(func() {
				if err := drafts.FinishBaseline(t.Context()); err != nil {
					t.Error(err)
				}
			}))
			wantKind(t, write(t, drafts), awserror.Conflict)
			if box := mustBox(t, drafts); !box.Watched || len(box.Drafts) != 1 {
				t.Errorf("box %+v", box)
			}
			if items := f.aws.Items(tableName); len(items) != 3 || f.item("draft", itemKey(100, 1))["gone_at"] != nil {
				t.Errorf("something was written: %v", items)
			}
		})
	}
}

// The entry in the box and the record in the history change together or not at all, and a repeat changes nothing.
func TestDraftWritesAreAtomic(t *testing.T) {
	t.Parallel()
	one := draft(t, 1, 100, "wx6")
	for name, write := range map[string]func(*testing.T, state.Drafts) error{
		"Add":         func(t *testing.T, d state.Drafts) error { return d.Add(t.Context(), one, true) },
		"MarkGone":    func(t *testing.T, d state.Drafts) error { return d.MarkGone(t.Context(), state.KeyOf(one), nil, true) },
		"AddTemplate": func(t *testing.T, d state.Drafts) error { return d.AddTemplate(t.Context(), one, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			drafts := f.Drafts(day)
			if name == "MarkGone" {
				must(t, drafts.Add(t.Context(), one, true))
			}
			before := f.aws.Items(tableName)
			f.aws.Fail("dynamodb:TransactWriteItems", awstest.Deny(), awstest.DropAfter())
			wantKind(t, write(t, drafts), awserror.Unavailable)
			wantDiff(t, "items after a failure", before, f.aws.Items(tableName))
			f.wantCalls(t, func() { must(t, write(t, drafts)) }, "dynamodb:TransactWriteItems", "dynamodb:TransactWriteItems")
			after := f.aws.Items(tableName)
			must(t, write(t, drafts))
			wantDiff(t, "items after a repeat", after, f.aws.Items(tableName))
		})
	}
}

// Transactions that meet on an item cancel each other.
func TestDraftWritesMeet(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts, one := f.Drafts(0), draft(t, 1, 100, "wx6")
	for code, kind := range map[string]awserror.Kind{
		"TransactionConflictException": awserror.Conflict, "TransactionInProgressException": awserror.Unavailable, "ThrottlingException": awserror.Unavailable,
	} {
		f.aws.Fail("dynamodb:TransactWriteItems", awstest.Refuse(code, 400).Sticky())
		wantKind(t, drafts.Add(t.Context(), one, true), kind)
		f.aws.Heal("")
	}
	f.aws.Fail("dynamodb:TransactWriteItems", awstest.Refuse("TransactionConflictException", 400))
	must(t, drafts.AddTemplate(t.Context(), one, 5)) // which repeats by itself
	f.aws.Fail("dynamodb:TransactWriteItems", awstest.Refuse("TransactionConflictException", 400).Sticky())
	wantKind(t, drafts.AddTemplate(t.Context(), one, 6), awserror.Conflict)
}

func TestPromotions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts := f.Drafts(0)
	watched, unseen, gone := draft(t, 1, 100, "wx1"), draft(t, 2, 200, "wx2"), draft(t, 3, 300, "wx3")
	must(t, drafts.Add(t.Context(), watched, false))
	must(t, drafts.FinishBaseline(t.Context()))
	must(t, drafts.Add(t.Context(), gone, true))
	must(t, drafts.MarkGone(t.Context(), state.KeyOf(gone), nil, true))
	for _, id := range []int64{7, 5, 7, 0} {
		must(t, drafts.AddTemplate(t.Context(), watched, id))
	}
	must(t, drafts.AddTemplate(t.Context(), unseen, 8))
	must(t, drafts.AddTemplate(t.Context(), gone, 9))
	wantDiff(t, "box", map[state.DraftKey]state.BoxEntry{
		state.KeyOf(watched): {SourceAppID: "wx1"}, state.KeyOf(unseen): {SourceAppID: "wx2", Unannounced: true},
		state.KeyOf(gone): {SourceAppID: "wx3", Unannounced: true}, // as far as this one knew it is there
	}, mustBox(t, drafts).Drafts)
	must(t, drafts.Add(t.Context(), unseen, true)) // a watch publishes it
	must(t, drafts.AddTemplate(t.Context(), unseen, 8))
	if entry := mustBox(t, drafts).Drafts[state.KeyOf(unseen)]; entry.Unannounced {
		t.Error("a draft that was published is unannounced")
	}
	page, _ := mustHistory(t, drafts, all)
	wantDiff(t, "history", []state.DraftRecord{
		{Draft: gone, SeenAt: start, GoneAt: start, TemplateIDs: []int64{9}},
		{Draft: unseen, SeenAt: start, TemplateIDs: []int64{8}},
		{Draft: watched, SeenAt: start, TemplateIDs: []int64{0, 5, 7}},
	}, page, ignoreEncoded)
}

func TestPromotionsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts, one := f.Drafts(0), draft(t, 1, 100, "wx6")
	var running sync.WaitGroup
	want := make([]int64, 20)
	for i := range want {
		want[i] = int64(i)
		running.Go(func() {
			if err := drafts.AddTemplate(t.Context(), one, int64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	page, _ := mustHistory(t, drafts, all)
	wantDiff(t, "templates", want, page[0].TemplateIDs)
}

func TestListMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts := f.Drafts(0)
	for _, missing := range []bool{true, false, true} {
		must(t, drafts.SetListMissing(t.Context(), missing))
		if box := mustBox(t, drafts); box.ListMissing != missing || box.Watched {
			t.Errorf("box %+v", box)
		}
	}
	must(t, drafts.FinishBaseline(t.Context()))
	if box := mustBox(t, drafts); box.ListMissing || !box.Watched {
		t.Errorf("box %+v", box)
	}
}

func TestBoxIsReadInPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const count, size = 40, 50 << 10
	f.setItem("box", "watch", map[string]any{"baseline_at": "2026-01-02T03:04:05Z"})
	f.setItem("box", "no draft", map[string]any{})
	for i := range int64(count) {
		f.setItem("box", itemKey(i, i), map[string]any{"source_miniprogram_appid": strings.Repeat("x", size)})
	}
	f.wantCalls(t, func() {
		if box := mustBox(t, f.Drafts(0)); len(box.Drafts) != count || !box.Watched {
			t.Errorf("%d drafts, watched: %v", len(box.Drafts), box.Watched)
		}
	}, "dynamodb:Query", "dynamodb:Query")
}

// historyOf fills the history with drafts 0 to n-1, each created at 10 times its id.
func historyOf(t *testing.T, n int, more ...string) (fixture, state.Drafts) {
	t.Helper()
	f := newFixture(t)
	for i := range int64(n) {
		d := draft(t, i, 10*i, fmt.Sprint("wx", i%3), more...)
		encoded, err := json.Marshal(d)
		must(t, err)
		f.setItem("draft", itemKey(10*i, i), map[string]any{"draft": string(encoded), "seen_at": "2026-01-02T03:04:05Z"})
	}
	return f, f.Drafts(0)
}

func ids(page []state.DraftRecord) []int64 {
	ids := []int64{}
	for _, r := range page {
		ids = append(ids, r.Draft.DraftID)
	}
	return ids
}

func ofSource(source string) func(wechat.Draft) bool {
	return func(d wechat.Draft) bool { return d.SourceMiniprogramAppID == source }
}

func TestHistory(t *testing.T) {
	t.Parallel()
	_, drafts := historyOf(t, 7)
	for name, c := range map[string]struct {
		query state.HistoryQuery
		want  []int64
		pages int
	}{
		"all":                 {all, []int64{6, 5, 4, 3, 2, 1, 0}, 1},
		"pages of one":        {state.HistoryQuery{Until: math.MaxInt64, Limit: 1}, []int64{6, 5, 4, 3, 2, 1, 0}, 7},
		"pages of three":      {state.HistoryQuery{Until: math.MaxInt64, Limit: 3}, []int64{6, 5, 4, 3, 2, 1, 0}, 3},
		"since":               {state.HistoryQuery{Since: 30, Until: math.MaxInt64, Limit: 9}, []int64{6, 5, 4, 3}, 1},
		"until":               {state.HistoryQuery{Until: 30, Limit: 9}, []int64{3, 2, 1, 0}, 1},
		"between, inclusive":  {state.HistoryQuery{Since: 20, Until: 40, Limit: 2}, []int64{4, 3, 2}, 2},
		"between, in between": {state.HistoryQuery{Since: 21, Until: 39, Limit: 9}, []int64{3}, 1},
		"nothing between":     {state.HistoryQuery{Since: 40, Until: 39, Limit: 9}, []int64{}, 1},
		"before 1970":         {state.HistoryQuery{Since: -20, Until: -10, Limit: 9}, []int64{}, 1},
		"since before 1970":   {state.HistoryQuery{Since: -20, Until: 10, Limit: 9}, []int64{1, 0}, 1},
		"of one":              {state.HistoryQuery{Until: math.MaxInt64, Match: ofSource("wx1"), Limit: 9}, []int64{4, 1}, 1},
		"of one, in pages":    {state.HistoryQuery{Until: math.MaxInt64, Match: ofSource("wx0"), Limit: 1}, []int64{6, 3, 0}, 3},
		"of nobody":           {state.HistoryQuery{Until: math.MaxInt64, Match: ofSource("wx9"), Limit: 9}, []int64{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, pages := []int64{}, 0
			for {
				page, next := mustHistory(t, drafts, c.query)
				got, pages = append(got, ids(page)...), pages+1
				if c.query.After = next; next == "" || pages > 9 {
					break
				}
				if !state.IsDraftPosition(next) {
					t.Errorf("next is %q", next)
				}
			}
			wantDiff(t, "drafts", c.want, got)
			// DynamoDB says that there is more where a page ends with the last one.
			if pages < c.pages || pages > c.pages+1 {
				t.Errorf("%d pages, want %d", pages, c.pages)
			}
		})
	}
}

// A position may come from a page of other times. DynamoDB refuses one outside of the range that is asked for.
func TestHistoryGoesOnWithOtherTimes(t *testing.T) {
	t.Parallel()
	_, drafts := historyOf(t, 7)
	for after, want := range map[int64][]int64{6: {4, 3, 2}, 4: {3, 2}, 2: {}, 1: {}, 0: {}} {
		page, _ := mustHistory(t, drafts, state.HistoryQuery{Since: 20, Until: 40, Limit: 9, After: itemKey(10*after, after)})
		wantDiff(t, fmt.Sprint("after ", after), want, ids(page))
	}
}

func TestHistoryHidesWhatExpired(t *testing.T) {
	t.Parallel()
	f, drafts := historyOf(t, 6)
	for id, expires := range map[int64]int64{5: start.Unix(), 4: start.Unix() + 1, 2: 1} {
		item := f.item("draft", itemKey(10*id, id))
		item["expires"] = expires
		f.setItem("draft", itemKey(10*id, id), item)
	}
	f.setItem("draft", itemKey(10, 1), map[string]any{"draft": "{"}) // can't be read
	page, next := mustHistory(t, drafts, state.HistoryQuery{Until: math.MaxInt64, Limit: 2})
	wantDiff(t, "a page is full all the same", []int64{4, 3}, ids(page))
	page, _ = mustHistory(t, drafts, state.HistoryQuery{Until: math.MaxInt64, Limit: 2, After: next})
	wantDiff(t, "the rest", []int64{0}, ids(page))
	f.clock.forward(time.Second)
	page, _ = mustHistory(t, drafts, all)
	wantDiff(t, "a second later", []int64{3, 0}, ids(page))
}

// A search ends after 5 MB and tells where to go on.
func TestHistoryStopsAfter5MB(t *testing.T) {
	t.Parallel()
	f, drafts := historyOf(t, 30, `,"user_desc":"`+strings.Repeat("x", 300<<10)+`"`)
	for name, c := range map[string]struct {
		match func(wechat.Draft) bool
		want  int
	}{"with a filter": {func(d wechat.Draft) bool { return d.DraftID == 1 }, 1}, "without one": {nil, 30}} {
		q := state.HistoryQuery{Until: math.MaxInt64, Match: c.match, Limit: 1000}
		found, pages := 0, 0
		for {
			before := f.aws.Calls("dynamodb:Query")
			page, next := mustHistory(t, drafts, q)
			if reads := f.aws.Calls("dynamodb:Query") - before; reads > 5 {
				t.Errorf("%s: %d reads", name, reads)
			}
			found, pages = found+len(page), pages+1
			if q.After = next; next == "" || pages > 9 {
				break
			}
		}
		if found != c.want || pages != 2 {
			t.Errorf("%s: %d drafts on %d pages", name, found, pages)
		}
	}
}

func TestIsDraftPosition(t *testing.T) {
	t.Parallel()
	for position, want := range map[string]bool{
		itemKey(10, 0): true, itemKey(math.MaxInt64, math.MaxInt64): true,
		"": false, "watch": false, "10#0": false, itemKey(10, 0) + "0": false, "+" + itemKey(10, 0)[1:]: false, itemKey(10, 0)[:20]: false,
	} {
		if got := state.IsDraftPosition(position); got != want {
			t.Errorf("%q: %v", position, got)
		}
	}
}

// Whole drafts are read in batches of 100 and of 16 MB.
func TestManyWholeDrafts(t *testing.T) {
	t.Parallel()
	_, drafts := historyOf(t, 120, `,"user_desc":"`+strings.Repeat("x", 200<<10)+`"`)
	var keys []state.DraftKey
	for i := range int64(120) {
		keys = append(keys, state.DraftKey{CreateTime: 10 * i, DraftID: i})
	}
	whole, err := drafts.Get(t.Context(), keys)
	must(t, err)
	if len(whole) != 120 || len(whole[keys[119]].UserDesc) != 200<<10 {
		t.Errorf("%d drafts", len(whole))
	}
}

// A draft that DynamoDB wouldn't take whole is stored truncated.
func TestLargeDraftIsStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts := f.Drafts(0)
	for _, d := range []wechat.Draft{
		draft(t, 1, 100, "wx6", `,"user_desc":"`+strings.Repeat("x", 1<<20)+`"`), draft(t, 2, 100, "wx6", `,"new":"`+strings.Repeat("x", 1<<20)+`"`),
	} {
		must(t, drafts.Add(t.Context(), d, true))
		must(t, drafts.AddTemplate(t.Context(), d, 1))
	}
	page, _ := mustHistory(t, drafts, all)
	wantDiff(t, "drafts", []int64{2, 1}, ids(page))
	if n := len(page[1].Draft.UserDesc); n < 350<<10 || page[0].Draft.SourceMiniprogramAppID != "wx6" {
		t.Errorf("%d bytes of the description are left", n)
	}
}
