package awstest

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Fault is something that goes wrong with one call, or with all of them
// ([Fault.Sticky]).
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

// Refuse answers with an AWS error, as in Refuse("ThrottlingException", 400),
// and does nothing.
func Refuse(code string, status int) Fault {
	return Fault{kind: faultError, err: &refusal{code: code, message: "refused on request", status: status}}
}

// Throttle refuses as the services do above their limits.
func Throttle() Fault {
	return Fault{kind: faultError, err: throttled()}
}

// Deny refuses as IAM does.
func Deny() Fault { return Refuse("AccessDeniedException", http.StatusBadRequest) }

// Delay does what is asked after d.
func Delay(d time.Duration) Fault { return Fault{delay: d} }

// Hang does nothing and never answers; it ends when the client gives up.
func Hang() Fault { return Fault{kind: faultHang} }

// Drop closes the connection and does nothing.
func Drop() Fault { return Fault{kind: faultDrop} }

// DropAfter does what is asked and closes the connection in place of an answer.
func DropAfter() Fault { return Fault{kind: faultDropAfter} }

// Garbage does what is asked and answers 200 with a page of HTML.
func Garbage() Fault { return Fault{kind: faultGarbage} }

// Before calls f and then does what is asked: for what happens between two
// calls of the program under test. f may use the [Server].
func Before(f func()) Fault { return Fault{kind: faultBefore, meanwhile: f} }

// FailEntries does what is asked but for the entries with these indexes, which
// fail with code. It is for the calls that answer entry by entry: PutEvents and
// SQS's batches, and BatchGetItem, whose unprocessed keys have no code; they are
// counted table by table, by name.
func FailEntries(code string, indexes ...int) Fault {
	return Fault{entries: entryFaults{code, indexes}}
}

// Sticky is the fault again and again, until [Server.Heal].
func (f Fault) Sticky() Fault {
	f.sticky = true
	return f
}

// On is the fault for calls about one resource only, by the name that the
// client uses: a secret's id, a parameter's name or path, a queue's URL; see
// [Call] for DynamoDB.
func (f Fault) On(resource string) Fault {
	f.resource = resource
	return f
}

// entryFaults tells which entries of a batch fail.
type entryFaults struct {
	code    string
	indexes []int
}

func (e entryFaults) at(i int) bool { return slices.Contains(e.indexes, i) }

// faults are those still to be met, by operation.
type faults struct {
	mu      sync.Mutex
	pending map[string][]Fault
}

// Fail lets the next calls of an operation ("ssm:PutParameter"), or of a service
// ("ssm:*"), meet these faults, one each and in this order. A sticky one stays
// until [Server.Heal]; what stands behind it waits. Faults of an operation come
// before those of its service. The SDK's own repeats are calls like any other:
// they meet the next fault. Fail panics where there is no such operation.
func (s *Server) Fail(op string, fs ...Fault) {
	s.mustKnow(op)
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	if s.faults.pending == nil {
		s.faults.pending = make(map[string][]Fault)
	}
	s.faults.pending[op] = append(s.faults.pending[op], fs...)
}

// Heal takes back all faults of an operation or service that were not met yet;
// "" takes back all there are.
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

// next takes the fault that a call meets.
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
