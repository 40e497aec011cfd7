// Command bench measures the built functions, beside a minimal Lambda and a floor that are built in the same run, and
// prints a table in Markdown.
//
// It starts the binaries themselves and plays the Lambda Runtime API to them, with a simulated WeChat and a stand-in for
// AWS on loopback. Programs are measured in alternation, so that other load on the machine affects all alike: the
// ratios say more than the times.
//
//	go run ./cmd/bench load [flags]
//
// drives the local API and the functions with many requests at once, see [load].
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

// measurement gives some rows of the table.
type measurement func(context.Context, *bench) ([]row, error)

// measurements are the parts of the bench. The check uses fewer accounts at the same rates and leaves out what has no
// target.
func measurements(check bool) []measurement {
	over := func(measure func(context.Context, *bench, int) ([]row, error), size int) measurement {
		return func(ctx context.Context, b *bench) ([]row, error) { return measure(ctx, b, size) }
	}
	refreshIn := func(store tokenStore) func(context.Context, *bench, int) ([]row, error) {
		return func(ctx context.Context, b *bench, accounts int) ([]row, error) {
			return refresh(ctx, b, accounts, store)
		}
	}
	all := []measurement{
		over(coldStarts, 50), over(coldStarts, 1000), over(warm, 50), over(warm, 1000), secretReads, over(watch, 500),
	}
	if check {
		return append(all, repeated(over(refreshIn(secretsManager), 300)), repeated(over(refreshIn(dynamoDB), 4000)), repeated(over(survey, 4000)),
			over(accountPage, 2000))
	}
	return append(all, over(refreshIn(secretsManager), 1000), over(refreshIn(dynamoDB), 10_000), over(survey, 20_000), over(accountPage, 20_000),
		over(warmWithLatency, 50), over(warmWithLatency, 1000), over(hot, 1000), sizes)
}

// repeated takes a measurement in each run. Short tasks need that: one more throttled call is a tenth of their time.
func repeated(measure measurement) measurement {
	return func(ctx context.Context, b *bench) (rows []row, err error) {
		for range b.runs {
			again, err := measure(ctx, b)
			if err != nil {
				return nil, err
			}
			rows = merge(rows, again)
		}
		return rows, nil
	}
}

// bench is what all measurements share.
type bench struct {
	latency time.Duration // of WeChat, for work that depends on it
	runs    int           // how often comparisons are repeated
	starts  int           // cold starts of each program in a run
	rounds  int           // warm invocations of each program in a run

	binaries   binaries
	contenders contenders
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "load" {
		l := &load{latency: 50 * time.Millisecond, root: "."}
		flags := flag.NewFlagSet("bench load", flag.ExitOnError)
		flags.IntVar(&l.requests, "requests", 10_000, "how many requests each kind gets that asks nobody else; others get a tenth")
		flags.IntVar(&l.crowd, "crowd", 1000, "how many ask at once in the beginning")
		flags.Parse(os.Args[2:])
		if err := l.run(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			os.Exit(1)
		}
		return
	}
	b := &bench{latency: 50 * time.Millisecond}
	flag.IntVar(&b.runs, "runs", 3, "how often what is compared with other programs is measured")
	flag.IntVar(&b.starts, "starts", 31, "how many cold starts of each program in a run")
	flag.IntVar(&b.rounds, "rounds", 200, "how many warm invocations of each program in a run")
	check := flag.Bool("check", false, "hold the targets, with fewer accounts: exit with 1 when one is missed")
	page := flag.String("write", "", "a page whose table is replaced")
	flag.Parse()
	os.Exit(b.main(ctx, *check, *page))
}

// main measures and returns the exit status.
func (b *bench) main(ctx context.Context, check bool, page string) int {
	var table bytes.Buffer
	targets, missed, err := b.run(ctx, io.MultiWriter(os.Stdout, &table), measurements(check))
	if err == nil && page != "" {
		err = replaceTable(page, table.Bytes())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	fmt.Printf("\n%d of %d targets were held\n", targets-missed, targets)
	return exitStatus(check, missed)
}

func exitStatus(check bool, missed int) int {
	if check && missed > 0 {
		return 1
	}
	return 0
}

// run prints the table and returns the number of targets, and of those missed.
func (b *bench) run(ctx context.Context, out io.Writer, measurements []measurement) (targets, missed int, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return 0, 0, fmt.Errorf("make a folder for the binaries: %w", err)
	}
	defer os.RemoveAll(dir)
	b.binaries = binaries{dir}
	if b.contenders, err = b.binaries.contenders(ctx); err != nil {
		return 0, 0, err
	}

	return b.report(ctx, out, measurements)
}

func (b *bench) report(ctx context.Context, out io.Writer, measurements []measurement) (targets, missed int, err error) {
	fmt.Fprintf(out, "Measured on %s, with %s.\n\n", machine(), runtime.Version())
	fmt.Fprint(out, header)
	for _, measure := range measurements {
		rows, err := measure(ctx, b)
		if err != nil {
			return targets, missed, err
		}
		for _, r := range rows {
			fmt.Fprintln(out, r)
			if r.hasTarget() {
				targets++
			}
			if r.missed() {
				missed++
			}
		}
	}
	return targets, missed, nil
}

// The table of a page is between these lines.
const (
	tableBegins = "<!-- make bench writes from here -->\n"
	tableEnds   = "<!-- to here -->\n"
)

func replaceTable(page string, table []byte) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("read the page of the table: %w", err)
	}
	before, rest, begins := bytes.Cut(text, []byte(tableBegins))
	_, after, ends := bytes.Cut(rest, []byte(tableEnds))
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", page, tableBegins, tableEnds)
	}
	text = slices.Concat(before, []byte(tableBegins), table, []byte(tableEnds), after)
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func machine() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	if info, err := os.Open("/proc/cpuinfo"); err == nil {
		defer info.Close()
		for lines := bufio.NewScanner(info); lines.Scan(); {
			if key, model, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
				name += ", " + strings.TrimSpace(model)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores", name, runtime.NumCPU())
}
