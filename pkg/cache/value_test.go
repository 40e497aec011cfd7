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

func TestValueIsLoadedOncePerTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		v := cache.New(time.Minute, time.Now, func(context.Context) (int, error) {
			loads++
			time.Sleep(time.Second)
			return loads, nil
		})
		get := func(want int) {
			t.Helper()
			if got, err := v.Get(t.Context()); got != want || err != nil {
				t.Errorf("got %d, %v; want %d", got, err, want)
			}
		}
		if _, ok := v.Cached(); ok {
			t.Error("nothing was loaded yet")
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { get(1) })
		}
		wg.Wait()
		time.Sleep(59 * time.Second)
		get(1)
		time.Sleep(time.Second)
		get(2)
		if got, _ := v.Fresh(t.Context()); got != 3 {
			t.Errorf("a fresh one is %d", got)
		}
		get(3)
	})
}

func TestNothingIsCachedWithoutTTLOrOfAnError(t *testing.T) {
	t.Parallel()
	loads, broken := 0, errors.New("broken")
	var fail error
	v := cache.New(0, time.Now, func(context.Context) (int, error) { loads++; return loads, fail })
	v.Get(t.Context())
	if got, _ := v.Get(t.Context()); got != 2 {
		t.Errorf("got %d", got)
	}
	v = cache.New(time.Hour, time.Now, func(context.Context) (int, error) { loads++; return loads, fail })
	fail = broken
	if _, err := v.Get(t.Context()); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	fail = nil
	if got, err := v.Get(t.Context()); got != 4 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestAClockThatWentBackEndsTheCaching(t *testing.T) {
	t.Parallel()
	now, loads := time.Now(), 0
	v := cache.New(time.Hour, func() time.Time { return now }, func(context.Context) (int, error) { loads++; return loads, nil })
	v.Get(t.Context())
	now = now.Add(-time.Minute)
	if got, _ := v.Get(t.Context()); got != 2 {
		t.Errorf("got %d", got)
	}
}
