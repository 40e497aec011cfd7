package main

import (
	"context"
	"net/http"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// enough is how much time has to be left for an opening and the check that follows.
	enough = 5 * time.Second
	// bookkeeping is how long keeping books about an opening may hold up its answer, a step.
	bookkeeping = 2 * time.Second
)

// opening opens draft switches, for good.
type opening struct {
	check    checker
	opener   wechat.SwitchOpener
	openable settings.Openable
	records  account.Records
	bus      *eventbus.Bus
	log      logging.Log
}

// result is how an attempt to open a switch ended.
type result struct {
	checked        // what the last check said; state is empty if it failed
	status  int    // HTTP
	outcome string // for the audit line
	changed bool   // an opening call was made and taken
}

// stateOpening is the state of a switch that WeChat was told to open and that doesn't show it yet.
const stateOpening wechat.SwitchState = "opening"

// told is the state as the API tells it.
func (r result) told() wechat.SwitchState {
	if r.changed && r.state != wechat.SwitchOpen {
		return stateOpening
	}
	return r.state
}

// open opens the account's switch, unless it is open. It sends at most one opening call that WeChat could act on.
func (o opening) open(ctx context.Context, appID string) (result, error) {
	if !o.openable.Allows(appID) {
		return result{}, &api.Problem{Slug: "opening-not-allowed", Detail: "OPENABLE_ACCOUNTS does not name " + appID}
	}
	first, err := o.check.check(ctx, appID)
	if err != nil {
		return result{}, err
	}
	switch {
	case first.state == wechat.SwitchOpen:
		o.record(ctx, appID, first)
		return result{checked: first, status: http.StatusOK, outcome: "already-open"}, nil
	case first.state != wechat.SwitchClosed:
		return result{}, &api.Problem{Slug: "bad-upstream-answer",
			Detail: "WeChat did not say whether the switch is open, so nothing was sent to open it"}
	}
	before := o.known(ctx, appID)
	if !hasLeft(ctx, enough) {
		return result{}, &api.Problem{Slug: "wechat-timeout",
			Detail: "too little time is left to open the switch and see what came of it, so nothing was sent to open it"}
	}

	err = o.send(ctx, appID)
	lost := wechat.IsLost(err) && !wechat.IsRetired(err)
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
		if !toldAlready(before, first) {
			o.publish(ctx, before)
		}
		o.record(ctx, appID, after)
		return result{checked: after, status: http.StatusOK, outcome: "opened", changed: true}, nil
	case lost:
		return result{}, &api.Problem{Slug: "wechat-timeout",
			Detail: "the answer to the opening was lost and the switch does not show as open; the opening was not repeated",
			Action: "Ask for the state of the switch in a minute; if it is still closed, open it again."}
	}
	return result{checked: after, status: http.StatusAccepted, outcome: "opening", changed: true}, nil
}

// send sends the opening call, and leaves half of the time for the check that follows.
func (o opening) send(ctx context.Context, appID string) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	_, err := token.Call(ctx, o.check.tokens, appID, func(ctx context.Context, t secret.Value) (struct{}, error) {
		return struct{}{}, o.opener.OpenDraftSwitch(ctx, t)
	})
	return err
}

func hasLeft(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= d
}

// What follows keeps the books about an opening. Failures are logged: the switch is open whatever becomes of them, and
// the next survey records it. The event comes before the record: a crash between the two repeats it under the same id,
// and doesn't lose it.

// known is what is known of the account before it is opened. Afterwards, another request that found the switch open may
// have recorded that, and it could not be told who opened it.
func (o opening) known(ctx context.Context, appID string) account.Record {
	known := account.New(appID)
	o.step(ctx, appID, "read what is known of the account", func(ctx context.Context) error {
		current, err := o.records.Current(ctx, appID)
		if err == nil {
			known = current
		}
		return err
	})
	return known
}

// toldAlready reports whether the switch was recorded as open although the first check, made before, saw it closed:
// another opening came between the two, and tells of itself.
func toldAlready(known account.Record, first checked) bool {
	return known.DraftSwitch == wechat.SwitchOpen && !known.CheckedAt.Before(first.at.Truncate(time.Second))
}

func (o opening) publish(ctx context.Context, known account.Record) {
	o.step(ctx, known.AppID, "publish that the switch was opened", func(ctx context.Context) error {
		return o.bus.Publish(ctx, known.SwitchChanged(wechat.SwitchClosed, wechat.SwitchOpen))
	})
}

func (o opening) record(ctx context.Context, appID string, found checked) {
	o.step(ctx, appID, "record that the switch is open", func(ctx context.Context) error {
		_, _, err := o.records.Update(ctx, appID, func(r *account.Record) { r.Found(found.state, found.at) })
		return err
	})
}

func (o opening) step(ctx context.Context, appID, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, bookkeeping)
	defer cancel()
	if err := do(ctx); err != nil {
		o.log.WarnContext(ctx, "could not "+what, "appid", appID, "error", err.Error())
	}
}
