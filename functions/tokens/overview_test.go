package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/functiontest"
)

// The task tokens reads: a role that may write nothing, on a platform with a token server of its own, is enough for it.
func TestTheLivesOfTokens(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	until := s.Clock.Now().Add(5 * time.Minute).UTC().Truncate(time.Second)
	for _, owner := range []string{"component", open} {
		s.AWS.SetItem(functiontest.StateTable, map[string]any{"pk": "wait", "sk": owner, "revision": 1,
			"failures": 2, "errcode": 45009, "wait_until": until.Format(time.RFC3339)})
	}
	text, err := s.tokens.Invoke(t.Context(), map[string]string{"task": "tokens"})
	if err != nil {
		t.Fatal(err)
	}
	var got overview
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	waits := map[string]*time.Time{}
	for _, entry := range got.Tokens {
		waits[entry.AppID] = entry.WaitUntil
		if entry.ExpiresAt == nil || !entry.ExpiresAt.After(until) || (entry.Errcode != nil) != (entry.WaitUntil != nil) {
			t.Errorf("the token of %q: %+v", entry.AppID, entry)
		}
	}
	if diff := cmp.Diff(map[string]*time.Time{"": &until, closed: nil, open: &until, own: nil}, waits); diff != "" || got.Tokens[0].AppID != "" {
		t.Errorf("when each may be fetched (-want +got):\n%s", diff)
	}
}
