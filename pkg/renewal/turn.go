package renewal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/pause"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/secret"
)

const (
	turnName = "renewal-turn"
	// turnLasts is how long a turn is still somebody's after the last sign of life.
	turnLasts = 5 * time.Second
	// turnAnswer is how long a sign of life may take. The few calls of a try have twice that.
	turnAnswer = time.Second
	// longAgo is before anything was read that is in use now.
	longAgo = time.Minute
)

// Turn is a run's turn to renew tokens: those who take theirs come one after the other, so that none stores a token
// that another one's fetch superseded unseen, even if that one died. It is taken when there is something to renew, and
// ends with the run. Make one for each invocation.
//
// It stands in a parameter, which says until when it is taken. A run that dies gives no sign of life any more, and
// the next one has its turn five seconds later. It is an order among those who are well, no lock: who can't read or
// write the parameter, or waits too long, goes on without. Then the rules of [Renewer.Keep] have to do.
type Turn struct {
	parameters parameter.Store
	now        func() time.Time
	log        logging.Log
	id         string
	began      time.Time
	patience   time.Duration

	take  sync.Once
	taken bool
	stale bool
	end   func() // nil: it was not taken
}

// Turn makes a turn that isn't taken yet, before anything is read. It is waited for as long as patience, but not longer
// than half of the time there is.
func (r *Renewer) Turn(patience time.Duration) *Turn {
	return &Turn{parameters: r.Turns, now: r.Now, log: r.Log, id: rand.Text(), began: r.Now(), patience: patience}
}

// Take waits for the turn and takes it, unless it was taken before. stale tells that another one may have renewed
// tokens since t was made: whoever means to renew one that was read before Take has to read it again.
func (t *Turn) Take(ctx context.Context) (stale bool) {
	t.take.Do(func() { t.stale, t.taken = t.wait(ctx), true })
	return t.stale
}

// Taken reports whether the turn was taken, or gone on without.
func (t *Turn) Taken() bool { return t.taken }

// End gives the turn to the next one, if it was taken.
func (t *Turn) End() {
	if t.end != nil {
		t.end()
	}
}

// storedTurn is what stands in the parameter.
type storedTurn struct {
	TakenUntil time.Time `json:"taken_until"`
	By         string    `json:"by"` // makes each text another one
}

func (t *Turn) text(until time.Time) secret.Value {
	text, _ := plainjson.Marshal(storedTurn{until.UTC().Round(time.Millisecond), t.id}) // always encodes
	return secret.New(string(text))
}

func (t *Turn) wait(ctx context.Context) (stale bool) {
	patience := t.patience
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for again := 25 * time.Millisecond; ; again = min(2*again, time.Second) {
		until, mine, stale, err := t.try(ctx)
		switch {
		case err != nil:
			t.log.WarnContext(ctx, "the turn to renew tokens could not be taken; going on without", "error", err.Error())
			return true
		case mine:
			t.keep(context.WithoutCancel(ctx), until)
			return stale
		case !pause.For(ctx, again/2+mathrand.N(again)):
			t.log.WarnContext(ctx, "another run renews tokens for long; going on without a turn")
			return true
		}
	}
}

// try takes the turn unless it is another one's. Of several who take it at once it is the first one's: each write is
// numbered, so that each learns whether another one's came between. What the others wrote is nobody's turn, and lapses.
func (t *Turn) try(ctx context.Context) (until time.Time, mine, stale bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*turnAnswer)
	defer cancel()
	read, err := t.parameters.Get(ctx, turnName)
	missing := awserror.Is(err, awserror.Missing)
	if err != nil && !missing {
		return until, false, false, err
	}
	now := t.now().Round(0)
	until = now.Add(turnLasts)
	if missing {
		_, err := t.parameters.Create(ctx, turnName, t.text(until))
		if awserror.Is(err, awserror.Exists) {
			return until, false, false, nil
		}
		return until, err == nil, false, err
	}
	var last storedTurn
	json.Unmarshal([]byte(read.Text.Reveal()), &last) // what can't be read is nobody's
	if now.Before(last.TakenUntil) && last.TakenUntil.Before(now.Add(2*turnLasts)) {
		return until, false, false, nil
	}
	written, err := t.parameters.Put(ctx, turnName, t.text(until))
	if err != nil {
		return until, false, false, err
	}
	_, others, err := t.parameters.Overwritten(ctx, turnName, read.Version, written, t.text(until))
	return until, err == nil && !others, last.TakenUntil.After(t.began.Add(-longAgo)), err
}

// keep gives signs of life until the turn ends. Where one might come too late, as after a freeze, there is none: then the
// turn lapses, and is another one's.
func (t *Turn) keep(ctx context.Context, until time.Time) {
	put := func(ctx context.Context, until time.Time) error {
		ctx, cancel := context.WithTimeout(ctx, turnAnswer)
		defer cancel()
		_, err := t.parameters.Put(ctx, turnName, t.text(until))
		return err
	}
	mine := func() bool { return t.now().Add(turnAnswer).Before(until) }
	signing, end := context.WithCancel(ctx)
	var signs sync.WaitGroup
	signs.Go(func() {
		for pause.For(signing, turnLasts/4) {
			if !mine() {
				t.log.WarnContext(ctx, "the turn to renew tokens lapsed")
				return
			}
			next := t.now().Round(0).Add(turnLasts)
			if err := put(signing, next); err == nil {
				until = next
			} else if signing.Err() == nil {
				t.log.WarnContext(ctx, "a sign of the turn to renew tokens was not taken", "error", err.Error())
			}
		}
	})
	t.end = func() {
		end()
		signs.Wait()
		if mine() {
			if err := put(ctx, t.now().Round(0)); err != nil {
				t.log.WarnContext(ctx, "the turn to renew tokens could not be given back; it lapses", "error", err.Error())
			}
		}
	}
}
