package renewal_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/standin/awstest"
)

const leaseDuration = 10 * time.Second

// acquire acquires a lease that nobody holds.
func (f *fixture) acquire(t *testing.T) *renewal.Lease {
	t.Helper()
	lease := f.Lease(time.Minute)
	if !lease.Acquire(t.Context()) {
		t.Error("what was read before need not be read again")
	}
	f.checkWarnings(t, 0)
	return lease
}

func (f *fixture) checkWarnings(t *testing.T, want int32) {
	t.Helper()
	if n := f.warned.lines.Load(); n != want {
		t.Errorf("%d warnings, want %d", n, want)
	}
}

// tryAcquire gives up after a moment.
func (f *fixture) tryAcquire(t *testing.T) {
	t.Helper()
	f.Lease(100 * time.Millisecond).Acquire(t.Context())
}

func (f *fixture) leaseOwner() any {
	item, _ := f.aws.Item(stateTable, "lease", "tokens")
	return item["owner"]
}

func TestLease(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	lease := f.acquire(t)
	if lease.Acquire(t.Context()) {
		t.Error("acquired twice")
	}
	lease.Extend(t.Context())
	lease.Release(t.Context())
	lease.Release(t.Context())
	if calls := f.aws.Calls(""); calls != 2 || f.leaseOwner() != nil {
		t.Errorf("%d calls, held by %v", calls, f.leaseOwner())
	}
	f.Lease(time.Minute).Release(t.Context()) // never acquired
	if calls := f.aws.Calls(""); calls != 2 {
		t.Errorf("%d calls", calls)
	}
	ended, cancel := context.WithCancel(t.Context())
	lease = f.acquire(t)
	cancel()
	lease.Release(ended)
	f.acquire(t).Release(t.Context())
}

func TestOneLeaseAtATime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	var holders atomic.Int32
	var runs sync.WaitGroup
	for range 6 {
		runs.Go(func() {
			lease := f.Lease(time.Minute)
			lease.Acquire(t.Context())
			if n := holders.Add(1); n > 1 {
				t.Errorf("%d hold the lease at once", n)
			}
			time.Sleep(time.Millisecond)
			holders.Add(-1)
			lease.Release(t.Context())
		})
	}
	runs.Wait()
	f.checkWarnings(t, 0)
}

// A run that extends its lease holds it for as long as it works. One that doesn't loses it, and takes nothing from the next
// holder.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	lost := f.acquire(t)
	for range 3 {
		f.skew.Add(int64(leaseDuration * 3 / 4))
		lost.Extend(t.Context())
	}
	f.tryAcquire(t)
	f.checkWarnings(t, 1)

	f.skew.Add(int64(leaseDuration)) // as after a freeze
	next := f.Lease(time.Minute)
	next.Acquire(t.Context())
	owner := f.leaseOwner()
	lost.Extend(t.Context())
	lost.Release(t.Context())
	if f.leaseOwner() != owner {
		t.Error("a run took another one's lease")
	}
	next.Release(t.Context())
	if f.leaseOwner() != nil {
		t.Error("the lease was not released")
	}
	f.checkWarnings(t, 1)
}

// The lease is advisory: a run that can't acquire it proceeds without.
func TestLeaseUnderFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    awstest.Fault
		warnings int32
	}{
		"lost answer":   {awstest.DropAfter(), 0},
		"cut off":       {awstest.Drop(), 0},
		"throttled":     {awstest.Throttle(), 0},
		"denied":        {awstest.Deny().Sticky(), 1},
		"failing":       {awstest.Refuse("InternalServerError", 500).Sticky(), 1},
		"table missing": {awstest.Refuse("ResourceNotFoundException", 400).Sticky(), 1},
		"silent":        {awstest.Hang().Sticky(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, false)
			f.aws.Fail("dynamodb:UpdateItem", c.fault)
			began := time.Now()
			lease := f.Lease(time.Minute)
			if !lease.Acquire(t.Context()) {
				t.Error("what was read before need not be read again")
			}
			lease.Extend(t.Context())
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			f.checkWarnings(t, c.warnings)
			f.aws.Heal("")
			lease.Release(t.Context())
			f.acquireAfter(t, c.warnings)
		})
	}
	t.Run("not released", func(t *testing.T) {
		t.Parallel()
		f := newFixture(t, false)
		lease := f.acquire(t)
		f.aws.Fail("dynamodb:DeleteItem", awstest.Deny())
		lease.Release(t.Context())
		f.skew.Add(int64(leaseDuration)) // it ends by itself
		f.acquireAfter(t, 1)
	})
}

// acquireAfter acquires the lease without another warning.
func (f *fixture) acquireAfter(t *testing.T, warnings int32) {
	t.Helper()
	f.Lease(time.Minute).Acquire(t.Context())
	f.checkWarnings(t, warnings)
}

// A run waits for the lease no longer than half of the time that is left.
func TestLeaseLeavesTimeForTheWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.acquire(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	f.Lease(time.Minute).Acquire(ctx)
	if ctx.Err() != nil {
		t.Error("nothing is left")
	}
	f.checkWarnings(t, 1)
}
