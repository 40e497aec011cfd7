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

// refreshResult is the result of refresh-tokens. The component's token is counted too, with an empty appid.
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
	hasTime  func() bool // to start another account
	force    bool        // ignore the waits after failures

	accountsUnreadable bool // the accounts' items can't be read

	mu          sync.Mutex
	result      refreshResult
	reauthorize int            // failures that only the account's administrator can resolve
	deferred    []token.Record // due accounts whose last fetch failed
}

// refreshAll is the task refresh-tokens: it refreshes the component's token first, because the authorizers' are fetched
// with it, and then the accounts' tokens that are due, while there is time. The next run continues with the rest.
func (h *handler) refreshAll(ctx context.Context, event json.RawMessage) (any, error) {
	var params struct {
		Force bool `json:"force"`
	}
	if err := json.Unmarshal(event, &params); err != nil {
		return nil, errors.New(`refresh-tokens: "force" has to be true or false`)
	}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	r := &refreshRun{
		renewer: h.renewer, log: h.log(), metrics: h.metrics, ignoreMiniPrograms: h.ignoreMiniPrograms,
		lease: h.renewer.Lease(renewal.RunLeaseTimeout), attempts: h.renewer.Attempts(),
		list:    h.renewer.Directory.List(),
		learner: h.renewer.Directory.Learner(h.renewer.Accounts, platform.PerRun, h.log()),
		breaker: newBreaker(), hasTime: hasTime, force: params.Force,
		result: refreshResult{Task: "refresh-tokens", Failures: []renewal.Failure{}},
	}
	r.lease.Acquire(work)
	defer r.lease.Release(ctx)
	r.refreshComponent(work)
	err := r.refreshAccounts(work)
	r.fail(r.breaker.unreported()...)
	slices.SortStableFunc(r.result.Failures, func(a, b renewal.Failure) int { return strings.Compare(a.AppID, b.AppID) })
	r.attempts.PublishFailures(ctx, r.result.Failures...)
	r.recordRecovery(ctx)
	r.putMetrics(ctx)
	h.log().InfoContext(ctx, "tokens refreshed", "task", r.result.Task, "refreshed", r.result.Refreshed,
		"fresh", r.result.Fresh, "failed", r.result.Failed, "failures", r.result.Failures)
	if err != nil {
		return nil, err
	}
	return r.result, nil
}

// recordRecovery records that authorizers are refreshed again, so that the platform's next failure is published.
func (r *refreshRun) recordRecovery(ctx context.Context) {
	isComponent := func(f renewal.Failure) bool { return f.AppID == token.Component }
	if r.breaker.hasSucceeded() && !slices.ContainsFunc(r.result.Failures, isComponent) {
		r.attempts.End(ctx, token.Component)
	}
}

// putMetrics publishes the metrics in every run, so that alarms can treat missing data as a fault.
func (r *refreshRun) putMetrics(ctx context.Context) {
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
	r.refreshDeferred(ctx, &group)
	return nil
}

// refreshDeferred refreshes the accounts whose last fetch failed. They come last, so that they can't starve the others.
func (r *refreshRun) refreshDeferred(ctx context.Context, group *errgroup.Group) {
	deferred := r.deferred
	for start := 0; start < len(deferred); start += pageSize {
		page := deferred[start:min(start+pageSize, len(deferred))]
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
			account = r.completeItem(ctx, account, record)
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
			r.deferred = append(r.deferred, record)
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

// accountsTimeout limits reading the accounts' items. DynamoDB answers within milliseconds.
const accountsTimeout = 3 * time.Second

// readAccounts reads the accounts' items. Tokens are refreshed without them too: after a failure the accounts count as
// authorized, and the run doesn't try again.
func (r *refreshRun) readAccounts(ctx context.Context, owners []string) map[string]state.Account {
	if r.accountsUnreadable || len(owners) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, accountsTimeout)
	defer cancel()
	accounts, err := r.renewer.Accounts.GetAll(ctx, owners)
	if err != nil {
		r.accountsUnreadable = true
		r.attempts.Disable()
		r.log.WarnContext(ctx, "refreshing tokens without what is known of their accounts", "error", err.Error())
	}
	return accounts
}

// completeItem writes the account's missing item or kind. WeChat is only asked for the kind of authorizers: an own account
// is an Official Account, and the operator's bare token may belong to no authorizer.
func (r *refreshRun) completeItem(ctx context.Context, account state.Account, record token.Record) state.Account {
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

// refreshAccount refreshes the token of an account that is due.
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

// splitDeadline divides the time of a task. hasTime reports whether another account may be started; work under way is
// cancelled with the context work; the rest is for publishing the outcome.
func splitDeadline(ctx context.Context) (work context.Context, done context.CancelFunc, hasTime func() bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}, func() bool { return true }
	}
	margin := min(10*time.Second, time.Until(deadline)/3)
	work, done = context.WithDeadline(ctx, deadline.Add(-margin/2))
	return work, done, func() bool { return time.Until(deadline) > margin }
}
