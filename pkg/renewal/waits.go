package renewal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// A failed fetch sets a wait for its token, for all triggers: the schedule, a rejection or the queue. WeChat's token calls
// have daily limits, and client requests must not use them up.

// backoff is how long to wait after the first, second, third and any further failure in a row.
var backoff = [...]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 9 * time.Minute}

const (
	// reauthorizeWait is how often an account that has to authorise again is retried.
	reauthorizeWait = 24 * time.Hour
	// publishAgainAfter and publishSameAfter limit how often a token's failure is published: with another errcode, and with
	// the same one.
	publishAgainAfter = time.Hour
	publishSameAfter  = 24 * time.Hour

	// noTicket is a time that no ticket is newer than.
	noTicket = math.MaxInt64
	// recovered is the published errcode of a token that was fetched successfully since.
	recovered = math.MinInt32
	// reauthorize is the published errcode of an account that has to authorise again.
	reauthorize = math.MinInt32 + 1
)

// WaitingError says that the token's last fetch failed, and the wait before the next one isn't over.
type WaitingError struct{ Wait state.Wait }

func (e *WaitingError) Error() string {
	return fmt.Sprintf("the last fetch failed with errcode %d; the next one is due at %s", e.Wait.Errcode, e.Wait.Until.UTC().Format(time.RFC3339))
}

// Fault implements [fault.Faulter]: it means what the last failure did.
func (e *WaitingError) Fault(now time.Time) fault.Fault {
	if e.Wait.Errcode == 0 {
		return fault.Fault{Kind: fault.WeChatUnreachable, Detail: e.Error(), Action: "The bundle's operator: the log of tokens says why the last fetch failed; " +
			`once that is mended, run the task refresh-tokens with "force": true, which doesn't wait.`}
	}
	f := fault.Of(&wechat.APIError{Code: e.Wait.Errcode}, now)
	f.Detail = e.Error()
	return f
}

// stateTimeout bounds a read or write of the waits, which usually takes milliseconds. Renewing tokens matters more.
const stateTimeout = 2 * time.Second

// Attempts reads and records the outcomes of token fetches. Make one for each invocation: once the state table fails, the
// rest of the invocation proceeds without it. It is safe for concurrent use.
type Attempts struct {
	renewer *Renewer

	mu       sync.Mutex
	disabled bool
}

// Attempts makes the attempts of an invocation.
func (r *Renewer) Attempts() *Attempts { return &Attempts{renewer: r} }

// Disable makes the rest of the invocation proceed without the state table.
func (a *Attempts) Disable() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.disabled = true
}

func (a *Attempts) isDisabled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.disabled
}

// useState calls the state table, unless it failed before.
func (a *Attempts) useState(ctx context.Context, call func(ctx context.Context) error) {
	if a.isDisabled() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	if err := call(ctx); err != nil && !a.isDisabled() {
		a.Disable()
		a.renewer.Log.WarnContext(ctx, "going on without what is known of earlier fetches", "error", err.Error())
	}
}

// Run renews a token unless it has to wait, and records the outcome. force ignores the wait.
func (a *Attempts) Run(ctx context.Context, t token.Record, wait state.Wait, force bool, renew func() error) error {
	if !force && a.renewer.mustWait(ctx, t, wait) {
		return &WaitingError{wait}
	}
	err := renew()
	if isTimeUp(ctx) { // no outcome of the token's
		return err
	}
	a.update(ctx, wait, func(w *state.Wait) { a.renewer.recordOutcome(ctx, w, t, err) })
	return err
}

// isTimeUp reports whether ctx has ended, or so nearly that a call may have failed for it.
func isTimeUp(ctx context.Context) bool {
	const lastMoment = time.Second
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(deadline) < lastMoment
}

func (a *Attempts) update(ctx context.Context, wait state.Wait, change func(*state.Wait)) {
	a.useState(ctx, func(ctx context.Context) error {
		_, err := a.renewer.Waits.Update(ctx, wait, change)
		return err
	})
}

// End clears an owner's wait, after its token was stored by other means.
func (a *Attempts) End(ctx context.Context, owner string) {
	a.update(ctx, a.Wait(ctx, owner), clearWait)
}

func clearWait(w *state.Wait) {
	w.Failures, w.Until, w.Errcode, w.Action, w.Reauthorize = 0, time.Time{}, 0, "", false
	if !w.PublishedAt.IsZero() {
		w.PublishedErrcode = recovered
	}
}

// Wait reads an owner's wait. After a failure it is the zero wait.
func (a *Attempts) Wait(ctx context.Context, owner string) state.Wait {
	wait := state.Wait{Owner: owner}
	a.useState(ctx, func(ctx context.Context) (err error) {
		wait, err = a.renewer.Waits.Get(ctx, owner)
		return err
	})
	return wait
}

// Waits reads the waits of accounts, by appid. After a failure they are zero waits.
func (a *Attempts) Waits(ctx context.Context, appIDs []string) map[string]state.Wait {
	waits := make(map[string]state.Wait, len(appIDs))
	for _, appID := range appIDs {
		waits[appID] = state.Wait{Owner: appID}
	}
	if len(appIDs) == 0 {
		return waits
	}
	a.useState(ctx, func(ctx context.Context) error {
		stored, err := a.renewer.Waits.GetAll(ctx, appIDs)
		maps.Copy(waits, stored)
		return err
	})
	return waits
}

// mustWait reports whether the wait is active. It ends early when the record, ticket or secret that failed was replaced.
func (r *Renewer) mustWait(ctx context.Context, t token.Record, wait state.Wait) bool {
	if !wait.IsActive(r.Now()) {
		return false
	}
	if t.Owner != token.Component {
		return t.Version == wait.TokenVersion
	}
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	if wait.TicketTime != noTicket {
		if newest, err := r.Tickets.Load(ctx); err == nil && newest.CreateTime > wait.TicketTime {
			return false
		}
	}
	if wait.PlatformVersion != "" {
		if p, err := r.Platform.Fresh(ctx); err == nil && p.Version != wait.PlatformVersion {
			return false
		}
	}
	return true
}

