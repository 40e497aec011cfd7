package awstest

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Fault is an injected failure of one call, or of all ([Fault.Sticky]).
type Fault struct {
	kind      faultKind
	delay     time.Duration
	err       *refusal
	entries   entryFaults
	meanwhile func()
	sticky    bool
	resource  string
}

type faultKind int

const (
	faultNone faultKind = iota
	faultError
	faultHang
	faultDrop
	faultDropAfter
	faultGarbage
	faultBefore
)

// Refuse responds with an AWS error, as in Refuse("ThrottlingException", 400), without processing the call.
func Refuse(code string, status int) Fault {
	return Fault{kind: faultError, err: &refusal{code: code, message: "refused on request", status: status}}
}

// Throttle refuses as services do above their limits.
func Throttle() Fault {
	return Fault{kind: faultError, err: throttled()}
}

// Deny refuses as IAM does.
func Deny() Fault { return Refuse("AccessDeniedException", http.StatusBadRequest) }

// Delay processes the call after d.
func Delay(d time.Duration) Fault { return Fault{delay: d} }

// Hang never responds and does not process the call; it ends when the client gives up.
func Hang() Fault { return Fault{kind: faultHang} }

// Drop closes the connection without processing the call.
func Drop() Fault { return Fault{kind: faultDrop} }

// DropAfter processes the call and closes the connection without a response.
func DropAfter() Fault { return Fault{kind: faultDropAfter} }

// Garbage processes the call and responds 200 with an HTML page.
func Garbage() Fault { return Fault{kind: faultGarbage} }

// Before calls f before processing the call, to simulate a concurrent change. f may use the [Server].
func Before(f func()) Fault { return Fault{kind: faultBefore, meanwhile: f} }

// FailEntries processes the call except for the entries at these indexes, which fail with code. It is for PutEvents,
// SQS's batches, and BatchGetItem, whose unprocessed keys have no code and are counted over the tables in order of
// name.
func FailEntries(code string, indexes ...int) Fault {
	return Fault{entries: entryFaults{code, indexes}}
}

// Sticky repeats the fault until [Server.Heal].
func (f Fault) Sticky() Fault {
	f.sticky = true
	return f
}

// On limits the fault to calls about one resource, as the client names it: a secret's id, a parameter's name or path,
// a queue's URL; see [Call] for DynamoDB.
func (f Fault) On(resource string) Fault {
	f.resource = resource
	return f
}

// entryFaults are the failures of a batch's entries.
type entryFaults struct {
	code    string
	indexes []int
}

func (e entryFaults) at(i int) bool { return slices.Contains(e.indexes, i) }

// faults are the pending faults by operation.
type faults struct {
	mu      sync.Mutex
	pending map[string][]Fault
}

// Fail injects faults into the next calls of an operation ("ssm:PutParameter") or a service ("ssm:*"), one each and in
// this order. A sticky fault stays until [Server.Heal] and blocks those after it. Faults of an operation come before
// those of its service. The SDK's retries are calls too and meet the next fault. Fail panics on an unknown operation.
func (s *Server) Fail(op string, fs ...Fault) {
	s.mustKnow(op)
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.pending == nil {
		s.faults.pending = make(map[string][]Fault)
	}
	s.faults.pending[op] = append(s.faults.pending[op], fs...)
}

// Heal removes the pending faults of an operation or service, or all for "".
func (s *Server) Heal(op string) {
	s.mustKnow(op)
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if op == "" {
		clear(s.faults.pending)
		return
	}
	delete(s.faults.pending, op)
}

// next removes and returns the fault for a call.
func (f *faults) next(op operation, resource string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range []string{op.name, op.service.name + ":*"} {
		for i, fault := range f.pending[key] {
			if fault.resource != "" && fault.resource != resource {
				continue
			}
			if !fault.sticky {
				f.pending[key] = slices.Delete(f.pending[key], i, i+1)
			}
			return fault
		}
	}
	return Fault{}
}
