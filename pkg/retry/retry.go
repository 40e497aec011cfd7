// Package retry waits and repeats without losing sight of the context's deadline.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d and reports true. It reports false at once where ctx would end first.
func Sleep(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Jitter is a random time between half of d and d, so that those who failed together don't come back together.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
