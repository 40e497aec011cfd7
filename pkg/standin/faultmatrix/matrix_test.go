package faultmatrix

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the tables into docs/reliability.md")

// unused marks a trigger that makes no call to which the fault applies.
const unused = "–"

// end is the expected result of a cell; ok is false if the fault doesn't apply to the trigger.
func end(tr trigger, f fault) (w want, ok bool) {
	service := f.service
	if service == "" {
		for _, s := range []string{"wechat", "robots", "ssm", "dynamodb", "secretsmanager"} {
			if rule := tr.ends[s]; rule != nil {
				return rule(f), true
			}
		}
	}
	rule := tr.ends[service]
	if rule == nil {
		return want{}, false
	}
	return rule(f), true
}

// TestFaults runs the matrix.
func TestFaults(t *testing.T) {
	began := time.Now()
	all := os.Getenv("PROOF") == "all"
	var cells atomic.Int64
	var wrong sync.Map // cells, by name
	t.Run("cells", func(t *testing.T) {
		for i, f := range allFaults() {
			meeting := slices.DeleteFunc(slices.Clone(triggers), func(tr trigger) bool { _, ok := end(tr, f); return !ok })
			if !all && f.service != "" {
				at := i % len(meeting)
				meeting = meeting[at : at+1]
			}
			for _, tr := range meeting {
				w, _ := end(tr, f)
				t.Run(name(tr, f), func(t *testing.T) {
					t.Parallel()
					defer func() {
						cells.Add(1)
						if t.Failed() {
							wrong.Store(name(tr, f), true)
						}
					}()
					runCell(t, tr, f, w)
				})
			}
		}
	})
	mark := func(tr trigger, f fault, word string) string {
		if _, bad := wrong.Load(name(tr, f)); bad {
			return "**not** " + word
		}
		return word
	}
	if all {
		for _, function := range functions {
			fmt.Println(table(function, mark))
		}
	}
	bad := 0
	wrong.Range(func(any, any) bool { bad++; return true })
	fmt.Printf("faults: %d cells of %d triggers and %d faults of WeChat, robots and AWS, %d wrong, in %v\n", cells.Load(), len(triggers),
		len(allFaults())-1, bad, time.Since(began).Round(time.Second))
}

// name is a cell's name for go test -run.
func name(tr trigger, f fault) string {
	return strings.ReplaceAll(fmt.Sprintf("%s %s/%s: %s", f.service, f.name, tr.function, tr.name), "/", "|")
}

// runCell runs a trigger with a fault, and again after it.
func runCell(t *testing.T, tr trigger, f fault, w want) {
	world := newWorld(t, tr)
	if tr.before != nil {
		tr.before(world)
	}
	event := tr.event(world)
	if f.meddle != nil {
		world.invoke(tr.warm(world)) // so that there are connections to meddle with
		world.freeze(func() { f.meddle(world) })
	}
	if f.cause != nil {
		f.cause(world, tr)
	}
	r := world.invoke(event)
	if err := w.check(r); err != nil {
		t.Errorf("want %s, but %v\n%.2000s\n%s", w.word, err, r.payload, world.said.String())
	}
	if r.took > deadline {
		t.Errorf("it took %v", r.took)
	}
	if tr.function == "callback" && r.took > 4900*time.Millisecond {
		t.Errorf("it took %v; WeChat waits 5 seconds", r.took)
	}
	sent := world.wechat.OpenCalls()
	if !tr.opens && sent > 0 || sent > 1 {
		t.Errorf("%d calls opened a switch", sent)
	}
	a, _ := world.wechat.Account(closed)
	if a.Open && sent == 0 {
		t.Error("the switch is open without an opening call")
	}

	world.heal(f)
	if tr.waits != "" && world.waits(tr.waits) {
		before := world.wechat.Calls(tr.path)
		world.invoke(event)
		if more := world.wechat.Calls(tr.path) - before; more > 0 {
			t.Errorf("%d calls before the wait was over", more)
		}
	}
	world.endWaits(tr, f)
	r = world.invoke(event)
	if err := tr.heals(f).check(r); err != nil {
		t.Errorf("after the fault, want %s, but %v\n%.2000s\n%s", tr.heals(f).word, err, r.payload, world.said.String())
	}
	if more := world.wechat.OpenCalls() - sent; more > 0 && (a.Open || !tr.opens) || more > 1 {
		t.Errorf("%d more calls opened a switch", more)
	}
	if tr.checkState != nil {
		if err := tr.checkState(world, f); err != nil {
			t.Errorf("lost: %v\n%s", err, world.said.String())
		}
	}
	if n := world.wechat.Calls(elsewhere); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
	for _, leak := range world.leaks() {
		t.Errorf("a secret can be seen: %s", leak)
	}
}

// table is a function's matrix in Markdown; mark may change a cell's word.
func table(function string, mark func(trigger, fault, string) string) string {
	var columns []trigger
	for _, tr := range triggers {
		if tr.function == function {
			columns = append(columns, tr)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "### %s\n\n| |", function)
	for _, tr := range columns {
		fmt.Fprintf(&out, " %s |", tr.name)
	}
	fmt.Fprintf(&out, "\n| --- |%s\n", strings.Repeat(" --- |", len(columns)))
	for _, f := range allFaults() {
		words, meets := "", false
		for _, tr := range columns {
			w, ok := end(tr, f)
			if !ok {
				w.word = unused
			}
			meets = meets || ok
			words += " " + mark(tr, f, w.word) + " |"
		}
		if meets {
			fmt.Fprintf(&out, "| %s |%s\n", strings.TrimSpace(servicesByName[f.service]+" "+f.name), words)
		}
	}
	return out.String()
}

var servicesByName = map[string]string{
	"wechat": "WeChat:", "robots": "a robot:", "secretsmanager": "Secrets Manager:", "ssm": "SSM:", "dynamodb": "DynamoDB:", "events": "EventBridge:", "sqs": "SQS:",
}

const page = "../../../docs/reliability.md"

// TestThePageHoldsTheTables checks the tables of docs/reliability.md; -update writes them.
func TestThePageHoldsTheTables(t *testing.T) {
	t.Parallel()
	const begin, stop = "<!-- tables: go test ./pkg/standin/faultmatrix -run Page -update -->\n", "<!-- end of tables -->"
	var tables []string
	for _, function := range functions {
		tables = append(tables, table(function, func(_ trigger, _ fault, word string) string { return word }))
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ends := strings.Cut(rest, stop)
	if !found || !ends {
		t.Fatalf("%s has no place for the tables", page)
	}
	want := before + begin + "\n" + strings.Join(tables, "\n") + "\n" + stop + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s does not hold the tables as they are; write it with -update", page)
	}
}
