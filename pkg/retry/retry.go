// Package retry has waits for retries that respect the context's deadline.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Sleep waits for d and reports true. It reports false immediately if ctx's deadline comes first, or when ctx ends.
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

// Jitter is a random duration between d/2 and d, so that concurrent callers don't retry in step.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
