package renewal_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/renewal"
)

const turnAt = "/p/renewal-turn"

// runs is where runs take their turns.
type runs struct {
	aws *awstest.Server
	renewal.Renewer
	skew atomic.Int64 // of the clock
	log  *logged
}

func newRuns(t *testing.T) *runs {
	t.Helper()
	r := &runs{aws: awstest.New(), log: &logged{}}
	server := httptest.NewServer(r.aws)
	t.Cleanup(server.Close)
	r.Turns = parameter.New(ssm.NewFromConfig(r.aws.Config(server.URL)), "/p")
	r.Now = func() time.Time { return time.Now().Add(time.Duration(r.skew.Load())) }
	r.Log = logging.To(slog.NewTextHandler(r.log, nil), slog.LevelDebug)
	return r
}

// logged counts lines.
type logged struct{ lines atomic.Int32 }

func (l *logged) Write(b []byte) (int, error) {
	l.lines.Add(1)
	return len(b), nil
}

// takes takes a turn and compares whether what was read before is stale.
func (r *runs) takes(t *testing.T, stale bool) *renewal.Turn {
	t.Helper()
	turn := r.Turn(time.Minute)
	if got := turn.Take(t.Context()); got != stale {
		t.Errorf("stale: %v", got)
	}
	return turn
}

func TestTurns(t *testing.T) {
	t.Parallel()
	r := newRuns(t)
	r.takes(t, false).End() // the first ever

	early := r.Turn(time.Minute)
	r.takes(t, true).End() // a moment later
	r.skew.Add(int64(2 * time.Minute))
	late := r.takes(t, false) // the last one ended before anything was read
	late.Take(t.Context())    // again
	late.End()
	if !early.Take(t.Context()) {
		t.Error("another one had its turn since, and what was read before is not stale")
	}
	early.End()
	if r.log.lines.Load() > 0 || r.aws.Calls("ssm:PutParameter") != 8 {
		t.Errorf("%d lines of log, %d writes for 4 turns", r.log.lines.Load(), r.aws.Calls("ssm:PutParameter"))
	}
	r.Turn(time.Minute).End() // nothing to renew
	if r.aws.Calls("ssm:PutParameter") != 8 {
		t.Error("a turn that was not taken was given back")
	}
}

func TestOneTurnAtATime(t *testing.T) {
	t.Parallel()
	r := newRuns(t)
	var at atomic.Int32
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			turn := r.Turn(time.Minute)
			turn.Take(t.Context())
			if n := at.Add(1); n > 1 {
				t.Errorf("%d have their turn at once", n)
			}
			time.Sleep(time.Millisecond)
			at.Add(-1)
			turn.End()
		})
	}
	all.Wait()
	if n := r.log.lines.Load(); n > 0 {
		t.Errorf("%d lines of log", n)
	}
}

// A run that gives signs of life keeps its turn for as long as it takes; one that doesn't loses it, and takes nothing from
// whoever has it then.
func TestTurnLapses(t *testing.T) {
	t.Parallel()
	r := newRuns(t)
	long := r.takes(t, false)
	r.skew.Add(int64(3 * time.Second))
	time.Sleep(2 * time.Second) // of which each second and a quarter has a sign
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r.Turn(time.Minute).Take(ctx); r.log.lines.Load() != 1 {
		t.Errorf("the turn of a run that lives was taken: %d lines of log", r.log.lines.Load())
	}

	r.skew.Add(int64(10 * time.Second)) // as after a freeze
	next := r.takes(t, true)
	_, version, _ := r.aws.Parameter(turnAt)
	long.End()
	if _, now, _ := r.aws.Parameter(turnAt); now != version {
		t.Error("a run whose turn lapsed gave back another one's")
	}
	next.End()
}

func TestTurnsUnderFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stands  string
		op      string
		fault   awstest.Fault
		stale   bool
		without bool // goes on without a turn
	}{
		"nobody's":             {stands: `{"taken_until":"2020-01-01T00:00:00Z"}`},
		"something else":       {stands: `turn`},
		"taken for years":      {stands: `{"taken_until":"2999-01-01T00:00:00Z"}`, stale: true},
		"lost answer":          {stands: `{}`, op: "ssm:PutParameter", fault: awstest.DropAfter()},
		"the first is dropped": {op: "ssm:PutParameter", fault: awstest.Drop()},
		"too many updates":     {stands: `{}`, op: "ssm:PutParameter", fault: awstest.Refuse("TooManyUpdates", 400)},
		"throttled":            {stands: `{}`, op: "ssm:PutParameter", fault: awstest.Throttle()},
		"not to be read":       {op: "ssm:GetParameter", fault: awstest.Deny(), without: true},
		"not to be written":    {stands: `{}`, op: "ssm:PutParameter", fault: awstest.Deny().Sticky(), without: true},
		"silent":               {op: "ssm:GetParameter", fault: awstest.Hang().Sticky(), without: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRuns(t)
			if test.stands != "" {
				r.aws.SetParameter(turnAt, test.stands)
			}
			if test.op != "" {
				r.aws.Fail(test.op, test.fault)
			}
			began := time.Now()
			turn := r.takes(t, test.stale || test.without)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			turn.End()
			if got := r.log.lines.Load() > 0; got != test.without {
				t.Errorf("without a turn: %v", got)
			}
		})
	}
}

// Two find the turn free, and each writes: it is the first one's.
func TestTurnIsTheFirstOnes(t *testing.T) {
	t.Parallel()
	r := newRuns(t)
	r.aws.SetParameter(turnAt, `{}`)
	first, taken := r.Turn(time.Minute), make(chan struct{})
	r.aws.Fail("ssm:PutParameter", awstest.Before(func() {
		defer close(taken)
		first.Take(context.Background())
	}))
	second := make(chan struct{})
	go func() {
		defer close(second)
		turn := r.Turn(time.Minute)
		defer turn.End()
		turn.Take(t.Context())
	}()
	<-taken
	select {
	case <-second:
		t.Error("both have their turn")
	case <-time.After(500 * time.Millisecond):
	}
	first.End()
	<-second
}
