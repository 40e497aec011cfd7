// Package pause waits without losing sight of the deadline.
package pause

import (
	"context"
	"time"
)

// For waits for d and reports true, or reports false as soon as it is known that ctx ends first.
func For(ctx context.Context, d time.Duration) bool {
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
