package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wechat-draftbox/pkg/standin/runtimeapi"
	"wechat-draftbox/pkg/standin/wechattest"
)

// load sends a fixed number of requests to the local API over HTTP and to the built functions over the Lambda Runtime
// API, and reports latency, errors and memory.
type load struct {
	latency  time.Duration // of WeChat
	requests int           // to endpoints that need no upstream call; a tenth to those that call WeChat or AWS
	crowd    int           // concurrent requests to a cold local API
	root     string        // of the repository

	binaries binaries
}

const (
	loadHeader = `| | requests | at once | errors | a second | p50 | p99 | memory, from first to last |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
`
	// callers is the number of concurrent clients of the local API.
	callers = 50
	// instances is how many instances of a function run in parallel, each with one invocation at a time, as in Lambda.
	instances = 4
	// samples is how often memory is measured.
	samples = 5
)

// run prints the table. The error reports failed requests or upstream calls that were not shared.
func (l *load) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "load-")
	if err != nil {
		return fmt.Errorf("make a folder for the binaries: %w", err)
	}
	defer os.RemoveAll(dir)
	l.binaries = binaries{dir}

	fmt.Fprintf(out, "Measured on %s, with %s. WeChat takes %v for an answer. Times are in ms, memory in MB a process.\n\n", machine(), runtime.Version(), l.latency)
	fmt.Fprint(out, loadHeader)
	var summary strings.Builder
	err = errors.Join(l.share(ctx, out, &summary, ""), l.share(ctx, out, &summary, noCache), l.api(ctx, out), l.functions(ctx, out))
	fmt.Fprint(out, "\n"+summary.String())
	return err
}

// share requests the drafts concurrently and reports the calls to WeChat and AWS. Without the draft cache, requests
// can only share calls in flight in the function's process.
func (l *load) share(ctx context.Context, out, summary io.Writer, setting string) error {
	api, err := l.startAPI(ctx, setting)
	if err != nil {
		return err
	}
	defer api.stop()
	what := strings.TrimSpace("local API, cold: GET /drafts " + setting)
	if err := l.drive(ctx, out, what, l.crowd, l.crowd, api.get("/drafts"), api.memoryOf("drafts")); err != nil {
		return err
	}
	reads, fetches := api.world.aws.Calls("secretsmanager:GetSecretValue"), api.world.wechat.Calls(wechattest.PathDraftList)
	fmt.Fprintf(summary, "%d requests at once (%s): reads of the token: %d, fetches of the list: %d\n", l.crowd, what, reads, fetches)
	if reads != 1 || setting == "" && fetches != 1 || fetches > l.crowd/10 {
		return fmt.Errorf("%s: %d requests read the token %d times and fetched the list %d times", what, l.crowd, reads, fetches)
	}
	return nil
}

// api loads the read endpoints of the local API.
func (l *load) api(ctx context.Context, out io.Writer) error {
	api, err := l.startAPI(ctx)
	if err != nil {
		return err
	}
	defer api.stop()
	for _, r := range []struct {
		target, function string
		requests         int
	}{
		{"/drafts", "drafts", l.requests},
		{"/drafts/7", "drafts", l.requests},
		{"/drafts?fresh=true", "drafts", l.requests / 10},
		{"/templates", "templates", l.requests / 10},
		{"/accounts/" + wechattest.ExampleClosed + "/draft-switch", "switch", l.requests / 10},
		{"/accounts", "switch", l.requests / 10},
	} {
		err = errors.Join(err, l.drive(ctx, out, "local API: GET "+r.target, r.requests, callers, api.get(r.target), api.memoryOf(r.function)))
	}
	return err
}

// functions loads the binaries with the events of the folder events/.
func (l *load) functions(ctx context.Context, out io.Writer) (err error) {
	for _, f := range []struct {
		function, event string
		requests        int
	}{
		{"drafts", "list", l.requests},
		{"drafts", "watch-drafts", l.requests / 10},
		{"switch", "check", l.requests / 10},
		{"templates", "list", l.requests / 10},
		{"tokens", "refresh-tokens", l.requests / 10},
		{"callback", "unknown-info-type", l.requests},
	} {
		err = errors.Join(err, l.function(ctx, out, f.function, f.event, f.requests))
	}
	return err
}

func (l *load) function(ctx context.Context, out io.Writer, function, eventName string, requests int) error {
	event, err := os.ReadFile(filepath.Join(l.root, "events", function, eventName+".json"))
	if err != nil {
		return fmt.Errorf("read an event: %w", err)
	}
	binary, err := l.binaries.build(ctx, module+"/functions/"+function)
	if err != nil {
		return err
	}
	w, err := l.world()
	if err != nil {
		return err
	}
	defer w.close()
	idle := make(chan *runtimeapi.Instance, instances)
	all := make([]*runtimeapi.Instance, instances)
	for i := range all {
		if all[i], err = start(ctx, binary, w.env...); err != nil {
			return err
		}
		defer all[i].Close()
		idle <- all[i]
	}
	invoke := func(ctx context.Context) error {
		instance := <-idle
		defer func() { idle <- instance }()
		result, err := instance.Invoke(ctx, event)
		if err == nil && (result.Error || bytes.Contains(result.Payload, []byte(`"statusCode":`)) && !bytes.Contains(result.Payload, []byte(`"statusCode":200`))) {
			return fmt.Errorf("%.300s", result.Payload)
		}
		return err
	}
	memory := func() (sum float64) {
		for _, instance := range all {
			sum += memoryNow(instance.PID())
		}
		return sum / instances
	}
	return l.drive(ctx, out, fmt.Sprintf("%s, %d instances: %s", function, instances, eventName), requests, instances, invoke, memory)
}

// world has 50 drafts and ten accounts with their tokens.
func (l *load) world() (*world, error) {
	w, err := newWorld(l.latency, 50)
	if err != nil {
		return nil, err
	}
	w.addAccounts(10, secretsManager, 2*time.Hour)
	return w, nil
}

// drive makes the given number of calls, atOnce at a time, and prints a row. It returns the error of the first call
// that failed.
func (l *load) drive(ctx context.Context, out io.Writer, what string, requests, atOnce int, call func(context.Context) error, memory func() float64) error {
	var (
		next, done atomic.Int64
		workers    sync.WaitGroup
		mu         sync.Mutex
		failures   []error
		held       []float64
	)
	times := make([]float64, requests)
	sample := func() { // samples a process's memory after a part of the calls
		mu.Lock()
		defer mu.Unlock()
		held = append(held, memory())
	}
	began := time.Now()
	for range atOnce {
		workers.Go(func() {
			for at := next.Add(1) - 1; at < int64(requests) && ctx.Err() == nil; at = next.Add(1) - 1 {
				sent := time.Now()
				err := call(ctx)
				times[at] = float64(time.Since(sent)) / float64(time.Millisecond)
				if err != nil {
					mu.Lock()
					failures = append(failures, err)
					mu.Unlock()
				}
				if n := done.Add(1); n == 1 || n%int64(max(requests/(samples-1), 1)) == 0 {
					sample()
				}
			}
		})
	}
	workers.Wait()
	took := time.Since(began)
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(out, "| %s | %d | %d | %d | %.0f | %.1f | %.1f | %s |\n", what, requests, atOnce, len(failures), float64(requests)/took.Seconds(),
		quantile(times, 0.5), quantile(times, 0.99), strings.ReplaceAll(each("%.0f", held), ", ", " → "))
	if len(failures) > 0 {
		return fmt.Errorf("%s: %d of %d requests failed, as %w", what, len(failures), requests, failures[0])
	}
	return nil
}
