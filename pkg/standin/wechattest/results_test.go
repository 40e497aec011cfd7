package wechattest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestResults(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := New(WithClock(func() time.Time { return now }))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	token := s.IssueComponentToken()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // it never repeats a request
	list := func() {
		t.Helper()
		answer, err := client.Get(server.URL + PathDraftList + "?access_token=" + token)
		if err == nil {
			answer.Body.Close()
		}
	}
	list()
	now = now.Add(50 * time.Minute)
	list()
	list()
	s.Fail(PathDraftList, Refuse(-1))
	list()
	s.Fail(PathDraftList, Status(502, "bad gateway"))
	list()
	s.Fail(PathDraftList, Drop())
	list()
	s.Fail(PathDraftList, Drop().After())
	list()

	minute := now.Truncate(time.Minute)
	late := []Result{{minute, PathDraftList, 0, 0, 2}, {minute, PathDraftList, 200, -1, 1}, {minute, PathDraftList, 200, 0, 2}, {minute, PathDraftList, 502, 0, 1}}
	want := append([]Result{{minute.Add(-50 * time.Minute), PathDraftList, 200, 0, 1}}, late...)
	for deadline := time.Now().Add(10 * time.Second); len(s.Results()) > 0 && s.Results()[1].Count < 2 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // a broken connection is seen before it is counted
	}
	if diff := cmp.Diff(want, s.Results()); diff != "" {
		t.Error(diff)
	}
	now = now.Add(20 * time.Minute)
	answer, err := http.Get(server.URL + "/_sim/results")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got struct{ Calls []Result }
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(late, got.Calls); diff != "" {
		t.Errorf("an hour and ten minutes after the first call: %s", diff)
	}
}
