package runtimeapi

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// initTimeout is how long a new process has to ask for its first event.
const initTimeout = 10 * time.Second

// errNotTaken is for an invocation that reached a stopping process: another process can handle it.
var errNotTaken = errors.New("not taken")

// ExitError says that the process exited before it responded.
type ExitError struct {
	Name   string // of the function
	Status string // "exit status 1", "signal: killed"
	Detail string // the last line on its stderr, or its panic's first
}

func (e *ExitError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s exited: %s", e.Name, e.Status)
	}
	return fmt.Sprintf("%s exited: %s: %s", e.Name, e.Status, e.Detail)
}

// TimeoutError says that the process was killed on a time-out.
type TimeoutError struct {
	After time.Duration
}

// Error is Lambda's own text.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("Task timed out after %.2f seconds", e.After.Seconds())
}

// invocation is an event in a process.
type invocation struct {
	id       string
	event    []byte
	answer   chan answer // takes exactly one
	deadline *time.Timer // set when the process takes the event
}

type answer struct {
	payload []byte
	failed  bool
	err     error
	at      time.Time
}

func newInvocation(event []byte) *invocation {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return &invocation{
		id:     fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]),
		event:  event,
		answer: make(chan answer, 1),
	}
}

// process is one run of the binary, with its own Runtime API, so that a connection that outlives its process can't
// receive an event for the next one.
type process struct {
	function Function
	cmd      *exec.Cmd
	server   *http.Server
	started  time.Time
	queue    chan *invocation
	gone     chan struct{} // closed once the process has exited and its invocations have failed
	stderr   *lastLine

	mu       sync.Mutex
	ready    bool  // it asked for an event
	stopped  bool  // it takes no more events
	reason   error // why it was stopped, where that is not an exit of its own
	inFlight map[string]*invocation
	status   string // how it exited
}

func startProcess(f Function) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime: %w", err)
	}
	p := &process{
		function: f,
		queue:    make(chan *invocation),
		gone:     make(chan struct{}),
		stderr:   &lastLine{next: f.Stderr},
		inFlight: map[string]*invocation{},
	}
	p.server = &http.Server{Handler: p.routes()}
	go p.server.Serve(listener)

	p.cmd = exec.Command(f.Binary)
	p.cmd.Stdout = f.Stdout
	p.cmd.Stderr = p.stderr
	if f.Stdout != nil && f.Stdout == f.Stderr {
		p.cmd.Stdout = p.stderr // one writer, one goroutine
	}
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	p.cmd.Env = append([]string{
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=local",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"_HANDLER=bootstrap",
		"TZ=:UTC",
	}, f.Env...)
	p.cmd.Env = append(p.cmd.Env, "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	if f.Concurrency > 1 {
		p.cmd.Env = append(p.cmd.Env, "AWS_LAMBDA_MAX_CONCURRENCY="+strconv.Itoa(f.Concurrency))
	}

	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		p.server.Close()
		return nil, err
	}
	tooLate := time.AfterFunc(initTimeout, func() {
		if !p.initialised() {
			p.stop(fmt.Errorf("%s asked for no event within %v", f.Name, initTimeout))
		}
	})
	go func() {
		defer tooLate.Stop()
		p.wait()
	}()
	return p, nil
}

// wait reaps the process and wakes everything that waits for it.
func (p *process) wait() {
	err := p.cmd.Wait()
	p.server.Close()

	p.mu.Lock()
	p.stopped = true
	p.status = p.cmd.ProcessState.String()
	if p.cmd.ProcessState == nil { // it could not be waited for
		p.status = err.Error()
	}
	left := p.inFlight
	p.inFlight = nil
	p.mu.Unlock()

	for _, inv := range left {
		inv.deadline.Stop()
		inv.answer <- answer{err: p.exitError(), at: time.Now()}
	}
	close(p.gone)
}

// stop kills the process. reason, if not nil, is the error of its pending invocations.
func (p *process) stop(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	p.reason = reason
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.reason = fmt.Errorf("kill %s: %w", p.function.Name, err)
	}
}

func (p *process) stopping() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

func (p *process) initialised() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready
}

// exitError describes the exit, after wait.
func (p *process) exitError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != nil {
		return p.reason
	}
	return &ExitError{Name: p.function.Name, Status: p.status, Detail: p.stderr.String()}
}

// take starts the invocation's deadline; ok is false if the process is stopping. A missed deadline kills the process
// with everything in flight.
func (p *process) take(inv *invocation) (deadline time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return time.Time{}, false
	}
	inv.deadline = time.AfterFunc(p.function.Timeout, func() {
		p.stop(&TimeoutError{After: p.function.Timeout})
	})
	p.inFlight[inv.id] = inv
	return time.Now().Add(p.function.Timeout), true
}

// finish completes an invocation and reports whether it was in flight.
func (p *process) finish(id string, a answer) bool {
	p.mu.Lock()
	inv, ok := p.inFlight[id]
	delete(p.inFlight, id)
	p.mu.Unlock()
	if ok {
		inv.deadline.Stop()
		inv.answer <- a
	}
	return ok
}

// lastLine forwards output and remembers the last line that matters: of a panic the first, not the last frame of its
// stack.
type lastLine struct {
	next io.Writer

	mu      sync.Mutex
	partial []byte
	line    string
	crash   bool
}

// maxLine is how many bytes of a line are remembered.
const maxLine = 1 << 10

func (l *lastLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	rest := b
	for {
		line, after, complete := bytes.Cut(rest, []byte("\n"))
		l.partial = append(l.partial, line[:min(len(line), maxLine-len(l.partial))]...)
		if !complete {
			break
		}
		l.remember()
		rest = after
	}
	l.mu.Unlock()
	if l.next == nil {
		return len(b), nil
	}
	return l.next.Write(b)
}

func (l *lastLine) remember() {
	line := bytes.TrimSpace(l.partial)
	l.partial = l.partial[:0]
	if len(line) == 0 || l.crash {
		return
	}
	l.line = string(line)
	l.crash = bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remember()
	return l.line
}
