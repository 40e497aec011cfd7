package runtimeapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wechat-draftbox/pkg/standin/runtimeapi"
)

// probe is the built Lambda of testdata.
var probe string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		panic(err)
	}
	probe = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-o", probe, "./testdata/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the probe: %v\n%s", err, out)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

type said struct {
	PID       int    `json:"pid"`
	Env       string `json:"env"`
	ARN       string `json:"arn"`
	RequestID string `json:"request_id"`
	LeftMS    int64  `json:"left_ms"`
	Inherited string `json:"inherited"`
	Text      string `json:"text"`
}

// start makes an instance of the probe that closes with the test.
func start(t *testing.T, change func(*runtimeapi.Function)) *runtimeapi.Instance {
	t.Helper()
	f := runtimeapi.Function{Name: "probe", Binary: probe, Timeout: 20 * time.Second}
	if change != nil {
		change(&f)
	}
	i, err := runtimeapi.Start(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// invoke requires a result and returns it.
func invoke(t *testing.T, i *runtimeapi.Instance, event string) (runtimeapi.Result, said) {
	t.Helper()
	result, err := i.Invoke(t.Context(), []byte(event))
	if err != nil {
		t.Fatalf("invoke %s: %v", event, err)
	}
	var s said
	if err := json.Unmarshal(result.Payload, &s); err != nil || result.Error {
		t.Fatalf("invoke %s answered %s (%v)", event, result.Payload, err)
	}
	return result, s
}

// A watcher is a process's stdout that signals when an invocation sleeps.
type watcher chan struct{}

func (w watcher) Write(b []byte) (int, error) {
	for range bytes.Count(b, []byte("sleeping")) {
		w <- struct{}{}
	}
	return len(b), nil
}

// startWatched is start with a watcher.
func startWatched(t *testing.T) (*runtimeapi.Instance, watcher) {
	t.Helper()
	w := make(watcher, 1)
	return start(t, func(f *runtimeapi.Function) { f.Stdout = w }), w
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestInvokeAnswers(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	i := start(t, func(f *runtimeapi.Function) {
		f.Env = []string{"GREETING=hello"}
		f.Stdout = &stdout
	})
	if i.PID() != 0 {
		t.Errorf("PID before the first invocation = %d, want 0", i.PID())
	}

	first, a := invoke(t, i, `{"do":"one"}`)
	second, b := invoke(t, i, `{"do":"two"}`)

	if !first.Cold || second.Cold {
		t.Errorf("cold = %v, %v, want true, false", first.Cold, second.Cold)
	}
	if first.Duration <= 0 || second.Duration <= 0 || first.Duration < second.Duration {
		t.Errorf("durations = %v cold, %v warm", first.Duration, second.Duration)
	}
	if a.PID != i.PID() || b.PID != a.PID {
		t.Errorf("answers came from %d and %d, PID is %d", a.PID, b.PID, i.PID())
	}
	if a.RequestID != first.RequestID || b.RequestID != second.RequestID || a.RequestID == b.RequestID {
		t.Errorf("request ids: process %q, %q; results %q, %q", a.RequestID, b.RequestID, first.RequestID, second.RequestID)
	}
	if a.Env != "hello" || a.Inherited != "" {
		t.Errorf("environment: GREETING=%q HOME=%q, want only what it was given", a.Env, a.Inherited)
	}
	if !strings.HasPrefix(a.ARN, "arn:aws:lambda:") || !strings.HasSuffix(a.ARN, ":function:probe") {
		t.Errorf("arn = %q", a.ARN)
	}
	if a.LeftMS <= 0 || a.LeftMS > 20_000 {
		t.Errorf("time left = %d ms, want up to 20 s", a.LeftMS)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	if want := "handled one\nhandled two\n"; stdout.String() != want {
		t.Errorf("stdout = %q, want %q", stdout.String(), want)
	}
}

func TestHandlerErrorLeavesTheProcess(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	_, before := invoke(t, i, `{}`)
	result, err := i.Invoke(t.Context(), []byte(`{"do":"fail"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"errorMessage":"the handler says no","errorType":"errorString"}`; !result.Error || string(result.Payload) != want {
		t.Errorf("result = %v %s, want an error %s", result.Error, result.Payload, want)
	}
	if _, after := invoke(t, i, `{}`); after.PID != before.PID {
		t.Errorf("process %d was replaced by %d", before.PID, after.PID)
	}
}

func TestPanicIsAnsweredByANewProcess(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	_, before := invoke(t, i, `{}`)
	result, err := i.Invoke(t.Context(), []byte(`{"do":"panic"}`))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Error || !strings.Contains(string(result.Payload), "the handler panics") {
		t.Errorf("result = %v %s, want the panic", result.Error, result.Payload)
	}
	after, s := invoke(t, i, `{}`)
	if s.PID == before.PID || !after.Cold {
		t.Errorf("process %d after the panic (cold %v), want a new one", s.PID, after.Cold)
	}
}

func TestExit(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	_, before := invoke(t, i, `{}`)
	_, err := i.Invoke(t.Context(), []byte(`{"do":"exit"}`))
	var exit *runtimeapi.ExitError
	if !errors.As(err, &exit) || exit.Status != "exit status 3" || exit.Detail != "last words" {
		t.Fatalf("error = %v, want exit status 3 with its last line", err)
	}
	if alive(before.PID) || i.PID() != 0 {
		t.Errorf("process %d is still there (PID %d)", before.PID, i.PID())
	}
	invoke(t, i, `{}`)
}

func TestExitAtStart(t *testing.T) {
	t.Parallel()
	for at, detail := range map[string]string{
		"exit":  "LOG_LEVEL: shout is no level",
		"panic": "panic: nothing works",
	} {
		i := start(t, func(f *runtimeapi.Function) { f.Env = []string{"AT_START=" + at} })
		for range 2 { // it is tried afresh each time, and doesn't loop
			_, err := i.Invoke(t.Context(), []byte(`{}`))
			var exit *runtimeapi.ExitError
			if !errors.As(err, &exit) || exit.Detail != detail {
				t.Errorf("%s at start: error = %v, want detail %q", at, err, detail)
			}
		}
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	i := start(t, func(f *runtimeapi.Function) { f.Timeout = 300 * time.Millisecond })
	_, before := invoke(t, i, `{}`)
	_, err := i.Invoke(t.Context(), []byte(`{"do":"sleep","for_ms":60000}`))
	var timeout *runtimeapi.TimeoutError
	if !errors.As(err, &timeout) || err.Error() != "Task timed out after 0.30 seconds" {
		t.Fatalf("error = %v, want a timeout", err)
	}
	if alive(before.PID) {
		t.Errorf("process %d outlived its timeout", before.PID)
	}
	invoke(t, i, `{}`)
}

func TestKill(t *testing.T) {
	t.Parallel()
	i, asleep := startWatched(t)
	for _, kill := range []func(){i.Kill, func() { syscall.Kill(i.PID(), syscall.SIGKILL) }} {
		invoke(t, i, `{}`)
		failed := make(chan error)
		go func() {
			_, err := i.Invoke(context.Background(), []byte(`{"do":"sleep","for_ms":60000}`))
			failed <- err
		}()
		<-asleep
		kill()
		err := <-failed
		var exit *runtimeapi.ExitError
		if !errors.As(err, &exit) || exit.Status != "signal: killed" {
			t.Errorf("error = %v, want signal: killed", err)
		}
	}
	i.Kill()
	i.Kill() // nothing to kill
	if _, s := invoke(t, i, `{}`); s.PID == 0 {
		t.Error("no process after the kill")
	}
}

func TestConcurrentInvocationsShareOneProcess(t *testing.T) {
	t.Parallel()
	i := start(t, func(f *runtimeapi.Function) { f.Concurrency = 8 })
	began := time.Now()
	pids := make(chan int, 16)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			_, s := invoke(t, i, `{"do":"sleep","for_ms":200}`)
			pids <- s.PID
		})
	}
	group.Wait()
	close(pids)
	took := time.Since(began)
	for pid := range pids {
		if pid != i.PID() {
			t.Errorf("answer from process %d, want all from %d", pid, i.PID())
		}
	}
	if took < 400*time.Millisecond || took >= 3200*time.Millisecond {
		t.Errorf("16 invocations of 200 ms, 8 at once, took %v", took)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	began := time.Now()
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() { invoke(t, i, `{"do":"sleep","for_ms":50}`) })
	}
	group.Wait()
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("three invocations of 50 ms took %v: they overlapped", took)
	}
}

func TestCrashUnderOthers(t *testing.T) {
	t.Parallel()
	i := start(t, func(f *runtimeapi.Function) { f.Concurrency = 4 })
	var group sync.WaitGroup
	for n := range 40 {
		group.Go(func() {
			event := `{"do":"sleep","for_ms":1}`
			if n%8 == 0 {
				event = `{"do":"exit"}`
			}
			result, err := i.Invoke(t.Context(), []byte(event))
			var exit *runtimeapi.ExitError
			if err != nil && !errors.As(err, &exit) || result.Error {
				t.Errorf("invocation %d: %v %s", n, err, result.Payload)
			}
			if err == nil && n%8 == 0 {
				t.Errorf("invocation %d asked to crash and was answered %s", n, result.Payload)
			}
		})
	}
	group.Wait()
	invoke(t, i, `{}`)
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	i, asleep := startWatched(t)
	_, before := invoke(t, i, `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asleep
		cancel()
	}()
	if _, err := i.Invoke(ctx, []byte(`{"do":"sleep","for_ms":500}`)); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want the caller's own", err)
	}
	waiting, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := i.Invoke(waiting, []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error while waiting for a turn = %v, want the caller's deadline", err)
	}
	if _, after := invoke(t, i, `{}`); after.PID != before.PID {
		t.Errorf("process %d was replaced by %d", before.PID, after.PID)
	}
}

func TestAnswerTooLarge(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	result, err := i.Invoke(t.Context(), []byte(`{"do":"big"}`))
	if err != nil || !result.Error || !strings.Contains(string(result.Payload), "Function.ResponseSizeTooLarge") {
		t.Fatalf("answer of 7 MB: %.200s, %v", result.Payload, err)
	}
	invoke(t, i, `{}`)
}

func TestClose(t *testing.T) {
	t.Parallel()
	i, asleep := startWatched(t)
	_, s := invoke(t, i, `{}`)
	failed := make(chan error)
	go func() {
		_, err := i.Invoke(context.Background(), []byte(`{"do":"sleep","for_ms":60000}`))
		failed <- err
	}()
	<-asleep
	i.Close()
	if err := <-failed; !errors.Is(err, runtimeapi.ErrClosed) {
		t.Errorf("invocation in flight: %v, want ErrClosed", err)
	}
	if alive(s.PID) {
		t.Errorf("process %d outlived Close", s.PID)
	}
	if _, err := i.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, runtimeapi.ErrClosed) {
		t.Errorf("invocation after Close: %v, want ErrClosed", err)
	}
	i.Close()
}

func TestContextEndsTheInstance(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	i, err := runtimeapi.Start(ctx, runtimeapi.Function{Name: "probe", Binary: probe})
	if err != nil {
		t.Fatal(err)
	}
	_, s := invoke(t, i, `{}`)
	cancel()
	for deadline := time.Now().Add(5 * time.Second); alive(s.PID); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived its context", s.PID)
		}
	}
}

func TestStartWantsABinary(t *testing.T) {
	t.Parallel()
	_, err := runtimeapi.Start(t.Context(), runtimeapi.Function{Name: "probe", Binary: filepath.Join(t.TempDir(), "bootstrap")})
	if err == nil || !strings.HasPrefix(err.Error(), "start probe: ") {
		t.Errorf("error = %v", err)
	}
}

func TestRuntimeSaysWhyItCantStart(t *testing.T) {
	t.Parallel()
	i := start(t, func(f *runtimeapi.Function) { f.Env = []string{"AT_START=report"} })
	_, err := i.Invoke(t.Context(), []byte(`{}`))
	var exit *runtimeapi.ExitError
	if !errors.As(err, &exit) || exit.Detail != "Runtime.Broken: no handler" {
		t.Errorf("error = %v, want what the runtime said", err)
	}
}

func TestStrayAnswerIsRefused(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	_, s := invoke(t, i, `{"do":"stray"}`)
	if s.Text != "400 Bad Request" {
		t.Errorf("an answer to no invocation got %q, want 400", s.Text)
	}
}
