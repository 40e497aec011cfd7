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
	// maxInFlight is how many checks are under way at WeChat at once.
	maxInFlight = 20
	// workers is how many accounts are worked on at once: while some wait for WeChat, the tokens of others are read.
	workers = 2 * maxInFlight
)

// recorder checks the switches of many accounts and records what it learns. Like its checker, it can't open one.
type recorder struct {
	check     checker
	accounts  state.Accounts
	directory platform.Directory
	bus       *eventbus.Bus
	log       *slog.Logger
}

// limitedClient lets as many requests go to WeChat at once as slots has room for.
type limitedClient struct {
	wechat switchClient
	slots  chan struct{}
}

// CheckDraftSwitch waits for a slot, and checks.
func (l limitedClient) CheckDraftSwitch(ctx context.Context, account secret.Value) (state wechat.SwitchState, err error) {
	err = l.limit(ctx, func() error { state, err = l.wechat.CheckDraftSwitch(ctx, account); return err })
	return state, err
}

// DraftCount waits for a slot, and counts.
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

// checkAndRecord checks an account's switch and records the answer; a refusal for the account's own reasons is one too. The
// error says why there is no state, or why it couldn't be recorded. account is as it was read a while ago.
func (r recorder) checkAndRecord(ctx context.Context, account state.Account) error {
	asked := r.check.now()
	found, err := r.check.check(ctx, account.AppID)
	learn := func(*state.Account) {}
	var refusal *wechat.APIError
	var unknown *token.UnknownAccountError
	switch {
	case errors.As(err, &unknown): // without a token it isn't an account by itself
		return err
	case errors.As(err, &refusal) && refusal.Info().Class == wechat.NotGranted:
		ended := refusal.Code == platform.CodeEnded && r.hasEnded(ctx, account.AppID)
		learn = func(a *state.Account) {
			a.SetRefused(refusal.Code, found.at)
			if ended {
				a.EndAuthorization(asked)
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

// hasEnded confirms that an account's authorization ended. Where that can't be confirmed the next check asks again.
func (r recorder) hasEnded(ctx context.Context, appID string) bool {
	ended, err := r.directory.HasEnded(ctx, appID)
	if err != nil {
		r.log.InfoContext(ctx, "could not confirm that an authorization ended", "appid", appID, "error", err.Error())
	}
	return ended
}

// record changes an account. The events are published first: a crash in between publishes them twice, under the same id,
// and never loses one. An account that needs no write costs no call.
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

// report logs why the state of an account's switch wasn't learnt.
func (r recorder) report(ctx context.Context, appID string, err error) {
	kind := fault.Of(err, r.check.now()).Kind
	level := slog.LevelWarn
	if kind == fault.NotGranted || kind == fault.UnknownAccount {
		level = slog.LevelInfo
	}
	r.log.Log(ctx, level, "no state of a draft switch", "appid", appID, "problem", kind, "error", err.Error())
}
