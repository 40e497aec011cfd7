// Package runtimeapi runs a built Lambda binary the way Lambda does: it starts the process, serves it the Runtime API
// over HTTP, delivers events, collects responses, kills it on a time-out and restarts it after a crash.
//
// The API is described at https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
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

// ErrClosed is the error of an invocation of a closed instance.
var ErrClosed = errors.New("the instance is closed")

// DefaultTimeout applies if [Function.Timeout] is zero. It is Lambda's default.
const DefaultTimeout = 3 * time.Second

// Function is what to run and how.
type Function struct {
	// Name is the function's name, also at the end of its ARN.
	Name string
	// Binary is the path of the executable.
	Binary string
	// Env holds NAME=value pairs. The process inherits nothing else except the variables that Lambda sets.
	Env []string
	// Timeout limits one invocation; zero is [DefaultTimeout].
	Timeout time.Duration
	// Concurrency is how many invocations share the process; zero is one. Further invocations wait.
	Concurrency int
	// Stdout and Stderr receive the process's output; nil discards it. Two goroutines write to them, unless they are
	// the same writer.
	Stdout, Stderr io.Writer
}

// Result is the result of one invocation.
type Result struct {
	RequestID string
	// Payload is the handler's result or, with Error, an object with errorType and errorMessage.
	Payload []byte
	// Error says that the handler failed. Its process continues unless it panicked.
	Error bool
	// Cold says that the process was started for this invocation.
	Cold bool
	// Duration is the time from the call of Invoke to the last byte of the response; for a cold start, from just before
	// the process was started.
	Duration time.Duration
}

// Instance is one execution environment of a function. It is safe for concurrent use.
type Instance struct {
	function Function

	mu      sync.Mutex
	process *process // nil: none runs
	closed  bool
}

// Start checks that f can be run and makes an instance. As in Lambda, the process starts with the first invocation.
// The instance closes when ctx ends.
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

// Invoke sends the event to the process, which it starts if necessary, and waits for the result. A handler's error is
// a [Result] with Error set. A process that exits before it responds is an [*ExitError], one killed on a time-out a
// [*TimeoutError]; in both cases the process is gone when Invoke returns. When ctx ends, Invoke returns and the
// invocation continues.
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

// running returns the process, and whether it was just started.
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

// PID is the process's id, or 0 if none is running.
func (i *Instance) PID() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.process == nil || i.process.stopping() {
		return 0
	}
	return i.process.cmd.Process.Pid
}

// Kill kills the process, as in a crash, and waits until it is gone. The next invocation starts a new one.
func (i *Instance) Kill() {
	i.mu.Lock()
	p := i.process
	i.mu.Unlock()
	if p != nil {
		p.stop(nil)
		<-p.gone
	}
}

// Close ends the process and waits until it is gone. Invocations in flight fail with [ErrClosed].
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
