// Package cache caches a value for a while and lets concurrent callers share its load.
package cache

import (
	"context"
	"sync"
	"time"
)

// Value is a value that is loaded on demand and cached. It is safe for concurrent use.
type Value[T any] struct {
	load  func(context.Context) (T, error)
	ttl   time.Duration
	now   func() time.Time
	loads Group[struct{}, T]

	mu       sync.Mutex
	last     T
	loadedAt time.Time // wall clock: the monotonic clock stops while Lambda freezes the instance
}

// New makes a value that is loaded by load and cached for ttl.
func New[T any](ttl time.Duration, now func() time.Time, load func(context.Context) (T, error)) *Value[T] {
	return &Value[T]{load: load, ttl: ttl, now: now}
}

// Cached returns the value if it is cached and not older than ttl.
func (v *Value[T]) Cached() (T, bool) { return v.within(v.ttl) }

func (v *Value[T]) within(maxAge time.Duration) (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	age := v.now().Round(0).Sub(v.loadedAt)
	return v.last, age >= 0 && age < maxAge
}

// Last returns the value loaded last, however old it is.
func (v *Value[T]) Last() (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, !v.loadedAt.IsZero()
}

// Get returns the value, at most ttl old.
func (v *Value[T]) Get(ctx context.Context) (T, error) { return v.GetWithin(ctx, v.ttl) }

// GetWithin returns the value, at most maxAge old.
func (v *Value[T]) GetWithin(ctx context.Context, maxAge time.Duration) (T, error) {
	if value, ok := v.within(maxAge); ok {
		return value, nil
	}
	return v.loads.Do(ctx, struct{}{}, func(ctx context.Context) (T, error) {
		if value, ok := v.within(maxAge); ok { // a load that ended a moment ago
			return value, nil
		}
		return v.loadNow(ctx)
	})
}

// Fresh loads the value, or shares a load that is under way.
func (v *Value[T]) Fresh(ctx context.Context) (T, error) {
	return v.loads.Do(ctx, struct{}{}, v.loadNow)
}

func (v *Value[T]) loadNow(ctx context.Context) (T, error) {
	value, err := v.load(ctx)
	if err != nil {
		return value, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.loadedAt = value, v.now().Round(0)
	return value, nil
}
