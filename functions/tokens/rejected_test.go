package main

import (
	"testing"
	"time"
)

// A system that can't read a record's version leaves version_id empty. Its report is accepted, unless the token was
// fetched recently, possibly after the rejection.
func TestTokenRejectedWithoutVersion(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.ticket()
		s.Clock.Forward(9 * time.Minute)
		calls := s.WeChat.Calls("")
		for _, owner := range allOwners {
			s.invoke(rejection(owner, ""))
		}
		if n := s.WeChat.Calls("") - calls; n != 0 {
			t.Errorf("%d calls of WeChat for tokens of nine minutes", n)
		}
		s.Clock.Forward(2 * time.Minute)
		for _, owner := range allOwners {
			s.WeChat.KickToken(owner)
			s.invoke(rejection(owner, ""))
			s.checkNewest(owner)
			_, version := s.text(owner)
			s.invoke(rejection(owner, "")) // of another instance of that system
			if _, now := s.text(owner); now != version {
				t.Errorf("the token of %q was renewed twice", owner)
			}
		}
		s.checkEvents()
	})
}
