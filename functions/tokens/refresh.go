package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// refreshResult is the result of refresh-tokens. The component counts as one, with an empty appid.
type refreshResult struct {
	Task      string            `json:"task"`
	Refreshed int               `json:"refreshed"`
	Fresh     int               `json:"fresh"`
	Failed    int               `json:"failed"`
	Failures  []renewal.Failure `json:"failures"`
}

// refreshRun is one run of refresh-tokens.
type refreshRun struct {
	renewer            *renewal.Renewer
	log                *slog.Logger
	metrics            *telemetry.Recorder
	ignoreMiniPrograms bool

	lease    *renewal.Lease
	attempts *renewal.Attempts
	list     *platform.List
	learner  *platform.Learner
	breaker  *breaker
	hasTime  func() bool // to begin with another account
	force    bool        // tokens that would have to wait are fetched too

	withoutAccounts bool // what is known of the accounts can't be read

	mu          sync.Mutex
	result      refreshResult
	reauthorize int            // failures that only the account's administrator can mend
	later       []token.Record // due accounts whose last fetch failed
}

// refreshAll does refresh-tokens: the component's token first, since the authorizers' are fetched with it, and then
// every account's that is due, for as long as there is time. What is left is due in the next run too.
func (h *handler) refreshAll(ctx context.Context, event json.RawMessage) (any, error) {
	var asked struct {
		Force bool `json:"force"`
	}
	if err := json.Unmarshal(event, &asked); err != nil {
		return nil, errors.New(`refresh-tokens: "force" has to be true or false`)
	}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	r := &refreshRun{
		renewer: h.renewer, log: h.log(), metrics: h.metrics, ignoreMiniPrograms: h.ignoreMiniPrograms,
		lease: h.renewer.Lease(renewal.RunLeaseTimeout), attempts: h.renewer.Attempts(),
		list:    h.renewer.Directory.List(),
		learner: h.renewer.Directory.Learner(h.renewer.Accounts, platform.PerRun, h.log()),
		breaker: newBreaker(), hasTime: hasTime, force: asked.Force,
		result: refreshResult{Task: "refresh-tokens", Failures: []renewal.Failure{}},
	}
	r.lease.Acquire(work)
	defer r.lease.Release(ctx)
	r.refreshComponent(work)
	err := r.refreshAccounts(work)
	r.fail(r.breaker.rest()...)
	slices.SortStableFunc(r.result.Failures, func(a, b renewal.Failure) int { return strings.Compare(a.AppID, b.AppID) })
	r.attempts.PublishFailures(ctx, r.result.Failures...)
	r.noteRecovery(ctx)
	r.measure(ctx)
	h.log().InfoContext(ctx, "tokens refreshed", "task", r.result.Task, "refreshed", r.result.Refreshed,
		"fresh", r.result.Fresh, "failed", r.result.Failed, "failures", r.result.Failures)
	if err != nil {
		return nil, err
	}
	return r.result, nil
}

// noteRecovery notes that authorizers are refreshed again, so that the platform's next failure is published.
func (r *refreshRun) noteRecovery(ctx context.Context) {
	isPlatforms := func(f renewal.Failure) bool { return f.AppID == token.Component }
	if r.breaker.hasSucceeded() && !slices.ContainsFunc(r.result.Failures, isPlatforms) {
		r.attempts.End(ctx, token.Component)
	}
}

// measure records the state of the tokens, in every run, so that alarms can take silence for a fault.
func (r *refreshRun) measure(ctx context.Context) {
	now := r.renewer.Now()
	r.metrics.Put(telemetry.Refreshed, float64(r.result.Refreshed))
	r.metrics.Put(telemetry.RefreshFailures, float64(r.result.Failed-r.reauthorize))
	r.metrics.Put(telemetry.AccountsToReauthorize, float64(r.reauthorize))
	if t, err := r.renewer.Read(ctx, token.Component); err == nil && t.IsStored() {
		r.metrics.Put(telemetry.TokenAge, now.Sub(t.UpdatedAt).Seconds())
		if !t.ExpiresAt.IsZero() {
			r.metrics.Put(telemetry.TokenTimeToExpiry, t.ExpiresAt.Sub(now).Seconds())
		}
	}
	if newest, err := r.renewer.Tickets.Load(ctx); err == nil {
		r.metrics.Put(telemetry.TicketAge, newest.Age(now).Seconds())
	}
}

