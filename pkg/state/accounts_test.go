package state_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

var ignoreStored = cmpopts.IgnoreUnexported(state.Account{})

func TestAccountIsStoredAndRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	accounts := f.Accounts()
	unknown, err := accounts.Get(t.Context(), "wx1")
	must(t, err)
	wantDiff(t, "account without an item", state.NewAccount("wx1"), unknown, ignoreStored)
	if unknown.IsStored() {
		t.Error("there is no item")
	}

	want := state.Account{AppID: "wx1", Kind: wechat.MiniProgram, Name: "茶", Status: state.Unauthorized, StatusAt: 1700000000,
		DraftSwitch: wechat.SwitchClosed, CheckedAt: start, Errcode: 61003}
	before, after, err := accounts.Update(t.Context(), "wx1", func(a *state.Account) { *a = want })
	must(t, err)
	wantDiff(t, "before", state.NewAccount("wx1"), before, ignoreStored)
	wantDiff(t, "after", want, after, ignoreStored)
	wantDiff(t, "item", map[string]any{"appid": "wx1", "kind": "mini-program", "name": "茶", "status": "unauthorized",
		"status_at": json.Number("1700000000"), "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z", "errcode": json.Number("61003"),
	}, f.item("account", "wx1"))
	got, err := accounts.Get(t.Context(), "wx1")
	must(t, err)
	wantDiff(t, "account", want, got, ignoreStored)
	if !got.IsStored() {
		t.Error("there is an item")
	}
}

// An operator may write items too.
func TestAccountIsReadTolerantly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setItem("account", "wx1", map[string]any{"kind": "game", "name": 7, "status": true, "status_at": "1700000000",
		"draft_switch": "ajar", "checked_at": "yesterday", "errcode": "x", "note": "ours"})
	got, err := f.Accounts().Get(t.Context(), "wx1")
	must(t, err)
	want := state.NewAccount("wx1")
	want.StatusAt = 1700000000
	wantDiff(t, "account", want, got, ignoreStored)

	_, _, err = f.Accounts().Write(t.Context(), got, func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, start) })
	must(t, err)
	wantDiff(t, "item", map[string]any{"appid": "wx1", "status": "authorized", "status_at": json.Number("1700000000"),
		"draft_switch": "open", "checked_at": "2026-01-02T03:04:05Z", "note": "ours"}, f.item("account", "wx1"))
}

func TestAccountChanges(t *testing.T) {
	t.Parallel()
	open := state.Account{Status: state.Authorized, DraftSwitch: wechat.SwitchOpen, CheckedAt: start, StatusAt: 100}
	closed, refused, ended := open, open, open
	closed.DraftSwitch = wechat.SwitchClosed
	refused.Errcode = 61007
	ended.Status = state.Unauthorized
	later := start.Add(time.Hour)
	for name, c := range map[string]struct {
		from   state.Account
		change func(*state.Account)
		want   func(*state.Account)
	}{
		"open is final: closed":  {open, func(a *state.Account) { a.SetSwitch(wechat.SwitchClosed, later) }, func(a *state.Account) { a.CheckedAt = later }},
		"open is final: unknown": {open, func(a *state.Account) { a.SetSwitch(wechat.SwitchUnknown, later) }, func(a *state.Account) { a.CheckedAt = later }},
		"open is final: refused": {open, func(a *state.Account) { a.SetRefused(61007, later) }, func(a *state.Account) { a.CheckedAt, a.Errcode = later, 61007 }},
		"closed stays where WeChat doesn't say": {closed, func(a *state.Account) { a.SetSwitch(wechat.SwitchUnknown, later) },
			func(a *state.Account) { a.CheckedAt = later }},
		"opened": {closed, func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, later) },
			func(a *state.Account) { a.DraftSwitch, a.CheckedAt = wechat.SwitchOpen, later }},
		"a check ends the errcode": {refused, func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, later) }, func(a *state.Account) { a.CheckedAt, a.Errcode = later, 0 }},
		"an older check says open": {closed, func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, start.Add(-1)) }, func(a *state.Account) { a.DraftSwitch = wechat.SwitchOpen }},
		"an older refusal":         {closed, func(a *state.Account) { a.SetRefused(61007, start.Add(-1)) }, func(*state.Account) {}},
		"an older push":            {open, func(a *state.Account) { a.SetStatus(state.Unauthorized, 99) }, func(*state.Account) {}},
		"a push of the same second ends it": {open, func(a *state.Account) { a.SetStatus(state.Unauthorized, 100) },
			func(a *state.Account) { a.Status = state.Unauthorized }},
		"and doesn't begin it": {ended, func(a *state.Account) { a.SetStatus(state.Authorized, 100) }, func(*state.Account) {}},
		"a newer push": {ended, func(a *state.Account) { a.SetStatus(state.Authorized, 101) },
			func(a *state.Account) { a.Status, a.StatusAt = state.Authorized, 101 }},
		"an end that WeChat told when asked": {open, func(a *state.Account) { a.EndAuthorization(start) }, func(a *state.Account) { a.Status = state.Unauthorized }},
		"one that a push came after":         {open, func(a *state.Account) { a.EndAuthorization(time.Unix(99, 0)) }, func(*state.Account) {}},
	} {
		want, got := c.from, c.from
		c.want(&want)
		c.change(&got)
		wantDiff(t, name, want, got, ignoreStored)
	}
}

