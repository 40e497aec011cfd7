package main

import (
	"errors"
	"slices"
	"sync"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// maxParallel limits concurrent refreshes.
	maxParallel = 20
	// cautiousParallel limits them until one succeeds.
	cautiousParallel = 5
	// breakerThreshold is how many platform failures in a row open the breaker. A single account may fail the same way
	// for its own reasons, and must not block the others.
	breakerThreshold = 5
)

// breaker is a circuit breaker: when WeChat refuses all authorizers for the same reason, it ends their refresh, since
// more calls make it worse, and reports one failure for all. Own accounts bypass it: they have their own whitelist and
// quotas.
type breaker struct {
	slots chan struct{}

	mu          sync.Mutex
	consecutive []renewal.Failure // platform failures since the last success, unreported
	waiting     []renewal.Failure // of accounts still waiting after a platform failure of an earlier run
	open        bool
	succeeded   bool
}

func newBreaker() *breaker {
	b := &breaker{slots: make(chan struct{}, maxParallel)}
	for range maxParallel - cautiousParallel {
		b.slots <- struct{}{} // occupied until one succeeds
	}
	return b
}

// enter waits for a slot. It reports false if the breaker is open. leave releases the slot.
func (b *breaker) enter() bool {
	b.slots <- struct{}{}
	if b.isOpen() {
		b.leave()
		return false
	}
	return true
}

func (b *breaker) leave() { <-b.slots }

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// trip opens the breaker. It reports whether it was closed before.
func (b *breaker) trip() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	tripped := !b.open
	b.open = true
	return tripped
}

// success ends the row of platform failures and returns them: they were the accounts' own.
func (b *breaker) success() []renewal.Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.succeeded {
		b.succeeded = true
		for range maxParallel - cautiousParallel {
			<-b.slots
		}
	}
	if b.open {
		return nil
	}
	own := b.consecutive
	b.consecutive = nil
	return own
}

// platformFailure adds a failure that seems to concern the platform. It is reported later.
func (b *breaker) platformFailure(f renewal.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consecutive = append(b.consecutive, f)
	b.open = b.open || len(b.consecutive) >= breakerThreshold
}

// waitingForPlatform adds the failure of an account that waits after an earlier platform failure. It says nothing about
// the platform now, so it doesn't open the breaker.
func (b *breaker) waitingForPlatform(f renewal.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, f)
}

func (b *breaker) hasSucceeded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.succeeded
}

// unreported returns the unreported failures at the end of a run: one with an empty appid if there are enough to blame the
// platform, otherwise each account's own.
func (b *breaker) unreported() []renewal.Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := slices.Concat(b.consecutive, b.waiting)
	if len(rest) >= breakerThreshold {
		all := rest[0]
		all.AppID = token.Component
		return []renewal.Failure{all}
	}
	return rest
}

// concernsPlatform reports whether every other authorizer would get the error too. A failure to list authorizers isn't
// one: only accounts without a working refresh token need the list.
func concernsPlatform(err error) bool {
	var refusal *wechat.APIError
	var failure *wechat.TransportError
	var list *platform.ListError
	switch {
	case errors.As(err, &list):
		return false
	case errors.As(err, &failure):
		return true
	case errors.Is(err, renewal.ErrTicket):
		return true
	case !errors.As(err, &refusal):
		return false
	}
	switch refusal.Info().Class {
	case wechat.Whitelist, wechat.TokenRefused, wechat.DayQuota, wechat.MinuteQuota, wechat.Busy:
		return true
	case wechat.Misconfigured:
		return refusal.Code != codeAppID
	}
	return false
}

// concernedPlatform reports whether the failure that caused the wait seemed to concern the platform.
func concernedPlatform(wait state.Wait) bool {
	const noAnswer = 0
	return !wait.Reauthorize && (wait.Errcode == noAnswer || concernsPlatform(&wechat.APIError{Code: wait.Errcode}))
}

const codeAppID = 40013 // invalid appid, which may be the account's
