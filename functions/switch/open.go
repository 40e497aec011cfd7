package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// openingTime is the time needed for an opening and the check that follows.
	openingTime = 5 * time.Second
	// bestEffortTimeout limits how long an optional step delays the response.
	bestEffortTimeout = 2 * time.Second
	// lateReleaseTimeout limits a release after the deadline.
	lateReleaseTimeout = 300 * time.Millisecond
	// claimDuration is when a claim expires that isn't released.
	claimDuration = time.Minute
)

// opening opens draft switches, which can't be undone.
type opening struct {
	check     checker
	opener    wechat.SwitchOpener
	allowlist bootstrap.Allowlist
	table     state.Table
	bus       *eventbus.Bus
	log       *slog.Logger
}

// result is the outcome of an attempt to open a switch.
type result struct {
	checked        // what the last check said; state is empty if it failed
	status  int    // HTTP
	outcome string // for the audit line
	changed bool   // WeChat accepted an opening call
}

// stateOpening is the API's state of a switch that WeChat accepted to open and doesn't show as open yet.
const stateOpening wechat.SwitchState = "opening"

// apiState is the state as the API shows it.
func (r result) apiState() wechat.SwitchState {
	if r.changed && r.state != wechat.SwitchOpen {
		return stateOpening
	}
	return r.state
}

// open opens the account's switch, unless it is open. Only one opening of an account runs at a time, across instances:
// it is claimed before the check, and released once its outcome is known.
func (o opening) open(ctx context.Context, appID string) (result, error) {
	if !o.allowlist.Allows(appID) {
		return result{}, fault.New(fault.OpeningNotAllowed, "OPENABLE_ACCOUNTS does not name "+appID)
	}
	claim := o.table.OpeningClaim(appID, claimDuration)
	claimed, err := claim.Acquire(ctx)
	if err != nil {
		return result{}, fmt.Errorf("claim the opening, of which nothing was sent: %w", err)
	}
	if !claimed {
		return result{}, &fault.Error{Meaning: fault.Fault{Kind: fault.OpeningUnderWay,
			Detail: "another request is opening this switch, so nothing was sent", RetryAfter: claimDuration}}
	}
	done, err := o.openClaimed(ctx, appID)
	status := done.status
	if err != nil {
		status = api.Status(fault.Of(err, o.check.now()).Kind)
	}
	if status != http.StatusAccepted && status != http.StatusGatewayTimeout { // WeChat may still open it
		o.release(ctx, appID, claim)
	}
	return done, err
}

// release releases the claim, even after the deadline: there is a margin before the response is due.
func (o opening) release(ctx context.Context, appID string, claim *state.Lease) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lateReleaseTimeout)
		defer cancel()
	}
	o.bestEffort(ctx, appID, "release the claim of the opening", claim.Release)
}

// openClaimed sends at most one opening call that WeChat could act on.
func (o opening) openClaimed(ctx context.Context, appID string) (result, error) {
	known := o.known(ctx, appID)
	first, err := o.check.check(ctx, appID)
	if err != nil {
		return result{}, err
	}
	switch {
	case first.state == wechat.SwitchOpen:
		o.recordOpen(ctx, known, first)
		return result{checked: first, status: http.StatusOK, outcome: "already-open"}, nil
	case first.state != wechat.SwitchClosed:
		return result{}, fault.New(fault.BadUpstreamAnswer,
			"WeChat did not say whether the switch is open, so nothing was sent to open it")
	case !hasTimeFor(ctx, openingTime):
		return result{}, fault.New(fault.WeChatTimeout,
			"too little time is left to open the switch and check the outcome, so nothing was sent to open it")
	}

	err = token.Write(ctx, o.check.tokens, appID, o.opener.OpenDraftSwitch)
	lost := wechat.IsOutcomeUnknown(err) && !wechat.IsRetired(err)
	if err != nil && !lost {
		return result{}, err
	}
	after, err := o.check.check(ctx, appID)
	if err != nil {
		after.state = ""
		o.log.WarnContext(ctx, "the check after an opening failed", "appid", appID, "error", err.Error())
	}
	switch {
	case after.state == wechat.SwitchOpen:
		o.publishOpened(ctx, known)
		o.recordOpen(ctx, known, after)
		return result{checked: after, status: http.StatusOK, outcome: "opened", changed: true}, nil
	case lost:
		return result{}, fault.New(fault.WeChatTimeout,
			"the answer to the opening was lost and the switch does not show as open; the opening was not repeated").
			WithAction("Check the switch in a minute; if it is still closed, open it again.")
	}
	return result{checked: after, status: http.StatusAccepted, outcome: "opening", changed: true}, nil
}

func hasTimeFor(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= d
}

// known reads the recorded account; on failure it is a new one.
func (o opening) known(ctx context.Context, appID string) state.Account {
	known := state.NewAccount(appID)
	o.bestEffort(ctx, appID, "read the account", func(ctx context.Context) (err error) {
		known, err = o.table.Accounts().Get(ctx, appID)
		return err
	})
	return known
}

// publishOpened is called before [opening.recordOpen]: after a crash in between, the event is repeated with the same
// id, not lost.
func (o opening) publishOpened(ctx context.Context, known state.Account) {
	o.bestEffort(ctx, known.AppID, "publish that the switch was opened", func(ctx context.Context) error {
		return o.bus.Publish(ctx, eventbus.SwitchOpened(known))
	})
}

func (o opening) recordOpen(ctx context.Context, known state.Account, found checked) {
	o.bestEffort(ctx, known.AppID, "record that the switch is open", func(ctx context.Context) error {
		_, _, err := o.table.Accounts().Write(ctx, known, func(a *state.Account) { a.SetSwitch(found.state, found.at) })
		return err
	})
}

// bestEffort runs a step and logs its failure, which doesn't change the outcome of the opening; the next survey
// corrects the record.
func (o opening) bestEffort(ctx context.Context, appID, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, bestEffortTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		o.log.WarnContext(ctx, "could not "+what, "appid", appID, "error", err.Error())
	}
}
