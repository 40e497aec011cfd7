package main

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/time/rate"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/metrics"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/pause"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	surveyTask = "check-switches"
	// holdBack is how long a quota for the minute is left alone.
	holdBack = time.Minute
)

// survey asks for the state of every account's switch, but for those known to be open: an open switch never closes.
type survey struct {
	inspector
	tokens tokenStore
	queue  checkQueue // where it has a URL, the checks are left to its messages
	// metrics are told what was known when the survey began: with a queue, the answers come in other invocations.
	metrics *metrics.Recorder
}

// tokenStore is where the accounts' tokens stand. It tells which accounts have one.
type tokenStore interface {
	token.Store
	AppIDs(ctx context.Context, next string) (page []string, after string, err error)
}

// writesPerSecond is three quarters of what SSM takes at best: others write parameters too.
const writesPerSecond = 30

func newSurvey(parts bootstrap.Parts, check checker, parameters parameter.Store, tokens tokenStore) survey {
	check.wechat = inTurn{check.wechat, make(chan struct{}, inFlight)}
	i := inspector{
		check: check, bus: parts.Bus, log: parts.Log, wait: pause.For,
		records: account.NewRecords(parameters.Paced(rate.NewLimiter(writesPerSecond, 1))),
	}
	client, url := sqs.NewFromConfig(parts.AWS), parts.Settings.SwitchQueueURL
	return survey{i, tokens, checkQueue{i, queue.NewWorker(client, url, parts.Log.Logger), client, url}, parts.Metrics}
}

// surveyed is the result of a survey, of accounts that are authorised.
type surveyed struct {
	Task      string `json:"task"`
	Accounts  int    `json:"accounts"`
	KnownOpen int    `json:"known_open"`
	Queued    int    `json:"queued"`
	Checked   int    `json:"checked"`
	Failed    int    `json:"failed"`
}

// tally is a survey under way: its result, and the states that were known when it began.
type tally struct {
	surveyed
	states map[wechat.SwitchState]int
}

// run is the task. It ends before its time is up; the next run goes on with what is left.
func (s survey) run(ctx context.Context, _ json.RawMessage) (any, error) {
	working, cancel := earlier(ctx, 2*time.Second)
	defer cancel()
	result := tally{surveyed{Task: surveyTask}, make(map[wechat.SwitchState]int)}
	accounts, listed := make(chan account.Record), make(chan error, 1)
	go func() {
		defer close(accounts)
		listed <- s.list(working, accounts)
	}()
	var err error
	if s.queue.url != "" {
		err = s.enqueue(working, accounts, &result)
	} else {
		s.checkAll(working, accounts, &result)
	}
	cancel()
	err = errors.Join(err, <-listed)
	s.log.InfoContext(ctx, "draft switches surveyed", "task", result.Task, "accounts", result.Accounts,
		"known_open", result.KnownOpen, "queued", result.Queued, "checked", result.Checked, "failed", result.Failed)
	if err != nil {
		return nil, err
	}
	s.metrics.Put(metrics.AccountsOpen, float64(result.states[wechat.SwitchOpen]))
	s.metrics.Put(metrics.AccountsClosed, float64(result.states[wechat.SwitchClosed]))
	s.metrics.Put(metrics.AccountsUnknown, float64(result.states[wechat.SwitchUnknown]))
	return result.surveyed, nil
}

// asks counts an account and reports whether its switch is to be asked for.
func (t *tally) asks(record account.Record) bool {
	t.Accounts++
	t.states[record.DraftSwitch]++
	if record.DraftSwitch == wechat.SwitchOpen {
		t.KnownOpen++
		return false
	}
	return true
}

