package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/awstest"
)

// As deployed by the template, with a queue, it calls only AWS, whose own metrics cover most of its health.
func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	s.ticket("ticket@@@one", s.now())
	s.authorized("authorized", closed, s.WeChat.NewCode(closed), s.now())
	s.AWS.Fail("ssm:GetParameter", awstest.Deny())
	s.ticket("ticket@@@two", s.now())
	s.WantWatched()
}
