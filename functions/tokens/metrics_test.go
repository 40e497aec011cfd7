package main

import (
	"encoding/json"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	s.refresh()
	s.WeChat.Fail(wechattest.PathQuota, wechattest.Refuse(61004), wechattest.Refuse(45009))
	for range 2 {
		s.diagnose()
	}
	if _, err := s.tokens.Invoke(s.t.Context(), `{}`); err == nil {
		t.Error("an event of no trigger was taken")
	}
	s.WantWatched()
}

func TestTheAgesOfTokenAndTicket(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	s.Clock.Forward(15 * time.Minute)
	s.refresh()
	lines := s.Log.Lines(`"TicketAge"`)
	if len(lines) != 1 {
		t.Fatalf("got %q", lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	for metric, want := range map[string]time.Duration{
		"TicketAge": 15 * time.Minute, "TokenAge": 15 * time.Minute, "TokenTimeToExpiry": 105 * time.Minute,
	} {
		seconds := got[metric].([]any)[0].(float64)
		if off := time.Duration(seconds*float64(time.Second)) - want; off.Abs() > 30*time.Second {
			t.Errorf("%s is %v s, want about %v", metric, seconds, want)
		}
	}
}
