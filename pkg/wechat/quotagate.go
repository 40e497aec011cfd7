package wechat

import (
	"errors"
	"sync"
	"time"
)

// QuotaGate blocks a call whose daily quota is used up until the quota is reset. The zero QuotaGate is ready to use. It is
// safe for concurrent use.
type QuotaGate struct {
	mu      sync.Mutex
	ends    time.Time // on the wall clock
	refusal error
}

// Err returns WeChat's refusal until the quota is reset, else nil.
func (g *QuotaGate) Err(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Round(0).Before(g.ends) {
		return g.refusal
	}
	return nil
}

// Note records err if it is a refusal for the daily quota.
func (g *QuotaGate) Note(err error, now time.Time) {
	var refusal *APIError
	if !errors.As(err, &refusal) || refusal.Info().Class != DayQuota {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends, g.refusal = now.Round(0).Add(refusal.RetryAfter(now)), err
}
