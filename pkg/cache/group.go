package cache

import (
	"context"
	"errors"
	"sync"
)

// Group lets concurrent callers share one load of a value, by key. The zero Group is ready.
//
// golang.org/x/sync/singleflight runs a load for all callers with the context of none. Here the first caller
// runs the load itself, with its own context and in its own goroutine, and the others wait for it, each as long
// as its own context lasts. So nothing outlives the invocation that started it, and if the one that loads gives
// up, the next takes over.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	loads map[K]*load[V]
}

type load[V any] struct {
	done      chan struct{}
	value     V
	err       error
	abandoned bool // its caller's context ended, so the result says nothing to the others
}

var errPanicked = errors.New("the shared load panicked")

// Do returns what fn returns, running it only if no other caller is at it. Callers that wait get the same value
// and error. A caller whose context ends while it waits gets that context's cause.
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
	defer func() { // also when fn panics: the others must not wait for ever
		l.abandoned = l.err != nil && ctx.Err() != nil
		g.mu.Lock()
		delete(g.loads, key)
		g.mu.Unlock()
		close(l.done)
	}()
	l.value, l.err = fn(ctx)
	return l.value, l.err
}
