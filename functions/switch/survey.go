package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	surveyTask = "check-switches"
	// rateLimitPause is the pause after a per-minute quota was exceeded.
	rateLimitPause = time.Minute
	// maxDeferred is how many accounts may exceed a per-minute quota before it counts as shared by all.
	maxDeferred = maxInFlight
	// surveyMargin is the time reserved for checks under way to finish.
	surveyMargin = 10 * time.Second
)

// survey checks the switch of every Official Account that isn't known to be open: an open switch never closes. It reads
// the accounts in pages, so that memory doesn't grow with their number.
type survey struct {
	recorder  recorder
	tokens    token.Store
	directory platform.Directory
	cursor    state.Cursor
	queue     checkQueue // used if it has a URL
	metrics   *telemetry.Recorder
	sleep     func(context.Context, time.Duration) bool // retry.Sleep, but for tests
}

// surveyResult is the result of a survey. It counts authorized Official Accounts.
type surveyResult struct {
	Task      string `json:"task"`
	Accounts  int    `json:"accounts"`
	KnownOpen int    `json:"known_open"`
	Queued    int    `json:"queued"`
	Checked   int    `json:"checked"`
	Failed    int    `json:"failed"`
}

// surveyRun is one run of the survey.
type surveyRun struct {
	survey  survey
	learner *platform.Learner

	mu       sync.Mutex
	result   surveyResult
	states   map[wechat.SwitchState]int // as recorded before the survey
	complete bool                       // all accounts were counted
	deferred []state.Account            // exceeded a per-minute quota
}

// run is the task check-switches. If it runs out of time, the next run continues where it stopped.
func (s survey) run(ctx context.Context, _ json.RawMessage) (any, error) {
	work, cancel := endEarlier(ctx, 2*time.Second)
	defer cancel()
	r := &surveyRun{
		survey:  s,
		learner: s.directory.Learner(s.recorder.accounts, platform.PerRun, s.recorder.log),
		result:  surveyResult{Task: surveyTask},
		states:  make(map[wechat.SwitchState]int),
	}
	var err error
	if s.queue.url != "" {
		err = r.enqueueAll(work)
		r.complete = err == nil
	} else {
		err = r.checkAll(work)
	}
	s.recorder.log.InfoContext(ctx, "surveyed the draft switches", "task", r.result.Task, "accounts", r.result.Accounts,
		"known_open", r.result.KnownOpen, "queued", r.result.Queued, "checked", r.result.Checked, "failed", r.result.Failed)
	if err != nil {
		return nil, err
	}
	if !r.complete { // partial counts would look like lost accounts
		return r.result, nil
	}
	s.metrics.Put(telemetry.AccountsOpen, float64(r.states[wechat.SwitchOpen]))
	s.metrics.Put(telemetry.AccountsClosed, float64(r.states[wechat.SwitchClosed]))
	s.metrics.Put(telemetry.AccountsUnknown, float64(r.states[wechat.SwitchUnknown]))
	return r.result, nil
}

// needsCheck counts an account and reports whether its switch has to be checked.
func (r *surveyRun) needsCheck(a state.Account) bool {
	if a.Status != state.Authorized || a.IsMiniProgram() {
		return false
	}
	r.result.Accounts++
	r.states[a.DraftSwitch]++
	if a.DraftSwitch == wechat.SwitchOpen {
		r.result.KnownOpen++
		return false
	}
	return true
}

// all yields every account: stored ones after the given appid, then those that have a token but no item, then the
// stored ones up to the appid. So even runs that never finish reach every account eventually.
func (s survey) all(ctx context.Context, after string) iter.Seq2[state.Account, error] {
	return func(yield func(state.Account, error) bool) {
		missing, stop := s.findMissing(ctx)
		defer stop()
		recorded := make(map[string]bool) // in this run; skipped when read as stored
		rest := func(a state.Account, err error) bool { return recorded[a.AppID] || yield(a, err) }
		if !s.eachStored(ctx, after, "", yield) {
			return
		}
		for m := range missing {
			if m.account.AppID <= after {
				recorded[m.account.AppID] = true
			}
			if !yield(m.account, m.err) || m.err != nil {
				return
			}
		}
		if after != "" {
			s.eachStored(ctx, "", after, rest)
		}
	}
}

// missingAccount is an account that has a token but no item, or the error that ended the search.
type missingAccount struct {
	account state.Account
	err     error
}