// An item is written when something else than checked_at changes, or when that is a week old.
func TestAccountIsWrittenWhereItIsWorthIt(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	check := func(age time.Duration) func(*state.Account) {
		return func(a *state.Account) { a.SetSwitch(wechat.SwitchClosed, start.Add(age)) }
	}
	for name, c := range map[string]struct {
		change func(*state.Account)
		want   bool
	}{
		"nothing": {func(*state.Account) {}, false}, "a check": {check(week), false}, "a check after a week": {check(week + time.Second), true},
		"opened":  {func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, start) }, true},
		"refused": {func(a *state.Account) { a.SetRefused(61007, start) }, true},
		"ended":   {func(a *state.Account) { a.Status = state.Unauthorized }, true},
		"pushed":  {func(a *state.Account) { a.SetStatus(state.Authorized, 5) }, true},
		"named":   {func(a *state.Account) { a.Name = "n" }, true}, "kind": {func(a *state.Account) { a.Kind = wechat.OfficialAccount }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			_, stored, err := f.Accounts().Update(t.Context(), "wx1", check(0)) // an account without an item is always written
			must(t, err)
			if item := f.item("account", "wx1"); item["draft_switch"] != "closed" || stored.DraftSwitch != wechat.SwitchClosed {
				t.Fatalf("item %v", item)
			}
			calls := []string{"dynamodb:GetItem"}
			if c.want {
				calls = append(calls, "dynamodb:UpdateItem")
			}
			f.wantCalls(t, func() {
				_, _, err := f.Accounts().Update(t.Context(), "wx1", c.change)
				must(t, err)
			}, calls...)
		})
	}
}

// Another writer is at work between this one's read and write: neither's change is lost, and open stays open.
func TestAccountWriteLosesARace(t *testing.T) {
	t.Parallel()
	setName := func(a *state.Account) { a.Name = "Lantern Street" }
	for name, c := range map[string]struct {
		prepare func(fixture)
		other   func(*state.Account)
		change  func(*state.Account)
		want    map[string]any
	}{
		"of the item": {func(fixture) {}, setName, func(a *state.Account) { a.SetStatus(state.Unauthorized, 5) },
			map[string]any{"name": "Lantern Street", "status": "unauthorized", "draft_switch": "unknown"}},
		"of an attribute": {func(f fixture) { f.setItem("account", "wx1", map[string]any{"appid": "wx1", "draft_switch": "closed"}) },
			func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, start) }, func(a *state.Account) { a.SetSwitch(wechat.SwitchClosed, start); a.Name = "n" },
			map[string]any{"name": "n", "status": "authorized", "draft_switch": "open"}},
		"that removed an attribute": {func(f fixture) {
			f.setItem("account", "wx1", map[string]any{"appid": "wx1", "errcode": 61007, "status_at": 7})
		},
			func(a *state.Account) { a.SetSwitch(wechat.SwitchClosed, start) }, setName,
			map[string]any{"name": "Lantern Street", "status": "authorized", "draft_switch": "closed"}},
		"with the same result": {func(fixture) {}, setName, setName,
			map[string]any{"name": "Lantern Street", "status": "authorized", "draft_switch": "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			c.prepare(f)
			f.aws.Fail("dynamodb:UpdateItem", awstest.Before(func() {
				if _, _, err := f.Accounts().Update(t.Context(), "wx1", c.other); err != nil {
					t.Error(err)
				}
			}))
			_, after, err := f.Accounts().Update(t.Context(), "wx1", c.change)
			must(t, err)
			item := f.item("account", "wx1")
			got := map[string]any{"status": item["status"], "draft_switch": item["draft_switch"]}
			if item["name"] != nil {
				got["name"] = item["name"]
			}
			wantDiff(t, "item", c.want, got)
			if item["errcode"] != nil || string(after.DraftSwitch) != item["draft_switch"] || after.Name != item["name"] {
				t.Errorf("after %+v, item %v", after, item)
			}
		})
	}
}

