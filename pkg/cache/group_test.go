package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wechat-draftbox/pkg/cache"
)

func TestConcurrentCallersShareOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		loads := 0
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				got, err := g.Do(t.Context(), "k", func(context.Context) (int, error) {
					loads++
					time.Sleep(time.Second)
					return loads, nil
				})
				if got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		wg.Wait()
		if got, _ := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil }); got != 2 {
			t.Error("a result must not outlive its load")
		}
	})
}

func TestAWaiterGivesUpOnItsOwnDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		go g.Do(t.Context(), "k", func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := g.Do(ctx, "k", nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("gave up after %v with %v", time.Since(began), err)
		}
		time.Sleep(time.Minute)
	})
}

func TestAWaiterTakesOverFromOneThatGaveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go g.Do(short, "k", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() })
		synctest.Wait()
		got, err := g.Do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil })
		if got != 2 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	})
}

func TestErrorsAreSharedAndPanicsFreeTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g cache.Group[string, int]
		broken := errors.New("broken")
		go g.Do(t.Context(), "k", func(context.Context) (int, error) { time.Sleep(time.Nanosecond); return 0, broken })
		synctest.Wait()
		if _, err := g.Do(t.Context(), "k", nil); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}

		go func() {
			defer func() { recover() }()
			g.Do(t.Context(), "k", func(context.Context) (int, error) { time.Sleep(time.Nanosecond); panic("at the worst time") })
		}()
		synctest.Wait()
		if _, err := g.Do(t.Context(), "k", nil); err == nil {
			t.Error("those who wait must learn of a panic")
		}
	})
}
