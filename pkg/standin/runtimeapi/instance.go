// Package runtimeapi runs a built Lambda binary the way Lambda does: it starts
// the process, serves it the Runtime API over HTTP, hands it events and takes
// its answers, kills it when its time is up and starts it again after a crash.
//
// The API is the one of
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
package runtimeapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// ErrClosed is the error of an invocation on a closed instance.
var ErrClosed = errors.New("the instance is closed")

// DefaultTimeout is how long an invocation may take where [Function.Timeout]
// is zero: Lambda's own default.
const DefaultTimeout = 3 * time.Second

// Function says what to run and how.
type Function struct {
	// Name is the name the process sees, also at the end of its ARN.
	Name string
	// Binary is the path of the executable.
	Binary string
	// Env holds NAME=value pairs. Nothing else is inherited, but for the few
	// variables that Lambda itself sets.
	Env []string
	// Timeout is what one invocation may take; zero is [DefaultTimeout].
	Timeout time.Duration
	// Concurrency is how many invocations share the process; zero is one.
	// Further ones wait for their turn.
	Concurrency int
	// Stdout and Stderr take what the process prints; nil drops it. They are
	// written to from two goroutines, unless they are the same writer.
	Stdout, Stderr io.Writer
}

// Result is the answer of one invocation.
type Result struct {
	RequestID string
	// Payload is the handler's answer, or with Error an object with errorType
	// and errorMessage.
	Payload []byte
	// Error says that the handler failed. Its process is well, unless it
	// panicked.
	Error bool
	// Cold says that the process was started for this invocation.
	Cold bool
	// Duration is the time from the call of Invoke to the last byte of the
	// answer; of a cold one, from right before the process was started.
	Duration time.Duration
}

// Instance is one execution environment of a function. Its methods may be
// called from several goroutines.
type Instance struct {
	function Function

	mu      sync.Mutex
	process *process // nil: none runs
	closed  bool
}

// Start checks that f can be run and makes an instance of it. As in Lambda, the
// process starts with the first invocation. The instance closes when ctx ends.
func Start(ctx context.Context, f Function) (*Instance, error) {
	binary, err := exec.LookPath(f.Binary)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", f.Name, err)
	}
	f.Binary = binary
	if f.Timeout <= 0 {
		f.Timeout = DefaultTimeout
	}
	i := &Instance{function: f}
	context.AfterFunc(ctx, func() { i.Close() })
	return i, nil
}

// Invoke hands the event to the process, started first where none runs, and
// waits for its answer. A handler's error is a [Result] with Error set. A
// process that exits before it answers is an [*ExitError], one that was killed
// because its time was up a [*TimeoutError]; in both cases the process is gone
// when Invoke returns. When ctx ends, Invoke returns and the invocation runs on.
func (i *Instance) Invoke(ctx context.Context, event []byte) (Result, error) {
	began := time.Now()
	for {
		p, cold, err := i.running()
		if err != nil {
			return Result{}, err
		}
		if cold {
			began = p.started
		}
		inv := newInvocation(event)
		select {
		case p.queue <- inv:
		case <-p.gone:
			if !p.initialised() {
				return Result{}, p.exitError()
			}
			continue // it died between two invocations
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
		select {
		case a := <-inv.answer:
			if errors.Is(a.err, errNotTaken) {
				continue
			}
			return Result{
				RequestID: inv.id,
				Payload:   a.payload,
				Error:     a.failed,
				Cold:      cold,
				Duration:  a.at.Sub(began),
			}, a.err
		case <-ctx.Done():
			return Result{RequestID: inv.id}, ctx.Err()
		}
	}
}

// running returns the process, and whether it was started just now.
func (i *Instance) running() (p *process, cold bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, false, ErrClosed
	}
	if i.process != nil && !i.process.stopping() {
		return i.process, false, nil
	}
	if i.process, err = startProcess(i.function); err != nil {
		i.process = nil
		return nil, false, fmt.Errorf("start %s: %w", i.function.Name, err)
	}
	return i.process, true, nil
}

// PID is the process's id, 0 where none runs.
func (i *Instance) PID() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil || i.process.stopping() {
		return 0
	}
	return i.process.cmd.Process.Pid
}

// Kill ends the process at once, as a crash would, and returns when it is gone.
// The next invocation starts another.
func (i *Instance) Kill() {
	i.mu.Lock()
	p := i.process
	i.mu.Unlock()
	if p != nil {
		p.stop(nil)
		<-p.gone
	}
}

// Close ends the process and returns when it is gone. Invocations in flight
// fail with [ErrClosed].
func (i *Instance) Close() error {
	i.mu.Lock()
	i.closed = true
	p := i.process
	i.mu.Unlock()
	if p != nil {
		p.stop(ErrClosed)
		<-p.gone
	}
	return nil
}
