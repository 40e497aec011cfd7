package state_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/state"
)

const component = "" // the owner of the component token

func TestWaitsAreStoredWhole(t *testing.T) {
	t.Parallel()
	const account = "wx0000000000000001"
	f := newFixture(t)
	waits := f.Waits()
	ignore := cmpopts.IgnoreUnexported(state.Wait{})
	for _, owner := range []string{component, account} {
		none, err := waits.Get(t.Context(), owner)
		must(t, err)
		wantDiff(t, "nothing stored", state.Wait{Owner: owner}, none, ignore)
		want := state.Wait{Owner: owner, Failures: 3, Until: start.Add(5 * time.Minute), Errcode: -1, Action: "Wait.", Reauthorize: true,
			TicketTime: 7, PlatformVersion: "p", TokenVersion: "t", PublishedAt: start, PublishedErrcode: 61004}
		_, err = waits.Update(t.Context(), none, func(w *state.Wait) { *w = copyOf(*w, want) })
		must(t, err)
		got, err := waits.Get(t.Context(), owner)
		must(t, err)
		wantDiff(t, "stored", want, got, ignore)
		if !got.IsActive(start) || got.IsActive(start.Add(5*time.Minute)) {
			t.Errorf("active now %v, and at its end %v", got.IsActive(start), got.IsActive(start.Add(5*time.Minute)))
		}
		f.wantCalls(t, func() {
			_, err := waits.Update(t.Context(), got, func(*state.Wait) {})
			must(t, err)
		})
	}
	all, err := waits.GetAll(t.Context(), []string{account, "wx0000000000000002"})
	must(t, err)
	if len(all) != 1 || all[account].Errcode != -1 {
		t.Errorf("all: %v", all)
	}
	f.aws.Fail("dynamodb:GetItem", awstest.Deny())
	_, err = waits.Get(t.Context(), account)
	wantKind(t, err, awserror.Unavailable)
}

// copyOf is w with what want holds, and still known as it was read.
func copyOf(w, want state.Wait) state.Wait {
	w.Failures, w.Until, w.Errcode, w.Action, w.Reauthorize = want.Failures, want.Until, want.Errcode, want.Action, want.Reauthorize
	w.TicketTime, w.PlatformVersion, w.TokenVersion = want.TicketTime, want.PlatformVersion, want.TokenVersion
	w.PublishedAt, w.PublishedErrcode = want.PublishedAt, want.PublishedErrcode
	return w
}

// The loser of a race changes the current wait.
func TestWaitsThatRace(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	waits := f.Waits()
	add := func(w *state.Wait) { w.Failures++ }
	for range 2 { // without an item, and with one
		read, err := waits.Get(t.Context(), component)
		must(t, err)
		for range 3 {
			_, err := waits.Update(t.Context(), read, add)
			must(t, err)
		}
	}
	got, err := waits.Get(t.Context(), component)
	must(t, err)
	if got.Failures != 6 {
		t.Errorf("%d failures, want 6", got.Failures)
	}
}

// The failure of one authorization is published once, that of the account's next one again.
func TestNoteAuthorizationFailure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, c := range []struct {
		at    int64
		first bool
	}{{1, true}, {1, false}, {2, true}, {1, false}} {
		first, err := f.NoteAuthorizationFailure(t.Context(), "wx0000000000000001", c.at)
		must(t, err)
		if first != c.first {
			t.Errorf("push of %d: first %v", c.at, first)
		}
	}
}