func (r *refreshRun) refreshComponent(ctx context.Context) {
	renewed, previous, err := r.renewer.RefreshComponentIfDue(ctx, r.lease, r.attempts, r.force)
	switch {
	case err != nil:
		r.failed(ctx, token.Component, err)
		if previous.Access.IsZero() || previous.IsExpired(r.renewer.Now()) {
			r.breaker.trip()
		}
	case renewed:
		r.count(&r.result.Refreshed)
	default:
		r.count(&r.result.Fresh)
	}
}

// pageSize is how many accounts' items are read at once.
const pageSize = 100

// refreshAccounts refreshes the accounts page by page, so that memory doesn't grow with them.
func (r *refreshRun) refreshAccounts(ctx context.Context) error {
	var group errgroup.Group
	defer group.Wait()
	group.SetLimit(maxParallel)
	var page []token.Record
	for record, err := range r.renewer.AccountTokens.All(ctx) {
		if !r.hasTime() {
			r.log.WarnContext(ctx, "the time is up; the next run goes on")
			return nil
		}
		switch {
		case err != nil && record.Owner == "":
			return err
		case err != nil:
			r.failed(ctx, record.Owner, err)
		default:
			page = append(page, record)
		}
		if len(page) == pageSize {
			r.refreshPage(ctx, &group, page)
			page = nil
		}
	}
	r.refreshPage(ctx, &group, page)
	group.Wait()
	r.refreshLater(ctx, &group)
	return nil
}

// refreshLater refreshes the accounts whose last fetch failed. They come last, so that they starve nobody.
func (r *refreshRun) refreshLater(ctx context.Context, group *errgroup.Group) {
	later := r.later
	for start := 0; start < len(later); start += pageSize {
		page := later[start:min(start+pageSize, len(later))]
		waits := r.readWaits(ctx, page)
		for _, record := range page {
			group.Go(func() error { r.refreshAccount(ctx, record, waits[record.Owner]); return nil })
		}
	}
}

func (r *refreshRun) refreshPage(ctx context.Context, group *errgroup.Group, page []token.Record) {
	var owners []string
	for _, record := range page {
		owners = append(owners, record.Owner)
	}
	accounts := r.readAccounts(ctx, owners)
	var due []token.Record
	for _, record := range page {
		account, known := accounts[record.Owner]
		if known && wechat.IsAppID(record.Owner) && (!account.IsStored() || account.Kind == "") {
			account = r.complete(ctx, account, record)
		}
		switch {
		case account.Status == state.Unauthorized && !record.IsOwnAccount(), r.ignoreMiniPrograms && account.IsMiniProgram():
		case r.renewer.IsDue(record):
			due = append(due, record)
		default:
			r.count(&r.result.Fresh)
		}
	}
	waits := r.readWaits(ctx, due)
	for _, record := range due {
		wait := waits[record.Owner]
		if wait.Failures > 0 {
			r.later = append(r.later, record)
			continue
		}
		group.Go(func() error { r.refreshAccount(ctx, record, wait); return nil })
	}
}

// readWaits reads the waits of due accounts, by appid.
func (r *refreshRun) readWaits(ctx context.Context, due []token.Record) map[string]state.Wait {
	var owners []string
	for _, record := range due {
		owners = append(owners, record.Owner)
	}
	return r.attempts.Waits(ctx, owners)
}

// accountsTimeout is how long a page of accounts' items is waited for. DynamoDB answers within milliseconds.
const accountsTimeout = 3 * time.Second

