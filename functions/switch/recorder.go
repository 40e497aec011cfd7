package main

import (
	"context"
	"errors"
	"log/slog"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// maxInFlight limits concurrent checks at WeChat.
	maxInFlight = 20
	// workers limits accounts processed concurrently: while some wait for WeChat, the tokens of others are read.
	workers = 2 * maxInFlight
)

// recorder checks the switches of many accounts and records the results. It has no means to open one.
type recorder struct {
	check     checker
	accounts  state.Accounts
	directory platform.Directory
	bus       *eventbus.Bus
	log       *slog.Logger
}

// limitedClient limits concurrent requests to WeChat to the capacity of slots.
type limitedClient struct {
	wechat switchClient
	slots  chan struct{}
}

// CheckDraftSwitch implements [switchClient].
func (l limitedClient) CheckDraftSwitch(ctx context.Context, account secret.Value) (state wechat.SwitchState, err error) {
	err = l.limit(ctx, func() error { state, err = l.wechat.CheckDraftSwitch(ctx, account); return err })
	return state, err
}

// DraftCount implements [switchClient].
func (l limitedClient) DraftCount(ctx context.Context, account secret.Value) (count int, err error) {
	err = l.limit(ctx, func() error { count, err = l.wechat.DraftCount(ctx, account); return err })
	return count, err
}

func (l limitedClient) limit(ctx context.Context, call func() error) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		return call()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// checkAndRecord checks an account's switch and records the result, which may be that WeChat refused access to this
// account. The error says why there is no state or why it couldn't be recorded. account may be out of date.
func (r recorder) checkAndRecord(ctx context.Context, account state.Account) error {
	startedAt := r.check.now()
	found, err := r.check.check(ctx, account.AppID)
	learn := func(*state.Account) {}
	var refusal *wechat.APIError
	var unknown *token.UnknownAccountError
	switch {
	case errors.As(err, &unknown): // it has no token, so create no item for it
		return err
	case errors.As(err, &refusal) && refusal.Info().Class == wechat.NotGranted:
		ended := refusal.Code == platform.CodeEnded && r.hasEnded(ctx, account.AppID)
		learn = func(a *state.Account) {
			a.SetRefused(refusal.Code, found.at)
			if ended {
				a.EndAuthorization(startedAt)
			}
		}
	case err == nil:
		learn = func(a *state.Account) { a.SetSwitch(found.state, found.at) }
	}
	if err := r.record(ctx, account, learn); err != nil {
		return err
	}
	if err == nil && found.state == wechat.SwitchUnknown {
		return fault.New(fault.BadUpstreamAnswer, "WeChat did not say whether the switch is open")
	}
	return err
}

// hasEnded confirms that an account's authorization ended. If that fails, the next check tries again.
func (r recorder) hasEnded(ctx context.Context, appID string) bool {
	ended, err := r.directory.HasEnded(ctx, appID)
	if err != nil {
		r.log.InfoContext(ctx, "could not confirm that an authorization ended", "appid", appID, "error", err.Error())
	}
	return ended
}

// record publishes and stores a change of an account, in this order: after a crash in between, the events are repeated
// with the same ids, not lost. An unchanged account costs no call.
func (r recorder) record(ctx context.Context, account state.Account, change func(*state.Account)) error {
	if !account.NeedsWrite(change) {
		return nil
	}
	current, err := r.accounts.Get(ctx, account.AppID)
	if err != nil {
		return err
	}
	after := current
	change(&after)
	if err := r.bus.Publish(ctx, eventbus.AccountChanges(current, after)...); err != nil {
		return err
	}
	_, _, err = r.accounts.Write(ctx, current, change)
	return err
}

// report logs why a switch's state is unknown.
func (r recorder) report(ctx context.Context, appID string, err error) {
	kind := fault.Of(err, r.check.now()).Kind
	level := slog.LevelWarn
	if kind == fault.NotGranted || kind == fault.UnknownAccount {
		level = slog.LevelInfo
	}
	r.log.Log(ctx, level, "no state of a draft switch", "appid", appID, "problem", kind, "error", err.Error())
}
