package renewal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// A failed fetch sets a wait for its token, whoever asks for the next one: the schedule, a rejection or the queue. WeChat's
// token calls have daily limits, and requests of clients must not become calls of them.

// backoff is how long to wait after the first, second, third and any further failure in a row.
var backoff = [...]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 9 * time.Minute}

const (
	// reauthorizeWait is how often an account is tried that has to authorise again.
	reauthorizeWait = 24 * time.Hour
	// publishAgainAfter and publishSameAfter are how often the failure of one token is published: for another reason, and
	// for the same one.
	publishAgainAfter = time.Hour
	publishSameAfter  = 24 * time.Hour

	// noTicket is a time that no ticket is newer than.
	noTicket = math.MaxInt64
	// recovered is the published errcode of a token that was fetched since.
	recovered = math.MinInt32
)

// WaitingError is the error where a token's last fetch failed and it isn't time for the next one.
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
	f := fault.Of(&wechat.Error{Code: e.Wait.Errcode}, now)
	f.Detail = e.Error()
	return f
}

// Attempt renews a token unless it has to wait, and notes how that ended. force ignores the wait.
func (r *Renewer) Attempt(ctx context.Context, t token.Record, wait state.Wait, force bool, renew func() error) error {
	if !force && r.mustWait(ctx, t, wait) {
		return &WaitingError{wait}
	}
	err := renew()
	if ctx.Err() != nil { // the time is up, which says nothing of the token
		return err
	}
	r.update(ctx, wait, func(w *state.Wait) { r.note(ctx, w, t, err) })
	return err
}

func (r *Renewer) update(ctx context.Context, wait state.Wait, change func(*state.Wait)) {
	if _, err := r.Waits.Update(ctx, wait, change); err != nil {
		r.Log.WarnContext(ctx, "could not note how the renewal of a token ended", "appid", wait.Owner, "error", err.Error())
	}
}

// endWait ends an owner's wait: it has a token by other means.
func (r *Renewer) endWait(ctx context.Context, owner string) { r.update(ctx, r.Wait(ctx, owner), end) }

func end(w *state.Wait) {
	if w.Failures > 0 {
		w.Failures, w.Until, w.Errcode, w.Reauthorize, w.PublishedErrcode = 0, time.Time{}, 0, false, recovered
	}
}

// Wait reads an owner's wait. Where that fails there is none: tokens matter more.
func (r *Renewer) Wait(ctx context.Context, owner string) state.Wait {
	wait, err := r.Waits.Get(ctx, owner)
	if err != nil {
		r.Log.WarnContext(ctx, "renewing a token without what is known of its last failure", "appid", owner, "error", err.Error())
	}
	return wait
}

// mustWait reports whether it isn't time for the next fetch. A wait ends early where its cause is gone.
func (r *Renewer) mustWait(ctx context.Context, t token.Record, wait state.Wait) bool {
	if !wait.IsActive(r.Now()) {
		return false
	}
	if t.Owner != token.Component {
		return t.Version == wait.TokenVersion
	}
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
	// reauthorizeCodes mean that only a new authorization helps; 61023 does where WeChat's list has no refresh token either.
	reauthorizeCodes = []int{42002, 42007, 43007}
)

// NeedsReauthorization reports whether an account has to authorise the platform again.
func NeedsReauthorization(err error) bool {
	var refusal *wechat.Error
	var waiting *WaitingError
	return errors.As(err, &waiting) && waiting.Wait.Reauthorize || errors.Is(err, ErrNoRefreshToken) || errors.As(err, &refusal) && slices.Contains(reauthorizeCodes, refusal.Code)
}

// note notes how a renewal ended.
func (r *Renewer) note(ctx context.Context, w *state.Wait, t token.Record, err error) {
	if err == nil {
		end(w)
		return
	}
	now := r.Now().Round(0)
	w.Errcode = FailureOf(t.Owner, err, now).Errcode
	w.Until = now.Add(backoff[min(w.Failures, len(backoff)-1)])
	w.Failures++
	w.Reauthorize = t.Owner != token.Component && NeedsReauthorization(err)
	w.TokenVersion, w.TicketTime, w.PlatformVersion = t.Version, noTicket, ""
	var refusal *wechat.Error
	switch {
	case w.Reauthorize:
		w.Until = now.Add(reauthorizeWait)
	case errors.As(err, &refusal) && (refusal.Known().Class == wechat.DayQuota || refusal.Known().Class == wechat.MinuteQuota):
		w.Until = now.Add(refusal.RetryAfter(now))
	}
	if t.Owner == token.Component {
		r.noteComponent(ctx, w, err)
	}
}

// noteComponent notes which ticket and which platform secret the component's failure was about, where it was.
func (r *Renewer) noteComponent(ctx context.Context, w *state.Wait, err error) {
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

// shouldPublish reports whether a failure is to be published, or was published lately.
func shouldPublish(w state.Wait, errcode int, now time.Time) bool {
	since := now.Round(0).Sub(w.PublishedAt)
	switch {
	case w.PublishedAt.IsZero():
		return true
	case since < publishAgainAfter:
		return false
	case errcode != w.PublishedErrcode:
		return true
	}
	return !w.Reauthorize && since >= publishSameAfter
}

// PublishFailures publishes that tokens could not be renewed, each no more often than is of use.
func (r *Renewer) PublishFailures(ctx context.Context, failures ...Failure) {
	waits := r.waitsOf(ctx, failures)
	due := slices.DeleteFunc(slices.Clone(failures), func(f Failure) bool {
		return !shouldPublish(waits[f.AppID], f.Errcode, r.Now())
	})
	if !r.publish(ctx, due...) {
		return
	}
	for _, f := range due {
		r.update(ctx, waits[f.AppID], func(w *state.Wait) { w.PublishedAt, w.PublishedErrcode = r.Now().Round(0), f.Errcode })
	}
}

// waitsOf reads the waits of failed tokens. Where that fails it is as if nothing had been published.
func (r *Renewer) waitsOf(ctx context.Context, failures []Failure) map[string]state.Wait {
	var appIDs []string
	waits := make(map[string]state.Wait)
	for _, f := range failures {
		if f.AppID == token.Component {
			waits[f.AppID] = r.Wait(ctx, f.AppID)
			continue
		}
		appIDs = append(appIDs, f.AppID)
		waits[f.AppID] = state.Wait{Owner: f.AppID}
	}
	stored, err := r.Waits.GetAll(ctx, appIDs)
	if err != nil {
		r.Log.WarnContext(ctx, "publishing failures without what was published before", "error", err.Error())
	}
	maps.Copy(waits, stored)
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