var (
	ticketCodes = []int{61005, 61006, 40091, 40094}
	secretCodes = []int{40125, 40094, 40243}
	// reauthorizeCodes mean that only a new authorization helps. 61023 means so only if WeChat's list has no refresh token
	// either.
	reauthorizeCodes = []int{42002, 42007, 43007}
)

// NeedsReauthorization reports whether an account has to authorise the platform again.
func NeedsReauthorization(err error) bool {
	var refusal *wechat.APIError
	var waiting *WaitingError
	return errors.As(err, &waiting) && waiting.Wait.Reauthorize || errors.Is(err, ErrNoRefreshToken) || errors.As(err, &refusal) && slices.Contains(reauthorizeCodes, refusal.Code)
}

// recordOutcome sets the wait after a renewal.
func (r *Renewer) recordOutcome(ctx context.Context, w *state.Wait, t token.Record, err error) {
	if err == nil {
		clearWait(w)
		return
	}
	now := r.Now().Round(0)
	failure := FailureOf(t.Owner, err, now)
	w.Errcode, w.Action = failure.Errcode, failure.Action
	w.Until = now.Add(backoff[min(w.Failures, len(backoff)-1)])
	w.Failures++
	w.Reauthorize = t.Owner != token.Component && NeedsReauthorization(err)
	w.TokenVersion, w.TicketTime, w.PlatformVersion = t.Version, noTicket, ""
	var refusal *wechat.APIError
	switch {
	case w.Reauthorize:
		w.Until = now.Add(reauthorizeWait)
	case errors.As(err, &refusal) && (refusal.Info().Class == wechat.DayQuota || refusal.Info().Class == wechat.MinuteQuota):
		w.Until = now.Add(refusal.RetryAfter(now))
	}
	if t.Owner == token.Component {
		r.recordComponentCause(ctx, w, err)
	}
}

// recordComponentCause sets the ticket or platform secret that the component's failure was about.
func (r *Renewer) recordComponentCause(ctx context.Context, w *state.Wait, err error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	if errors.Is(err, ErrTicket) || slices.Contains(ticketCodes, w.Errcode) {
		w.TicketTime = 0 // none: any ticket is newer
		if newest, err := r.Tickets.Load(ctx); err == nil {
			w.TicketTime = newest.CreateTime
		}
	}
	if slices.Contains(secretCodes, w.Errcode) {
		if p, err := r.Platform.Get(ctx); err == nil {
			w.PlatformVersion = p.Version
		}
	}
}

// publishedErrcode is the errcode that is stored for a published failure. All failures of an account that has to authorise
// again count as the same.
func publishedErrcode(w state.Wait, errcode int) int {
	if w.Reauthorize {
		return reauthorize
	}
	return errcode
}

// shouldPublish reports whether a failure is to be published, or was published recently.
func shouldPublish(w state.Wait, errcode int, now time.Time) bool {
	since := now.Round(0).Sub(w.PublishedAt)
	switch {
	case w.PublishedAt.IsZero():
		return true
	case since < publishAgainAfter:
		return false
	case publishedErrcode(w, errcode) != w.PublishedErrcode:
		return true
	}
	return !w.Reauthorize && since >= publishSameAfter
}

// noteConcurrency is how many failures are recorded at once.
const noteConcurrency = 20

// PublishFailures publishes the failures that are due by [shouldPublish]. Of several failures of one appid the first counts.
func (a *Attempts) PublishFailures(ctx context.Context, failures ...Failure) {
	waits := a.waitsOf(ctx, failures)
	var due []Failure
	seen := make(map[string]bool, len(failures))
	for _, f := range failures {
		if !seen[f.AppID] && shouldPublish(waits[f.AppID], f.Errcode, a.renewer.Now()) {
			due = append(due, f)
		}
		seen[f.AppID] = true
	}
	if !a.renewer.publish(ctx, due...) {
		return
	}
	var group errgroup.Group
	group.SetLimit(noteConcurrency)
	for _, f := range due {
		group.Go(func() error {
			a.update(ctx, waits[f.AppID], func(w *state.Wait) {
				w.PublishedAt, w.PublishedErrcode = a.renewer.Now().Round(0), publishedErrcode(*w, f.Errcode)
			})
			return nil
		})
	}
	group.Wait()
}

// waitsOf reads the waits of failed tokens. After an error nothing counts as published.
func (a *Attempts) waitsOf(ctx context.Context, failures []Failure) map[string]state.Wait {
	var appIDs []string
	component := false
	for _, f := range failures {
		if f.AppID == token.Component {
			component = true
		} else {
			appIDs = append(appIDs, f.AppID)
		}
	}
	waits := a.Waits(ctx, appIDs)
	if component {
		waits[token.Component] = a.Wait(ctx, token.Component)
	}
	return waits
}

// publish reports whether the failures were published.
func (r *Renewer) publish(ctx context.Context, failures ...Failure) bool {
	err := r.Bus.Publish(ctx, failureEvents(failures)...)
	if err != nil {
		r.Log.WarnContext(ctx, "could not publish that token refreshes failed", "error", err.Error())
	}
	return err == nil
}

func failureEvents(failures []Failure) (events []eventbus.Event) {
	for _, f := range failures {
		events = append(events, eventbus.Event{DetailType: eventbus.TokenRefreshFailed, Detail: struct {
			Failure
			Errmsg string `json:"errmsg"`
		}{f, f.Errmsg}})
	}
	return events
}
