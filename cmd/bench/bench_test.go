package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTasksOverAccountsAndDrafts(t *testing.T) {
	t.Parallel()
	b := &bench{latency: 5 * time.Millisecond, binaries: binaries{t.TempDir()}}
	for name, test := range map[string]struct {
		measure func() ([]row, error)
		limits  []float64 // and for counts the values too
		counts  bool
	}{
		"survey":                     {func() ([]row, error) { return survey(t.Context(), b, 200) }, []float64{0.05, 128, 0}, false},
		"refresh in Secrets Manager": {func() ([]row, error) { return refresh(t.Context(), b, 60, secretsManager) }, []float64{1.2, 128}, false},
		"refresh in DynamoDB":        {func() ([]row, error) { return refresh(t.Context(), b, 200, dynamoDB) }, []float64{0.05, 128}, false},
		"accounts":                   {func() ([]row, error) { return accountPage(t.Context(), b, 1200) }, []float64{1, 1}, true},
		"watch":                      {func() ([]row, error) { return watch(t.Context(), b, 500) }, []float64{1, 2, 0}, true},
	} {
		rows, err := test.measure()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var limits []float64
		for _, r := range rows {
			limits = append(limits, r.limit)
			if (test.counts || r.never) && r.missed() || r.value <= 0 && r.limit > 0 {
				t.Errorf("%s: %v", name, r)
			}
		}
		if diff := cmp.Diff(test.limits, limits); diff != "" {
			t.Errorf("%s: limits (-want +got):\n%s", name, diff)
		}
	}
}

// A minimal Lambda with fewer clients than drafts would start faster than it may.
func TestTheMinimalLambdaLinksTheClientsOfDrafts(t *testing.T) {
	t.Parallel()
	more, err := moreClients(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(more) == 0 {
		t.Error("drafts publishes events, so it needs more clients than Secrets Manager's")
	}
}

func TestProgramsAreMeasuredByTheirAnswers(t *testing.T) {
	t.Parallel()
	b := &bench{latency: time.Millisecond, starts: 1, rounds: 2, binaries: binaries{t.TempDir()}}
	var err error
	if b.contenders, err = b.binaries.contenders(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, drafts := range []int{0, judged} {
		for _, measure := range []func() ([]row, error){
			func() ([]row, error) { return cold(t.Context(), b, drafts) },
			func() ([]row, error) { return warm(t.Context(), b, drafts) },
		} {
			rows, err := measure()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.value <= 0 || len(r.minimal) != 2 || r.minimal[0] <= 0 || r.minimal[1] <= 0 {
					t.Errorf("%v", r)
				}
			}
		}
	}
	w, err := newWorld(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for i, binary := range b.contenders {
		instance, err := start(t.Context(), binary, w.env...)
		if err != nil {
			t.Fatal(err)
		}
		defer instance.Close()
		if _, err := list(t.Context(), instance, 2); err == nil {
			t.Errorf("program %d: an answer with another number of drafts was taken", i)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		row    row
		want   string
		missed bool
	}{
		{row{what: "a", format: "%.1f", value: 3, minimal: []float64{2, 4}},
			"| a | 3.0 | 2.0 | 4.0 | 1.50, 0.75 |  |", false},
		{row{what: "a", format: "%.1f", value: 3, minimal: []float64{2, 4}, atMost: []float64{1.5, 1}},
			"| a | 3.0 | 2.0 | 4.0 | 1.50, 0.75 | 1.5, 1 |", false},
		{row{what: "a", format: "%.1f", value: 3, minimal: []float64{4, 2}, atMost: []float64{1.5, 1.4}},
			"| a | 3.0 | 4.0 | 2.0 | 0.75, 1.50 | 1.5, 1.4 (missed) |", true},
		{row{what: "a", format: "%.1f s", value: 27, limit: 25, atMost: []float64{1.05}},
			"| a | 27.0 s |  |  | 1.08 | 1.05 × 25.0 s (missed) |", true},
		{row{what: "a", format: "%.0f", value: 1, limit: 1, atMost: []float64{1}},
			"| a | 1 |  |  | 1.00 | 1 |", false},
		{never("a", 0), "| a | 0 |  |  |  | 0 |", false},
		{never("a", 2), "| a | 2 |  |  |  | 0 (missed) |", true},
	} {
		if got := test.row.String(); got != test.want || test.row.missed() != test.missed {
			t.Errorf("missed: %v\n%s", test.row.missed(), cmp.Diff(test.want, got))
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 5, 1: 5} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	if diff := cmp.Diff([]float64{5, 1, 4, 2, 3}, values); diff != "" {
		t.Errorf("the values were changed: %s", diff)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	l := &load{latency: 5 * time.Millisecond, crowd: 40, root: "../..", binaries: binaries{t.TempDir()}}
	var out, told strings.Builder
	if err := errors.Join(l.share(t.Context(), &out, &told, ""), l.function(t.Context(), &out, "drafts", "list", 20)); err != nil {
		t.Error(err)
	}
	if rows := strings.Count(out.String(), " | 0 | "); rows != 2 { // without errors
		t.Errorf("%d rows of 2:\n%s", rows, &out)
	}
	if !strings.Contains(told.String(), "reads of the token: 1, fetches of the list: 1\n") {
		t.Errorf("nothing was shared:\n%s", &told)
	}
}

// Calls that fail are counted, and make the load fail.
func TestLoadTellsOfErrors(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	call := func(context.Context) error {
		if calls.Add(1)%4 == 0 {
			return errors.New("no")
		}
		return nil
	}
	var out strings.Builder
	err := (&load{}).drive(t.Context(), &out, "work", 40, 3, call, func() float64 { return 7 })
	if err == nil || calls.Load() != 40 || !strings.Contains(out.String(), "| work | 40 | 3 | 10 | ") || !strings.Contains(out.String(), "| 7 → 7 → 7 → 7 → 7 |") {
		t.Errorf("%v, after %d calls:\n%s", err, calls.Load(), &out)
	}
}
