package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// inFlight is how many checks are under way at WeChat at once.
	inFlight = 20
	// atOnce is how many accounts are worked on at once: while some wait for WeChat, the tokens of others are read.
	atOnce = 2 * inFlight
	// patience is how often something is tried that AWS has no time for.
	patience = 6
)

// inspector asks for the state of many accounts' switches and keeps what it learns. Like its checker, it has nothing
// to open one with.
type inspector struct {
	check   checker
	records account.Records
	bus     *eventbus.Bus
	log     logging.Log
	wait    func(context.Context, time.Duration) bool // as pause.For
}

// inTurn lets as many checks go to WeChat at once as slots has room for.
type inTurn struct {
	wechat interface {
		CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error)
	}
	slots chan struct{}
}

func (i inTurn) CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error) {
	select {
	case i.slots <- struct{}{}:
		defer func() { <-i.slots }()
		return i.wechat.CheckDraftSwitch(ctx, account)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// inspect asks for the state of an account's switch and keeps the answer; a refusal for the account's own reasons is
// one too. The error says why there is no state, or why it couldn't be kept. known is the account's record as it was
// read a while ago.
func (i inspector) inspect(ctx context.Context, known account.Record) error {
	var found checked
	err := i.patiently(ctx, func() (err error) {
		found, err = i.check.check(ctx, known.AppID)
		return err
	})
	learn := func(*account.Record) {}
	var refusal *wechat.Error
	var unknown *token.UnknownAccount
	switch {
	case errors.As(err, &unknown): // without a token it isn't an account by itself
		return err
	case errors.As(err, &refusal) && refusal.Known().Class == wechat.NotGranted:
		learn = func(r *account.Record) { r.Refused(refusal.Code, found.at) }
	case err == nil:
		learn = func(r *account.Record) { r.Found(found.state, found.at) }
	}
	if err := i.keep(ctx, known, learn); err != nil {
		return err
	}
	if err == nil && found.state == wechat.SwitchUnknown {
		return &api.Problem{Slug: "bad-upstream-answer", Detail: "WeChat did not say whether the switch is open"}
	}
	return err
}

// keep changes an account's record. What that means to others is published first: a crash in between tells it twice,
// under the same id, and never not at all. A record that has nothing to be written costs no call.
func (i inspector) keep(ctx context.Context, known account.Record, change func(*account.Record)) error {
	if !known.WorthWriting(change) {
		return nil
	}
	var current account.Record
	err := i.patiently(ctx, func() (err error) {
		current, err = i.records.Current(ctx, known.AppID)
		return err
	})
	if err != nil {
		return err
	}
	after := current
	change(&after)
	err = i.patiently(ctx, func() error { return i.bus.Publish(ctx, current.Changes(after)...) })
	if err != nil {
		return err
	}
	return i.patiently(ctx, func() error {
		_, _, err := i.records.Write(ctx, current, change)
		return err
	})
}

// patiently does what AWS may have no time for, which is no reason to give up on an account.
func (i inspector) patiently(ctx context.Context, do func() error) error {
	for try, wait := 1, time.Second; ; try, wait = try+1, 2*wait {
		err := do()
		if !awserror.Is(err, awserror.Unavailable) || try == patience || !i.wait(ctx, wait/2+rand.N(wait/2)) {
			return err
		}
	}
}

// report logs why the state of an account's switch wasn't learnt.
func (i inspector) report(ctx context.Context, appID string, err error) {
	problem := api.ProblemOf(err, i.check.now())
	level := slog.LevelWarn
	if problem.Slug == "not-granted" || problem.Slug == "unknown-account" {
		level = slog.LevelInfo
	}
	i.log.Log(ctx, level, "no state of a draft switch", "appid", appID, "problem", problem.Slug, "error", err.Error())
}

// earlier is ctx, but ends before it does: by d, or by a tenth of what is left, if that is less.
func earlier(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/10)))
}