// findMissing searches for accounts without an item while others are checked, since the many look-ups in one partition
// take seconds. stop ends the search.
func (s survey) findMissing(ctx context.Context) (found <-chan missingAccount, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	all := make(chan missingAccount)
	go func() {
		defer close(all)
		s.eachMissing(ctx, func(a state.Account, err error) bool {
			select {
			case all <- missingAccount{a, err}:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return all, func() {
		cancel()
		for range all { // until the search has ended
		}
	}
}

// eachStored yields the accounts that have an item, after the given appid and up to last (empty: to the end). It
// reports whether to continue.
func (s survey) eachStored(ctx context.Context, after, last string, yield func(state.Account, error) bool) bool {
	for {
		page, next, err := s.recorder.accounts.Page(ctx, after, 0)
		if err != nil {
			yield(state.Account{}, err)
			return false
		}
		for _, a := range page {
			if last != "" && a.AppID > last {
				return true
			}
			if !yield(a, nil) {
				return false
			}
		}
		if after = next; after == "" {
			return true
		}
	}
}

// eachMissing yields the accounts that have a token but no item.
func (s survey) eachMissing(ctx context.Context, yield func(state.Account, error) bool) {
	for owners, err := range s.tokens.Owners(ctx) {
		owners = slices.DeleteFunc(owners, func(owner string) bool { return !wechat.IsAppID(owner) })
		var accounts map[string]state.Account
		if err == nil {
			accounts, err = s.recorder.accounts.GetAll(ctx, owners)
		}
		if err != nil {
			yield(state.Account{}, err)
			return
		}
		for _, appID := range owners {
			if a := accounts[appID]; !a.IsStored() && !yield(a, nil) {
				return
			}
		}
	}
}

// checkAll checks all accounts, and those that exceeded a per-minute quota again after the minute. If it runs out of
// time, it stores where the next run continues.
func (r *surveyRun) checkAll(ctx context.Context) error {
	starting, cancel := endEarlier(ctx, surveyMargin)
	defer cancel()
	start, err := r.survey.cursor.Get(starting)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(workers)
	last, stopped := start, false
	for a, listErr := range r.survey.all(starting, start) {
		if starting.Err() != nil {
			stopped = true
			break
		}
		if err = listErr; err != nil {
			break
		}
		a = r.learn(starting, a)
		if !r.needsCheck(a) {
			continue
		}
		if !r.makeRoom(starting, &group) {
			stopped = true
			break
		}
		if a.IsStored() {
			last = a.AppID
		}
		group.Go(func() error { r.checkOne(ctx, a); return nil })
	}
	group.Wait()
	if starting.Err() == nil {
		r.retryDeferred(starting, &group)
	}
	r.result.Failed += len(r.deferred)
	if starting.Err() != nil { // out of time, which may also be why listing failed
		stopped, err = true, nil
	}
	r.complete = !stopped && err == nil
	if r.complete {
		last = ""
	}
	saving, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	if err := r.survey.cursor.Set(saving, start, last); err != nil {
		r.survey.recorder.log.WarnContext(ctx, "could not save where the next survey goes on", "error", err.Error())
	}
	return err
}

// learn adds the account's kind, if this run may still ask WeChat for one.
func (r *surveyRun) learn(ctx context.Context, a state.Account) state.Account {
	if !a.IsStored() {
		return a // its item is written with the result of its check
	}
	return r.learner.Learn(ctx, a)
}

func (r *surveyRun) checkOne(ctx context.Context, a state.Account) {
	err := r.survey.recorder.checkAndRecord(ctx, a)
	if err != nil && ctx.Err() != nil { // interrupted
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.result.Checked++
	case isMinuteQuota(err):
		r.deferred = append(r.deferred, a)
	default:
		r.result.Failed++
		r.survey.recorder.report(ctx, a.AppID, err)
	}
}

// makeRoom pauses the survey if so many accounts exceeded a per-minute quota that it must be shared. It reports whether
// there is time to continue.
func (r *surveyRun) makeRoom(ctx context.Context, group *errgroup.Group) bool {
	r.mu.Lock()
	full := len(r.deferred) >= maxDeferred
	r.mu.Unlock()
	if !full {
		return true
	}
	group.Wait()
	return r.retryDeferred(ctx, group)
}

// retryDeferred repeats the deferred checks, after a minute each time, until none is left. It reports false if the time
// ran out.
func (r *surveyRun) retryDeferred(ctx context.Context, group *errgroup.Group) bool {
	for len(r.deferred) > 0 {
		if !r.survey.sleep(ctx, rateLimitPause) {
			return false
		}
		again := r.deferred
		r.deferred = nil
		for _, a := range again {
			group.Go(func() error { r.checkOne(ctx, a); return nil })
		}
		group.Wait()
	}
	return true
}

func isMinuteQuota(err error) bool {
	var refusal *wechat.APIError
	return errors.As(err, &refusal) && refusal.Info().Class == wechat.MinuteQuota
}

// endEarlier returns ctx with a deadline that is earlier by d, or by a tenth of the remaining time if that is less.
func endEarlier(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/10)))
}
