package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
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
		want    []string // the limits of times, and the targets of counts, which have to be held
	}{
		"survey":                     {func() ([]row, error) { return survey(t.Context(), b, 200) }, []string{"1.05 × 0.1 s", "128", "0"}},
		"refresh in Secrets Manager": {func() ([]row, error) { return refresh(t.Context(), b, 60, secretsManager) }, []string{"1.1 × 1.2 s", "128"}},
		"refresh in DynamoDB":        {func() ([]row, error) { return refresh(t.Context(), b, 200, dynamoDB) }, []string{"1.1 × 0.1 s", "128"}},
		"accounts":                   {func() ([]row, error) { return accountPage(t.Context(), b, 1200) }, []string{"1", "1"}},
		"watch":                      {func() ([]row, error) { return watch(t.Context(), b, 500) }, []string{"1", "2", "0"}},
	} {
		rows, err := test.measure()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var targets []string
		for _, r := range rows {
			targets = append(targets, strings.TrimSuffix(r.targetCell(), " (missed)"))
			if r.exact && r.missed() || r.value <= 0 && r.atMost > 0 {
				t.Errorf("%s: %v", name, r)
			}
		}
		if diff := cmp.Diff(test.want, targets); diff != "" {
			t.Errorf("%s: targets (-want +got):\n%s", name, diff)
		}
	}
}

