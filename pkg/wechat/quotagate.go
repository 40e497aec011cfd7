package wechat

import (
	"errors"
	"sync"
	"time"
)

// QuotaGate remembers that a call's quota of the day is used up, so that nobody asks before it starts anew. The zero
// QuotaGate is ready; it is safe for concurrent use.
type QuotaGate struct {
	mu      sync.Mutex
	ends    time.Time // on the wall clock
	refusal error
}

// Err is WeChat's refusal, until the quota starts anew; else nil.
func (g *QuotaGate) Err(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Round(0).Before(g.ends) {
		return g.refusal
	}
	return nil
}

// Note notes err if it is a refusal for the day's quota.
func (g *QuotaGate) Note(err error, now time.Time) {
	var refusal *APIError
	if !errors.As(err, &refusal) || refusal.Info().Class != DayQuota {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends, g.refusal = now.Round(0).Add(refusal.RetryAfter(now)), err
}
