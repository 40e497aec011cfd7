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
	// maxParallel is how many accounts are refreshed at once.
	maxParallel = 20
	// cautiousParallel is how many are until one succeeds.
	cautiousParallel = 5
	// breakerThreshold is how many failures in a row have to concern the platform until that is believed. A single
	// account may fail so for reasons of its own, and must not keep the others from being refreshed.
	breakerThreshold = 5
)

// breaker ends the refresh of authorizers when WeChat refuses them all for the same reason: then more calls only make it
// worse, and one failure stands for all. Own accounts don't concern it: they have a whitelist and quotas of their own.
type breaker struct {
	slots chan struct{}

	mu        sync.Mutex
	inRow     []renewal.Failure // platform failures since the last success
	waiting   []renewal.Failure // of accounts that wait since a platform failure of an earlier run
	open      bool
	succeeded bool
}

func newBreaker() *breaker {
	b := &breaker{slots: make(chan struct{}, maxParallel)}
	for range maxParallel - cautiousParallel {
		b.slots <- struct{}{} // taken until one succeeds
	}
	return b
}

// enter waits for a slot, and reports false where no more authorizers are to be refreshed. leave gives the slot back.
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

// trip ends the refresh of authorizers. It reports whether it was not ended before.
func (b *breaker) trip() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	tripped := !b.open
	b.open = true
	return tripped
}

// success returns the failures that were held back: they were the accounts' own.
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
	own := b.inRow
	b.inRow = nil
	return own
}

// platformFailure holds back a failure that seems to concern the platform.
func (b *breaker) platformFailure(f renewal.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inRow = append(b.inRow, f)
	b.open = b.open || len(b.inRow) >= breakerThreshold
}

// waitingForPlatform holds back the failure of an account that has to wait since a failure that seemed to concern the platform.
// It says nothing of the platform now.
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

// rest returns the failures that are still held back at the end of a run: one with an empty appid for all where they
// concern the platform, else each account's own.
func (b *breaker) rest() []renewal.Failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := slices.Concat(b.inRow, b.waiting)
	if len(rest) >= breakerThreshold {
		all := rest[0]
		all.AppID = token.Component
		return []renewal.Failure{all}
	}
	return rest
}

// concernsPlatform reports whether every other authorizer would meet the error too. Only those without a working refresh
// token need WeChat's list.
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

// concernedPlatform reports whether the failure that a token waits for seemed to concern the platform.
func concernedPlatform(wait state.Wait) bool {
	const noAnswer = 0
	return !wait.Reauthorize && (wait.Errcode == noAnswer || concernsPlatform(&wechat.APIError{Code: wait.Errcode}))
}

const codeAppID = 40013 // the account's may be meant
