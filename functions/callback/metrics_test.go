package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/awstest"
)

// As the template sets it up, with a queue, it calls AWS alone, and AWS's own metrics tell most of how it is.
func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	s.ticket("ticket@@@one", s.now())
	s.authorized("authorized", closed, s.WeChat.NewCode(closed), s.now())
	s.AWS.Fail("ssm:GetParameter", awstest.Deny())
	s.ticket("ticket@@@two", s.now())
	s.WantWatched()
}