// list gives out every authorised account: those that have a record, then those that have but a token.
func (s survey) list(ctx context.Context, to chan<- account.Record) error {
	give := func(record account.Record) bool {
		select {
		case to <- record:
			return true
		case <-ctx.Done():
			return false
		}
	}
	recorded := make(map[string]bool)
	records := func(ctx context.Context, next string) ([]account.Record, string, error) {
		page, after, unreadable, err := s.records.Page(ctx, next, 10)
		if unreadable > 0 {
			s.log.WarnContext(ctx, "accounts have parameters that can't be read", "count", unreadable)
		}
		return page, after, err
	}
	err := each(ctx, s.inspector, records, func(record account.Record) bool {
		recorded[record.AppID] = true
		return record.Status != account.Authorized || give(record)
	})
	if err == nil {
		err = each(ctx, s.inspector, s.tokens.AppIDs, func(appID string) bool {
			return recorded[appID] || !settings.IsAppID(appID) || give(account.New(appID))
		})
	}
	if ctx.Err() != nil { // the time is up
		return nil
	}
	return err
}

// each reads a list page by page, until its end or until one is not taken.
func each[T any](ctx context.Context, i inspector, read func(ctx context.Context, next string) ([]T, string, error), take func(T) bool) error {
	for next := ""; ; {
		var page []T
		err := i.patiently(ctx, func() (err error) {
			var after string
			if page, after, err = read(ctx, next); err == nil {
				next = after
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, one := range page {
			if !take(one) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
	}
}

// checkAll checks accounts while more of them are still being listed.
//
// Accounts whose quota for the minute is used up are held back until the others are done. When as many are held back
// as are in flight, it isn't the quota of single accounts any more, and nothing is sent until the minute is over.
func (s survey) checkAll(ctx context.Context, listed <-chan account.Record, result *tally) {
	starting, cancel := earlier(ctx, 10*time.Second) // what is under way has that long to end
	defer cancel()
	type outcome struct {
		account.Record
		err error
	}
	work, done := make(chan account.Record), make(chan outcome)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for record := range work {
				done <- outcome{record, s.inspect(ctx, record)}
			}
		})
	}
	defer workers.Wait()
	defer close(work)

	var waiting agenda
	var held []account.Record
	stop := starting.Done()
	for busy := 0; busy > 0 || listed != nil || len(waiting) > 0 || len(held) > 0; {
		pausing := len(held) >= inFlight || listed == nil && len(waiting) == 0
		if len(held) > 0 && pausing && busy == 0 {
			if !s.wait(starting, holdBack) {
				result.Failed += len(held)
				return
			}
			for _, record := range held {
				waiting.add(record)
			}
			held = nil
			continue
		}
		var next account.Record
		var out chan<- account.Record
		if len(waiting) > 0 && !pausing {
			next, out = waiting[0].Record, work
		}
		select {
		case record, more := <-listed:
			if !more {
				listed = nil
			} else if result.asks(record) {
				waiting.add(record)
			}
		case out <- next:
			heap.Pop(&waiting)
			busy++
		case one := <-done:
			busy--
			switch {
			case one.err == nil:
				result.Checked++
			case ctx.Err() != nil: // not asked to the end
			case isMinuteQuota(one.err):
				held = append(held, one.Record)
			default:
				result.Failed++
				s.report(ctx, one.AppID, one.err)
			}
		case <-stop:
			stop, listed, waiting = nil, nil, nil
		}
	}
}

func isMinuteQuota(err error) bool {
	var refusal *wechat.Error
	return errors.As(err, &refusal) && refusal.Known().Class == wechat.MinuteQuota
}

// agenda is a heap of the accounts to be checked. The one that wasn't for the longest time comes first, so that a run
// goes on where one that ran out of time has stopped. When that was is known to within [account.RenewAfter] only, since
// checked_at is seldom written, so it is drawn from that span: of accounts that look alike, none is always last.
type agenda []due

type due struct {
	account.Record
	since time.Time
}

func (a *agenda) add(r account.Record) {
	heap.Push(a, due{r, r.CheckedAt.Add(rand.N(account.RenewAfter))})
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].since.Before(a[j].since) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(due)) }

func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}
