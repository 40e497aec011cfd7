package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/metrics"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// parallel is how many accounts are refreshed at once.
	parallel = 20
	// patience is how long a run waits for its turn, behind another one.
	patience = 45 * time.Second
	// littlePatience is how long what renews a single token waits for its turn: for a dead run's to lapse, not for a
	// long run to end.
	littlePatience = 10 * time.Second
)

// refreshResult is the result of refresh-tokens. The component counts as one, with an empty appid.
type refreshResult struct {
	Task      string            `json:"task"`
	Refreshed int               `json:"refreshed"`
	Fresh     int               `json:"fresh"`
	Failed    int               `json:"failed"`
	Failures  []renewal.Failure `json:"failures"`
}

// run is one run of refresh-tokens.
type run struct {
	*handler
	turn   *renewal.Turn
	list   *renewal.Authorizers
	enough func() bool // time to begin with another account

	mu     sync.Mutex
	result refreshResult
	// stopped is why no more authorizers are refreshed: what concerns the platform is reported once, not once for
	// each account.
	stopped error
	// suspects are the last authorizers that met what seems to concern the platform, since one was refreshed.
	suspects []renewal.Failure
	reached  bool // an authorizer was refreshed, so the platform is well
}

// enoughSuspects is how many authorizers in a row have to meet what concerns the platform until that is believed: one
// of them might meet it for reasons of its own, and must not keep the others from being refreshed.
const enoughSuspects = 5

// refreshAll does refresh-tokens: the component's token first, since the authorizers' are fetched with it, and then
// every account's that is due, for as long as there is time. What is left is due at the next run too.
func (h *handler) refreshAll(ctx context.Context, _ json.RawMessage) (any, error) {
	work, done, enough := span(ctx)
	defer done()
	r := &run{handler: h, turn: h.Turn(patience), list: h.Authorizers(), enough: enough,
		result: refreshResult{Task: "refresh-tokens", Failures: []renewal.Failure{}}}
	r.component(work)
	err := r.accounts(work)
	r.turn.End()
	r.judge()
	slices.SortFunc(r.result.Failures, func(a, b renewal.Failure) int { return strings.Compare(a.AppID, b.AppID) })
	h.PublishFailures(ctx, r.result.Failures...)
	r.measure(ctx)
	h.Log.InfoContext(ctx, "tokens refreshed", "task", r.result.Task, "refreshed", r.result.Refreshed,
		"fresh", r.result.Fresh, "failed", r.result.Failed, "failures", r.result.Failures)
	if err != nil {
		return nil, err
	}
	return r.result, nil
}

// measure records how the tokens are, in every run, so that alarms can take silence for a fault.
func (r *run) measure(ctx context.Context) {
	r.metrics.Put(metrics.Refreshed, float64(r.result.Refreshed))
	r.metrics.Put(metrics.RefreshFailures, float64(r.result.Failed))
	if entry, stored, err := r.Read(ctx, token.Component); err == nil && entry.Version != "" {
		r.metrics.Put(metrics.TokenAge, r.Now().Sub(entry.Since).Seconds())
		if !stored.ExpiresAt.IsZero() {
			r.metrics.Put(metrics.TokenTimeToExpiry, stored.ExpiresAt.Sub(r.Now()).Seconds())
		}
	}
	if newest, err := r.Tickets.Load(ctx); err == nil {
		r.metrics.Put(metrics.TicketAge, newest.Age(r.Now()).Seconds())
	}
}

func (r *run) component(ctx context.Context) {
	renewed, stored, err := r.KeepComponent(ctx, r.turn)
	switch {
	case err != nil:
		r.failed(ctx, token.Component, err)
		if stored.Access.IsZero() || !r.Now().Before(stored.ExpiresAt) {
			r.stop(err)
		}
	case renewed:
		r.count(&r.result.Refreshed)
	default:
		r.count(&r.result.Fresh)
	}
}

func (r *run) accounts(ctx context.Context) error {
	type account struct {
		token.Holding
		stored token.Stored
	}
	inTurn := r.turn.Taken()            // and what is read from now on can't be stale
	due := make(chan account, parallel) // so that the next page is read while these are refreshed
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(due)
	for range parallel {
		workers.Go(func() {
			for a := range due {
				if r.enough() {
					r.account(ctx, a.Holding, a.stored, inTurn)
				}
			}
		})
	}
	for holding, err := range r.Accounts.Accounts(ctx) {
		if !r.enough() {
			r.Log.WarnContext(ctx, "the time is up; the next run goes on")
			return nil
		}
		if err != nil && holding.AppID == "" {
			return err
		}
		stored, err := r.parse(holding, err)
		switch {
		case err != nil:
			r.failed(ctx, holding.AppID, err)
		case r.Due(stored):
			due <- account{holding, stored}
		default:
			r.count(&r.result.Fresh)
		}
	}
	return nil
}

