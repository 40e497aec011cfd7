package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/standin/wechattest"
)

// failures are platform failures of that many accounts.
func failures(n int) (all []renewal.Failure) {
	for i := range n {
		all = append(all, renewal.Failure{AppID: fmt.Sprint("account ", i), Errcode: 61004})
	}
	return all
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	const success = -1
	for _, c := range []struct {
		name  string
		steps []int // so many failures, or a success
		open  bool
		rest  []string // appids of the failures at the end
		own   int      // failures that a success gave back
	}{
		{"nothing", nil, false, nil, 0},
		{"fewer than five", []int{4}, false, []string{"account 0", "account 1", "account 2", "account 3"}, 0},
		{"five in a row", []int{5}, true, []string{""}, 0},
		{"five after a success", []int{success, 5}, true, []string{""}, 0},
		{"a success between", []int{4, success, 4}, false, []string{"account 0", "account 1", "account 2", "account 3"}, 4},
		{"calls in flight when it opened", []int{5, success, 3, success}, true, []string{""}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, own := newBreaker(), 0
			for _, step := range c.steps {
				if step == success {
					own += len(b.success())
				}
				for _, failure := range failures(max(step, 0)) {
					b.platformFailure(failure)
				}
			}
			var rest []string
			for _, failure := range b.unreported() {
				rest = append(rest, failure.AppID)
			}
			if b.isOpen() != c.open || !slices.Equal(rest, c.rest) || own != c.own {
				t.Errorf("open %v, at the end %q, given back %d", b.isOpen(), rest, own)
			}
			if b.enter() == c.open {
				t.Errorf("another account is refreshed: %v", !c.open)
			}
		})
	}
	b := newBreaker()
	if !b.trip() || b.trip() || !b.isOpen() || b.unreported() != nil {
		t.Error("it is tripped once, with no failure of its own")
	}
}

// Five accounts at once until one succeeds, then 20.
func TestBreakerIsCautious(t *testing.T) {
	t.Parallel()
	b := newBreaker()
	free := func() int { return cap(b.slots) - len(b.slots) }
	if free() != cautiousParallel {
		t.Errorf("%d at once, want %d", free(), cautiousParallel)
	}
	for range cautiousParallel {
		b.enter()
	}
	entered := make(chan bool)
	go func() { entered <- b.enter() }()
	b.platformFailure(renewal.Failure{})
	b.success()
	if !<-entered {
		t.Error("the sixth may not go on after a success")
	}
	for range cautiousParallel + 1 {
		b.leave()
	}
	b.success()
	if free() != maxParallel {
		t.Errorf("%d at once, want %d", free(), maxParallel)
	}
}

// checkEventsAbout checks that as many failures were published.
func (s *fixture) checkEventsAbout(failures int) {
	s.t.Helper()
	events := slices.DeleteFunc(s.events(), func(e publishedEvent) bool { return e.Kind == "Token Rejected" })
	if len(events) != failures {
		s.t.Errorf("%d events for %d failures: %v", len(events), failures, events)
	}
}

// runForced runs refresh-tokens with force, which ignores waits.
func (s *fixture) runForced() (result refreshResult) {
	s.t.Helper()
	raw, err := s.tokens.Invoke(s.t.Context(), rawJSON(`{"task":"refresh-tokens","force":true}`))
	if err != nil || json.Unmarshal(raw, &result) != nil {
		s.t.Fatalf("%s (%v)", raw, err)
	}
	return result
}

// A platform failure ends the refresh of authorizers, with one failure for all; any other failure is the account's own.
// Own accounts continue.
func TestRefreshOfManyThatFail(t *testing.T) {
	t.Parallel()
	const accounts = 40
	for name, c := range map[string]struct {
		fault    wechattest.Fault
		errcode  int
		platform bool
	}{
		"whitelist":       {wechattest.Refuse(61004), 61004, true},
		"component token": {wechattest.Refuse(40001), 40001, true},
		"day quota":       {wechattest.Refuse(45009), 45009, true},
		"minute quota":    {wechattest.Refuse(45011), 45011, true},
		"busy":            {wechattest.Refuse(-1), -1, true},
		"ticket":          {wechattest.Refuse(61011), 61011, true},
		"cut off":         {wechattest.Reset(), 0, true},
		"no JSON":         {wechattest.Raw("<html>"), 0, true},
		"not granted":     {wechattest.Refuse(48001), 48001, false},
		"wrong appid":     {wechattest.Refuse(40013), 40013, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "dynamodb")
			s.issue(own)
			s.issueMany(accounts)
			s.advanceTo(4 * time.Minute)
			s.issue(component)
			s.WeChat.Fail(wechattest.PathAuthorizerToken, c.fault.Always())
			failed, calls := accounts, accounts
			if c.platform {
				failed, calls = 1, cautiousParallel+breakerThreshold-1
			}
			got := s.checkRefresh(1, 1, failed)
			if f := got.Failures[0]; f.Errcode != c.errcode || c.platform != (f.AppID == "") || f.Action == "" {
				t.Errorf("failure %+v", f)
			}
			if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n > 3*calls { // busy ones are repeated
				t.Errorf("%d authorizers were tried", n)
			}
			s.checkNewest(own)
			s.checkEventsAbout(failed)
			s.WeChat.Heal("")
			if got := s.runForced(); got.Refreshed != accounts || got.Failed > 0 { // it opens for one run only
				t.Errorf("mended: %+v", got)
			}
		})
	}
}
