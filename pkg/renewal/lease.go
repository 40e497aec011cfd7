package renewal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/state"
)

const (
	// leaseDuration is how long a dead run blocks the next one, at most.
	leaseDuration = 10 * time.Second
	// leaseCallTimeout bounds one DynamoDB call, which usually takes milliseconds.
	leaseCallTimeout = 2 * time.Second

	// RunLeaseTimeout is how long a run over all tokens waits for another one.
	RunLeaseTimeout = 45 * time.Second
	// TokenLeaseTimeout is how long the renewal of a single token waits: long enough for a dead run's lease to expire, but
	// not for a long run.
	TokenLeaseTimeout = leaseDuration + 2*time.Second
)

// Lease serializes the runs that renew tokens, so that none stores a token that another run's fetch has superseded. It is
// advisory: a run that can't acquire it in time proceeds without. Make one for each invocation.
type Lease struct {
	lease   *state.Lease
	log     *slog.Logger
	timeout time.Duration

	acquire sync.Once
	failed  atomic.Bool // DynamoDB didn't answer: the rest of the run proceeds without
}

// Lease makes a lease that isn't acquired yet. timeout bounds the wait for it, as does half of the remaining time.
func (r *Renewer) Lease(timeout time.Duration) *Lease {
	return &Lease{lease: r.State.TokenLease(leaseDuration), log: r.Log, timeout: timeout}
}

// Acquire waits for the lease on its first call. That call reports true: other runs may have renewed tokens meanwhile, so
// records have to be read again.
func (l *Lease) Acquire(ctx context.Context) (readAgain bool) {
	l.acquire.Do(func() {
		readAgain = true
		l.wait(ctx)
	})
	return readAgain
}

func (l *Lease) wait(ctx context.Context) {
	timeout := l.timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for backoff := 25 * time.Millisecond; ; backoff = min(2*backoff, time.Second) {
		acquired, err := l.attempt(ctx, l.lease.Acquire)
		switch {
		case err != nil:
			l.log.WarnContext(ctx, "could not acquire the lease of renewals; proceeding without", "error", err.Error())
			return
		case acquired:
			return
		case !retry.Sleep(ctx, retry.Jitter(backoff)):
			l.log.WarnContext(ctx, "another run holds the lease of renewals; proceeding without")
			return
		}
	}
}

func (l *Lease) attempt(ctx context.Context, do func(context.Context) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, leaseCallTimeout)
	defer cancel()
	return do(ctx)
}

// Extend is called before each fetch, so that the lease outlasts it. A lost lease is logged; conditional writes still
// protect the tokens.
func (l *Lease) Extend(ctx context.Context) {
	if l.failed.Load() {
		return
	}
	held, err := l.attempt(ctx, l.lease.Extend)
	if err != nil {
		l.failed.Store(true)
		l.log.WarnContext(ctx, "could not extend the lease of renewals", "error", err.Error())
	} else if !held {
		l.log.DebugContext(ctx, "renewing a token without the lease")
	}
}

// Release releases the lease, even if ctx has ended.
func (l *Lease) Release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseCallTimeout)
	defer cancel()
	if err := l.lease.Release(ctx); err != nil {
		l.log.WarnContext(ctx, "could not release the lease of renewals; it ends by itself", "error", err.Error())
	}
}