func (r *run) parse(holding token.Holding, err error) (token.Stored, error) {
	if err != nil {
		return token.Stored{}, err
	}
	return token.Parse(r.Accounts.Name(holding.AppID), holding.Entry.Text)
}

// account refreshes the token of one account that is due. inTurn tells that it was read in this run's turn.
func (r *run) account(ctx context.Context, holding token.Holding, stored token.Stored, inTurn bool) {
	if stored.AppSecret.IsZero() {
		r.mu.Lock()
		stopped := r.stopped
		r.mu.Unlock()
		if stopped != nil {
			return
		}
		if _, err := r.Platform.Get(ctx); err != nil {
			if r.stop(err) {
				r.failed(ctx, token.Component, err)
			}
			return
		}
		record, err := r.Records.Get(ctx, holding.AppID)
		if err == nil && record.Status == account.Unauthorized {
			return
		}
	}
	entry, due, changed, err := holding.Entry, true, false, error(nil)
	if r.turn.Take(ctx) && !inTurn {
		entry, stored, err = r.Read(ctx, holding.AppID)
		due = entry.Version != "" && r.Due(stored)
	}
	if !r.enough() { // the turn may have been a long time coming
		return
	}
	if err == nil && due {
		changed, err = r.renew(ctx, holding.AppID, entry, stored, r.list, secret.Value{})
	}
	switch {
	case err != nil && concernsPlatform(err) && stored.AppSecret.IsZero():
		r.suspect(ctx, holding.AppID, err)
	case err != nil:
		r.failed(ctx, holding.AppID, err)
	case changed:
		r.count(&r.result.Refreshed)
		if stored.AppSecret.IsZero() {
			r.reach()
		}
	default:
		r.count(&r.result.Fresh)
	}
}

// renew renews an account's token, whichever kind of account it is.
func (h *handler) renew(ctx context.Context, appID string, entry token.Entry, stored token.Stored, list *renewal.Authorizers, rejected secret.Value) (changed bool, err error) {
	if !stored.AppSecret.IsZero() {
		return h.RenewOwn(ctx, appID, entry, stored, rejected)
	}
	return true, h.RenewAuthorizer(ctx, appID, entry, stored, list)
}

// concernsPlatform reports whether every other authorizer would meet the error too.
func concernsPlatform(err error) bool {
	var refusal *wechat.Error
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Known().Class {
	case wechat.Whitelist, wechat.TokenRefused:
		return true
	case wechat.Misconfigured:
		return refusal.Code != codeAppID
	}
	return false
}

const codeAppID = 40013 // the account's may be meant

// suspect notes that an authorizer met what seems to concern the platform.
func (r *run) suspect(ctx context.Context, appID string, err error) {
	failure := renewal.FailureOf(appID, err, r.Now())
	r.mu.Lock()
	r.suspects = append(r.suspects, failure)
	enough := len(r.suspects) >= enoughSuspects
	r.mu.Unlock()
	if enough {
		r.stop(err)
	}
	r.Log.WarnContext(ctx, "a token could not be refreshed", "appid", appID, "error", err.Error())
}

// reach notes that an authorizer was refreshed: what others met before was their own.
func (r *run) reach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reached = true; len(r.suspects) < enoughSuspects {
		r.fail(r.suspects...)
		r.suspects = nil
	}
}

// judge tells at the end of a run what the last suspects met.
func (r *run) judge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.suspects) > 0 && (!r.reached || len(r.suspects) >= enoughSuspects) {
		all := r.suspects[0]
		all.AppID = token.Component
		r.suspects = []renewal.Failure{all}
	}
	r.fail(r.suspects...)
}

// stop ends the refreshes of authorizers. It reports whether they were not ended before.
func (r *run) stop(why error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return false
	}
	r.stopped = why
	return true
}

func (r *run) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *run) failed(ctx context.Context, appID string, err error) {
	r.mu.Lock()
	r.fail(renewal.FailureOf(appID, err, r.Now()))
	r.mu.Unlock()
	r.Log.WarnContext(ctx, "a token could not be refreshed", "appid", appID, "error", err.Error())
}

// fail adds failures to the result.
func (r *run) fail(failures ...renewal.Failure) {
	r.result.Failed += len(failures)
	r.result.Failures = append(r.result.Failures, failures...)
}

// span parts the time of a task. enough says whether there is time to begin with another account; what was begun has
// to end when work ends; what is left then is for telling of it.
func span(ctx context.Context) (work context.Context, done context.CancelFunc, enough func() bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}, func() bool { return true }
	}
	kept := min(10*time.Second, time.Until(deadline)/3)
	work, done = context.WithDeadline(ctx, deadline.Add(-kept/4))
	return work, done, func() bool { return time.Until(deadline) > kept }
}