// BenchmarkHotPaths invokes warm processes. ns/op includes the stand-ins; cpu-ns/op is the process alone.
func BenchmarkHotPaths(b *testing.B) {
	binaries := binaries{b.TempDir()}
	for _, path := range hotPaths {
		b.Run(strings.ReplaceAll(path.what, " ", "-"), func(b *testing.B) {
			h, err := startHot(b.Context(), binaries, path)
			if err != nil {
				b.Fatal(err)
			}
			defer h.close()
			cpu, calls := cpuTime(h.instance.PID()), h.world.wechat.Calls("")+h.world.aws.Calls("")
			for b.Loop() {
				if err := h.invoke(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(h.instance.PID())-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(h.world.wechat.Calls("")+h.world.aws.Calls("")-calls)/float64(b.N), "calls/op")
		})
	}
}

func TestHotPaths(t *testing.T) {
	t.Parallel()
	rows, err := hot(t.Context(), &bench{binaries: binaries{t.TempDir()}}, 3)
	if err != nil || len(rows) != 3*len(hotPaths) {
		t.Fatal(rows, err)
	}
	for _, r := range rows {
		if strings.HasSuffix(r.what, "CPU") && r.value <= 0 {
			t.Errorf("no CPU: %v", r)
		}
	}
}

// The minimal Lambda must link the same clients as drafts, or it would start too fast.
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
	b := &bench{latency: time.Millisecond, runs: 2, starts: 1, rounds: 2, binaries: binaries{t.TempDir()}}
	var err error
	if b.contenders, err = b.binaries.contenders(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 50} {
		for name, measure := range map[string]func(context.Context, *bench, int) ([]row, error){
			"cold": coldStarts, "warm": warm, "latency": warmWithLatency,
		} {
			rows, err := measure(t.Context(), b, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.value <= 0 || r.minimal <= 0 && r.floor <= 0 {
					t.Errorf("%s: %v", name, r)
				}
				if r.hasTarget() && len(r.ratios) != b.runs {
					t.Errorf("%s: %d ratios of %d runs: %v", name, len(r.ratios), b.runs, r)
				}
			}
		}
	}
	w, err := newWorld(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	floorEnv, err := w.floorEnv(t.Context(), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	instances, err := startWarm(t.Context(), b, w, floorEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer instances.close()
	for i, instance := range instances.all() {
		if _, err := list(t.Context(), instance, 2); err == nil {
			t.Errorf("program %d: an answer with another number of drafts was taken", i)
		}
	}
}

// The floor's response and log line are those of drafts with a full cache.
func TestTheFloorSaysTheSame(t *testing.T) {
	t.Parallel()
	b := &bench{binaries: binaries{t.TempDir()}}
	var err error
	if b.contenders, err = b.binaries.contenders(t.Context()); err != nil {
		t.Fatal(err)
	}
	w, err := newDraftWorld(0, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	env, err := w.floorEnv(t.Context(), b, 3)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := start(t.Context(), b.contenders.floor, env...)
	if err != nil {
		t.Fatal(err)
	}
	defer instance.Close()
	if _, err := list(t.Context(), instance, 3); err != nil {
		t.Error(err)
	}
	line, err := os.ReadFile(strings.TrimPrefix(env[1], "LINE="))
	if err != nil || strings.Count(string(line), "\n") != 1 || !strings.HasPrefix(string(line), "{") {
		t.Errorf("the floor writes %q, %v", line, err)
	}
}

func TestInterleavedStepsTakeTurns(t *testing.T) {
	t.Parallel()
	var order strings.Builder
	step := func(name string) func() (float64, error) {
		return func() (float64, error) { order.WriteString(name); return float64(order.Len()), nil }
	}
	measured, err := interleave(3, step("a"), step("b"), step("c"))
	if err != nil || order.String() != "abcbcacab" {
		t.Errorf("%s, %v", &order, err)
	}
	if diff := cmp.Diff([][]float64{{1, 6, 8}, {2, 4, 9}, {3, 5, 7}}, measured); diff != "" {
		t.Error(diff)
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		row    row
		want   string
		missed bool
	}{
		{compare("a", "%.1f", 0, runs{{2, 3, 9}}, runs{{4, 3, 4}}, nil), "| a | 3.0 | 4.0 |  |  | 1.00 |  |", false},
		{compare("a", "%.1f", 1, runs{{1}, {2}, {3}}, runs{{1}, {1}, {1}}, runs{{2}, {2}, {2}}), "| a | 2.0 | 1.0 | 2.0 |  | 2.00 (1.00 to 3.00) | 1 (missed) |", true},
		{compare("a", "%.1f", 1, runs{{1}, {1.09}, {3}}, runs{{1}, {1}, {1}}, nil), "| a | 1.1 | 1.0 |  |  | 1.09 (1.00 to 3.00) | 1 |", false},
		{row{what: "a", format: "%.1f", value: 3, floor: 3, ratios: []float64{1}, atMost: 1.3}, "| a | 3.0 |  |  | 3.0 | 1.00 | 1.3 |", false},
		{within("a", "%.1f s", 29, 25, 1.05), "| a | 29.0 s |  |  |  | 1.16 | 1.05 × 25.0 s (missed) |", true},
		{within("a", "%.1f s", 28, 25, 1.05), "| a | 28.0 s |  |  |  | 1.12 | 1.05 × 25.0 s |", false},
		{atMost("a", 1, 1), "| a | 1 |  |  |  |  | 1 |", false},
		{atMost("a", 2, 1), "| a | 2 |  |  |  |  | 1 (missed) |", true},
		{atMost("a", 0, 0), "| a | 0 |  |  |  |  | 0 |", false},
		{tail("a", runs{{1, 2}}, runs{{3, 4}}, runs{{5, 6}}), "| a | 2.00 ms | 4.00 ms | 6.00 ms |  |  |  |", false},
	} {
		if got := test.row.String(); got != test.want || test.row.missed() != test.missed {
			t.Errorf("missed: %v\n%s", test.row.missed(), cmp.Diff(test.want, got))
		}
	}
}

func TestRunsOfATaskAreMerged(t *testing.T) {
	t.Parallel()
	var rows []row
	for i, took := range []float64{30, 10, 11} {
		rows = merge(rows, []row{within("a", "%.0f s", took, 10, 1.1), atMost("b", 2-i, 1)})
	}
	if got := rows[0].String(); got != "| a | 11 s |  |  |  | 1.10 (1.00 to 3.00) | 1.1 × 10 s |" || rows[0].missed() {
		t.Error(got)
	}
	if got := rows[1].String(); got != "| b | 2 |  |  |  |  | 1 (missed) |" {
		t.Error(got)
	}
}

// The check fails if, and only if, a target is missed.
func TestTheCheckFailsByAMissedTarget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		check bool
		count int
		want  int
	}{{true, 1, 0}, {true, 2, 1}, {false, 2, 0}} {
		measure := func(context.Context, *bench) ([]row, error) { return []row{atMost("a", test.count, 1)}, nil }
		targets, missed, err := (&bench{}).report(t.Context(), io.Discard, []measurement{measure})
		if got := exitStatus(test.check, missed); err != nil || targets != 1 || got != test.want {
			t.Errorf("%+v: status %d, %d targets, %v", test, got, targets, err)
		}
	}
}

func TestTheTableIsWrittenIntoItsPage(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	for text, want := range map[string]string{
		"before\n" + tableBegins + "old\n" + tableEnds + "after\n": "before\n" + tableBegins + "new\n" + tableEnds + "after\n",
		"no table\n": "no table\n",
	} {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := replaceTable(page, []byte("new\n"))
		got, _ := os.ReadFile(page)
		if string(got) != want || (err == nil) != (text != want) {
			t.Errorf("%q, %v", got, err)
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

// Failed calls are counted and fail the load test.
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