// readAccounts reads what is known of the accounts. Tokens matter more than that: where it can't be read the accounts
// count as authorized, and the rest of the run doesn't try again.
func (r *refreshRun) readAccounts(ctx context.Context, owners []string) map[string]state.Account {
	if r.withoutAccounts || len(owners) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountsTimeout)
	defer cancel()
	accounts, err := r.renewer.Accounts.GetAll(ctx, owners)
	if err != nil {
		r.withoutAccounts = true
		r.attempts.Disable()
		r.log.WarnContext(ctx, "refreshing tokens without what is known of their accounts", "error", err.Error())
	}
	return accounts
}

// complete writes the item that is missing, and learns the account's kind. An own account never authorised the platform,
// so WeChat needn't be asked: it is an Official Account. Nor did a bare token of the operator's, as far as is known.
func (r *refreshRun) complete(ctx context.Context, account state.Account, record token.Record) state.Account {
	if !record.IsOwnAccount() && !record.Refresh.IsZero() && !r.breaker.isOpen() {
		account = r.learner.Learn(ctx, account)
	}
	_, after, err := r.renewer.Accounts.Write(ctx, account, func(a *state.Account) {
		if record.IsOwnAccount() && a.Kind == "" {
			a.Kind = wechat.OfficialAccount
		}
	})
	if err != nil {
		r.log.WarnContext(ctx, "could not record an account", "appid", record.Owner, "error", err.Error())
		return account
	}
	return after
}

// refreshAccount refreshes the token of one account that is due.
func (r *refreshRun) refreshAccount(ctx context.Context, record token.Record, wait state.Wait) {
	own := record.IsOwnAccount()
	if !own {
		if !r.breaker.enter() {
			return
		}
		defer r.breaker.leave()
		if _, err := r.renewer.Platform.Get(ctx); err != nil {
			if r.breaker.trip() {
				r.failed(ctx, token.Component, err)
			}
			return
		}
	}
	if !r.hasTime() {
		return
	}
	r.lease.Extend(ctx)
	changed := false
	err := r.attempts.Run(ctx, record, wait, r.force, func() (err error) {
		changed, err = r.renewer.RenewAccount(ctx, record, r.list, secret.Value{})
		return err
	})
	var waiting *renewal.WaitingError
	switch {
	case errors.As(err, &waiting) && !own && concernedPlatform(waiting.Wait):
		r.breaker.waitingForPlatform(renewal.FailureOf(record.Owner, err, r.renewer.Now()))
	case err != nil && !own && concernsPlatform(err):
		r.breaker.platformFailure(renewal.FailureOf(record.Owner, err, r.renewer.Now()))
		r.logFailure(ctx, record.Owner, err)
	case err != nil:
		r.failed(ctx, record.Owner, err)
	case changed:
		r.count(&r.result.Refreshed)
		if !own {
			r.fail(r.breaker.success()...)
		}
	default:
		r.count(&r.result.Fresh)
	}
}

func (r *refreshRun) count(n *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n++
}

func (r *refreshRun) failed(ctx context.Context, appID string, err error) {
	if renewal.NeedsReauthorization(err) {
		r.count(&r.reauthorize)
	}
	r.fail(renewal.FailureOf(appID, err, r.renewer.Now()))
	r.logFailure(ctx, appID, err)
}

func (r *refreshRun) logFailure(ctx context.Context, appID string, err error) {
	r.log.WarnContext(ctx, "a token could not be refreshed", "appid", appID, "error", err.Error())
}

// fail adds failures to the result.
func (r *refreshRun) fail(failures ...renewal.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Failed += len(failures)
	r.result.Failures = append(r.result.Failures, failures...)
}

// splitDeadline divides the time of a task. hasTime says whether there is time to begin with another account; what was begun
// has to end when work ends; what is left then is for publishing the outcome.
func splitDeadline(ctx context.Context) (work context.Context, done context.CancelFunc, hasTime func() bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}, func() bool { return true }
	}
	margin := min(10*time.Second, time.Until(deadline)/3)
	work, done = context.WithDeadline(ctx, deadline.Add(-margin/2))
	return work, done, func() bool { return time.Until(deadline) > margin }
}
