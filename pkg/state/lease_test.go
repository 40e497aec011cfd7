package state_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/standin/awstest"
)

const leaseItem = "dynamodb:UpdateItem"

func wantHeld(t *testing.T, what string, want bool, ask func(context.Context) (bool, error)) {
	t.Helper()
	if got, err := ask(t.Context()); got != want || err != nil {
		t.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first, second := f.TokenLease(time.Minute), f.TokenLease(time.Minute)
	wantHeld(t, "extended before it is acquired", false, first.Extend)
	f.wantCalls(t, func() { must(t, first.Release(t.Context())) })

	wantHeld(t, "acquired", true, first.Acquire)
	item := f.item("lease", "tokens")
	wantDiff(t, "ends", json.Number("1767323105000"), item["ends"])
	wantDiff(t, "expires", json.Number("1767326705"), item["expires"])
	wantHeld(t, "acquired by another", false, second.Acquire)
	must(t, second.Release(t.Context())) // not its own
	wantHeld(t, "acquired by another", false, second.Acquire)
	wantHeld(t, "acquired again", true, first.Acquire)

	f.clock.forward(29 * time.Second)
	f.wantCalls(t, func() { wantHeld(t, "extended early", true, first.Extend) })
	f.clock.forward(time.Second)
	f.wantCalls(t, func() { wantHeld(t, "extended", true, first.Extend) }, leaseItem)
	f.clock.forward(59*time.Second + 999*time.Millisecond)
	wantHeld(t, "acquired by another before its end", false, second.Acquire)
	f.clock.forward(time.Millisecond)
	wantHeld(t, "acquired by another at its end", true, second.Acquire)
	wantHeld(t, "extended after it was lost", false, first.Extend)
	f.wantCalls(t, func() { wantHeld(t, "extended once more", false, first.Extend) })
	must(t, first.Release(t.Context())) // not its own any more
	wantHeld(t, "extended by its holder", true, second.Extend)

	must(t, second.Release(t.Context()))
	wantDiff(t, "item", map[string]any(nil), f.item("lease", "tokens"))
	wantHeld(t, "extended after its release", false, second.Extend)
	wantHeld(t, "acquired after a release", true, first.Acquire)
}

// A holder that was frozen past the end doesn't release what another one has meanwhile.
func TestLeaseOfAnotherIsNotReleased(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.TokenLease(time.Minute)
	wantHeld(t, "acquired", true, first.Acquire)
	f.clock.forward(time.Minute)
	wantHeld(t, "acquired by another", true, f.TokenLease(time.Minute).Acquire)
	must(t, first.Release(t.Context()))
	wantHeld(t, "acquired by a third", false, f.TokenLease(time.Minute).Acquire)
}

// A holder that was frozen past the expiry reacquires the lease if no other holder has.
func TestLeaseAfterAFreeze(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.TokenLease(time.Minute)
	wantHeld(t, "acquired", true, lease.Acquire)
	f.clock.forward(time.Hour)
	wantHeld(t, "extended after its end", true, lease.Extend)
	wantHeld(t, "acquired by another", false, f.TokenLease(time.Minute).Acquire)
}

func TestLeaseLosesAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.TokenLease(time.Minute)
	f.aws.Fail(leaseItem, awstest.DropAfter())
	wantHeld(t, "acquired", true, lease.Acquire)
	f.aws.Fail("dynamodb:DeleteItem", awstest.DropAfter())
	must(t, lease.Release(t.Context()))
	wantHeld(t, "acquired by another", true, f.TokenLease(time.Minute).Acquire)
}

// A failed call tells nothing about the lease: it is asked for again, and can be released.
func TestLeaseWhileDynamoDBFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.TokenLease(time.Minute)
	f.aws.Fail(leaseItem, awstest.Deny())
	_, err := lease.Acquire(t.Context())
	wantKind(t, err, awserror.Unavailable)
	wantHeld(t, "acquired", true, lease.Acquire)
	f.clock.forward(40 * time.Second)
	f.aws.Fail(leaseItem, awstest.Deny())
	held, err := lease.Extend(t.Context())
	wantKind(t, err, awserror.Unavailable)
	if held {
		t.Error("held, though nobody knows")
	}
	wantHeld(t, "extended", true, lease.Extend)
	f.clock.forward(40 * time.Second)
	f.aws.Fail(leaseItem, awstest.Deny())
	_, err = lease.Extend(t.Context())
	wantKind(t, err, awserror.Unavailable)
	f.aws.Fail("dynamodb:DeleteItem", awstest.Deny())
	wantKind(t, lease.Release(t.Context()), awserror.Unavailable)
	wantHeld(t, "acquired by another", false, f.TokenLease(time.Minute).Acquire) // until its end
	f.clock.forward(time.Minute)
	wantHeld(t, "acquired by another", true, f.TokenLease(time.Minute).Acquire)
}

// Of many at once one gets it. Claims of several accounts are apart.
func TestOpeningClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var acquired atomic.Int32
	var running sync.WaitGroup
	for i := range 40 {
		claim := f.OpeningClaim([]string{"wx1", "wx2"}[i%2], time.Minute)
		running.Go(func() {
			held, err := claim.Acquire(t.Context())
			if err != nil {
				t.Error(err)
			}
			if held {
				acquired.Add(1)
			}
		})
	}
	running.Wait()
	if n := acquired.Load(); n != 2 {
		t.Errorf("%d hold the claims of two accounts", n)
	}
	if f.item("opening", "wx1") == nil || f.item("opening", "wx2") == nil {
		t.Error("the claims are not where they should be")
	}
	wantHeld(t, "of another account", true, f.OpeningClaim("wx3", time.Minute).Acquire)
}
