package cache

import (
	"context"
	"errors"
	"sync"
)

// Group lets concurrent callers share one load of a value, by key. The zero Group is ready.
//
// Unlike golang.org/x/sync/singleflight it honours contexts: the first caller runs the load in its own goroutine with its
// own context, and the others wait, each until its own context ends. So no load outlives its invocation, and if the
// loading caller is canceled, the next one takes over.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	loads map[K]*load[V]
}

type load[V any] struct {
	done      chan struct{}
	value     V
	err       error
	abandoned bool // its caller's context ended, so the others load again
}

var errPanicked = errors.New("the shared load panicked")

// Do returns what fn returns, and runs it only if no other caller is running it for the key. Waiting callers get the same
// value and error, or the cause of their own context if that ends first.
func (g *Group[K, V]) Do(ctx context.Context, key K, fn func(context.Context) (V, error)) (V, error) {
	for {
		g.mu.Lock()
		l, running := g.loads[key]
		if !running {
			l = &load[V]{done: make(chan struct{}), err: errPanicked}
			if g.loads == nil {
				g.loads = make(map[K]*load[V])
			}
			g.loads[key] = l
			g.mu.Unlock()
			return g.run(ctx, key, l, fn)
		}
		g.mu.Unlock()

		select {
		case <-l.done:
			if !l.abandoned {
				return l.value, l.err
			}
		case <-ctx.Done():
			var none V
			return none, context.Cause(ctx)
		}
	}
}

func (g *Group[K, V]) run(ctx context.Context, key K, l *load[V], fn func(context.Context) (V, error)) (V, error) {
	defer func() { // also if fn panics, so that the others don't wait forever
		l.abandoned = l.err != nil && ctx.Err() != nil
		g.mu.Lock()
		delete(g.loads, key)
		g.mu.Unlock()
		close(l.done)
	}()
	l.value, l.err = fn(ctx)
	return l.value, l.err
}
