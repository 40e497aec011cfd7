// Command bench measures the built functions, beside a minimal Lambda that is built in the same run, and prints a table
// in Markdown.
//
// It starts the binaries themselves and plays the Lambda Runtime API to them, with a simulated WeChat and a stand-in for
// AWS on loopback. What is compared is measured in turns, so that whatever else the machine does meets all alike: the
// ratios say more than the times.
//
//	go run ./cmd/bench load [flags]
//
// drives the local API and the functions with many requests at once, see [load].
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"
)

// measurements are what the bench is made of: each gives some rows of the table.
var measurements = []func(context.Context, *bench) ([]row, error){
	func(ctx context.Context, b *bench) ([]row, error) { return cold(ctx, b, 50) },
	func(ctx context.Context, b *bench) ([]row, error) { return cold(ctx, b, 1000) },
	func(ctx context.Context, b *bench) ([]row, error) { return warm(ctx, b, 50) },
	func(ctx context.Context, b *bench) ([]row, error) { return warm(ctx, b, 1000) },
	secretReads,
	func(ctx context.Context, b *bench) ([]row, error) { return refresh(ctx, b, 1000, secretsManager) },
	func(ctx context.Context, b *bench) ([]row, error) { return refresh(ctx, b, 10_000, dynamoDB) },
	func(ctx context.Context, b *bench) ([]row, error) { return survey(ctx, b, 20_000) },
	func(ctx context.Context, b *bench) ([]row, error) { return accountPage(ctx, b, 20_000) },
	func(ctx context.Context, b *bench) ([]row, error) { return watch(ctx, b, 500) },
	sizes,
}

// bench is what all measurements share.
type bench struct {
	latency time.Duration // of WeChat
	starts  int           // how many cold starts of each program
	rounds  int           // how many warm invocations of each program

	binaries   binaries
	contenders [3]string // see [binaries.contenders]
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
	flag.IntVar(&b.starts, "starts", 31, "how many cold starts of each program")
	flag.IntVar(&b.rounds, "rounds", 200, "how many warm invocations of each program")
	check := flag.Bool("check", false, "exit with 1 when a target is missed")
	flag.Parse()

	missed, err := b.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if *check && missed {
		os.Exit(1)
	}
}

// run prints the table, and reports whether a target was missed.
func (b *bench) run(ctx context.Context, out io.Writer) (missed bool, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return false, fmt.Errorf("make a folder for the binaries: %w", err)
	}
	defer os.RemoveAll(dir)
	b.binaries = binaries{dir}
	if b.contenders, err = b.binaries.contenders(ctx); err != nil {
		return false, err
	}

	fmt.Fprintf(out, "Measured on %s, with %s. WeChat takes %v for an answer. Times are in ms.\n\n", machine(), runtime.Version(), b.latency)
	fmt.Fprint(out, header)
	for _, measure := range measurements {
		rows, err := measure(ctx, b)
		if err != nil {
			return false, err
		}
		for _, r := range rows {
			fmt.Fprintln(out, r)
			missed = missed || r.missed()
		}
	}
	return missed, nil
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