// An item that was deleted between read and write is made anew.
func TestAccountIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.setItem("account", "wx1", map[string]any{"appid": "wx1", "name": "old", "status": "unauthorized"})
	f.aws.Fail("dynamodb:UpdateItem", awstest.Before(func() { f.aws.DeleteItem(tableName, "account", "wx1") }))
	_, _, err := f.Accounts().Update(t.Context(), "wx1", func(a *state.Account) { a.SetSwitch(wechat.SwitchOpen, start) })
	must(t, err)
	wantDiff(t, "item", map[string]any{"appid": "wx1", "status": "authorized", "draft_switch": "open", "checked_at": "2026-01-02T03:04:05Z"},
		f.item("account", "wx1"))
}

func TestAccountWriteLosesEveryRace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	n := 0
	f.aws.Fail("dynamodb:UpdateItem", awstest.Before(func() {
		n++
		f.setItem("account", "wx1", map[string]any{"appid": "wx1", "name": fmt.Sprint(n)})
	}).Sticky())
	_, _, err := f.Accounts().Update(t.Context(), "wx1", func(a *state.Account) { a.Status = state.Unauthorized })
	wantKind(t, err, awserror.Conflict)
	if n != 20 {
		t.Errorf("it wrote %d times", n)
	}
}

// The answer to the write is lost and the SDK repeats it: its own write is no other's.
func TestAccountWriteLosesItsAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.aws.Fail("dynamodb:UpdateItem", awstest.DropAfter())
	f.wantCalls(t, func() {
		_, after, err := f.Accounts().Update(t.Context(), "wx1", func(a *state.Account) { a.SetStatus(state.Unauthorized, 5) })
		must(t, err)
		if after.Status != state.Unauthorized || !after.IsStored() {
			t.Errorf("after %+v", after)
		}
	}, "dynamodb:GetItem", "dynamodb:UpdateItem", "dynamodb:UpdateItem")
}

func appIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("wx%03d", i))
	}
	return ids
}

func TestAccountsGetAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := appIDs(250)
	for _, id := range ids[:249] {
		f.setItem("account", id, map[string]any{"name": "n" + id})
	}
	f.aws.Fail("dynamodb:BatchGetItem", awstest.FailEntries("", 0, 50)) // unprocessed
	f.wantCalls(t, func() {
		got, err := f.Accounts().GetAll(t.Context(), ids)
		must(t, err)
		if len(got) != 250 || got["wx249"].IsStored() || got["wx249"].AppID != "wx249" {
			t.Errorf("%d accounts, without an item %+v", len(got), got["wx249"])
		}
		for _, id := range ids[:249] {
			if got[id].Name != "n"+id || !got[id].IsStored() {
				t.Errorf("%s is %+v", id, got[id])
			}
		}
	}, "dynamodb:BatchGetItem", "dynamodb:BatchGetItem", "dynamodb:BatchGetItem", "dynamodb:BatchGetItem")
	f.wantCalls(t, func() {
		got, err := f.Accounts().GetAll(t.Context(), nil)
		must(t, err)
		wantDiff(t, "none", map[string]state.Account{}, got, ignoreStored)
	})
}

func TestAccountsPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := appIDs(25)
	for _, id := range ids {
		f.setItem("account", id, map[string]any{"name": "n"})
	}
	f.setItem("opening", "wx000", map[string]any{}) // of another partition
	for _, limit := range []int{0, 7, 25, 1000} {
		var got []string
		for after, pages := "", 1; ; pages++ {
			page, next, err := f.Accounts().Page(t.Context(), after, limit)
			must(t, err)
			if limit > 0 && next != "" && len(page) != limit {
				t.Errorf("a page of %d has %d", limit, len(page))
			}
			for _, a := range page {
				got = append(got, a.AppID)
			}
			if after = next; after == "" || pages > len(ids) {
				break
			}
		}
		wantDiff(t, fmt.Sprint("pages of ", limit), ids, got)
	}
}
