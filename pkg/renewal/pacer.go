package renewal

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"wechat-draftbox/pkg/pause"
)

// pacer lets writes go as fast as they can until AWS throttles, and from then on a little slower than AWS allows: an
// account's limit is shared with others, and differs from what is documented more often than not.
type pacer struct {
	mu      sync.Mutex
	limiter *rate.Limiter // nil: not throttled yet
}

// wait waits for the turn of a write.
func (p *pacer) wait(ctx context.Context) error {
	p.mu.Lock()
	limiter := p.limiter
	p.mu.Unlock()
	if limiter == nil {
		return ctx.Err()
	}
	return limiter.Wait(ctx)
}

// slow keeps to a rate from now on. It waits a moment, and reports false where there is no time for another try.
func (p *pacer) slow(ctx context.Context, perSecond float64) bool {
	p.mu.Lock()
	if p.limiter == nil {
		p.limiter = rate.NewLimiter(rate.Limit(perSecond*0.94), 1)
	}
	p.mu.Unlock()
	return pause.For(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond))
}
