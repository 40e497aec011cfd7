package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wechat-draftbox/pkg/authorizer"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Authorization is an account's authorization of the platform, as WeChat pushed it.
type Authorization struct {
	AppID      string
	Code       secret.Value // works once
	CreateTime int64        // Unix seconds
}

// ErrOtherAccount is the error where WeChat gives another account's tokens for a code.
var ErrOtherAccount = errors.New("the authorization code is another account's")

// Exchange exchanges an authorization code for the account's tokens, stores them, records that the account is
// authorized, and publishes that. It may be called again after any error, and for a push that came twice: a code that
// was used already is not the end. [ErrNoRefreshToken] is: the account has to authorise again.
func (r *Renewer) Exchange(ctx context.Context, a Authorization) error {
	account, err := r.Accounts.Get(ctx, a.AppID)
	if err != nil {
		return err
	}
	if isOutdated(account, a) {
		return nil
	}
	if err := r.exchange(ctx, a); err != nil {
		return err
	}
	before, after, err := r.Accounts.Update(ctx, a.AppID, func(account *state.Account) {
		account.SetStatus(state.Authorized, a.CreateTime)
	})
	if err != nil || isOutdated(before, a) {
		return err
	}
	after = r.Directory.Learner(r.Accounts, 1, r.Log).Learn(ctx, after)
	return r.Bus.Publish(ctx, eventbus.Authorized(after, a.CreateTime))
}

// isOutdated reports whether a newer push, or one of the same second that wins, said something else.
func isOutdated(account state.Account, a Authorization) bool {
	return account.StatusAt > a.CreateTime || account.StatusAt == a.CreateTime && account.Status == state.Unauthorized
}

func (r *Renewer) exchange(ctx context.Context, a Authorization) error {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return err
	}
	stored, err := r.Read(ctx, a.AppID)
	var malformed *awserror.Malformed
	if err != nil && !errors.As(err, &malformed) { // a record that can't be read is replaced
		return err
	}
	type answer struct {
		appID string
		grant wechat.Grant
	}
	asked := r.Now()
	got, err := token.Call(ctx, r.Tokens, token.Component, func(ctx context.Context, component secret.Value) (answer, error) {
		asked = r.Now()
		appID, grant, err := r.WeChat.QueryAuth(ctx, component, p.AppID, a.Code)
		return answer{appID, grant}, err
	})
	if isUsedCode(err) {
		return r.recover(ctx, a, stored)
	}
	if err != nil {
		return err
	}
	if got.appID != a.AppID {
		return fmt.Errorf("exchange the code of %s: %w", a.AppID, ErrOtherAccount)
	}
	granted, list := false, r.Directory.List()
	_, err = r.UpdateToken(ctx, stored, func(ctx context.Context, stored token.Record) (token.Record, error) {
		if !granted {
			granted = true
			return applyGrant(stored, got.grant, asked), nil
		}
		// Somebody stored a token of the former authorization meanwhile. This one's refresh token is the newer.
		stored.Refresh = got.grant.Refresh
		return r.refresh(ctx, stored, list)
	})
	return err
}

func isUsedCode(err error) bool {
	return isRefused(err, 61009) || isRefused(err, 61010) || isRefused(err, 42003)
}

// recover is for a code that doesn't work any more: this authorization's tokens may be stored already, or they come with
// the refresh token that WeChat's list has.
func (r *Renewer) recover(ctx context.Context, a Authorization, stored token.Record) error {
	if !stored.Access.IsZero() && !stored.UpdatedAt.Before(time.Unix(a.CreateTime, 0)) { // WeChat cuts off what is less than a second
		return nil
	}
	stored.Refresh = secret.Value{} // a former authorization's
	return r.recoverFromList(ctx, stored, r.Directory.List())
}

func (r *Renewer) recoverFromList(ctx context.Context, stored token.Record, list *authorizer.List) error {
	_, err := r.UpdateToken(ctx, stored, func(ctx context.Context, stored token.Record) (token.Record, error) {
		return r.refresh(ctx, stored, list)
	})
	return err
}

// IsRetryable reports whether an exchange that failed may work later. What an operator has to mend counts too.
func IsRetryable(err error) bool {
	var refusal *wechat.Error
	switch {
	case errors.Is(err, ErrNoRefreshToken), errors.Is(err, ErrOtherAccount):
		return false
	case errors.As(err, &refusal):
		return refusal.Known().Class != wechat.NotGranted && refusal.Known().Repeat != wechat.RepeatNever
	}
	return true
}

// PublishFailures publishes that tokens could not be renewed.
func (r *Renewer) PublishFailures(ctx context.Context, failures ...Failure) {
	var events []eventbus.Event
	for _, f := range failures {
		events = append(events, eventbus.Event{DetailType: eventbus.TokenRefreshFailed, Detail: struct {
			Failure
			Errmsg string `json:"errmsg"`
		}{f, f.Errmsg}})
	}
	if err := r.Bus.Publish(ctx, events...); err != nil {
		r.Log.WarnContext(ctx, "could not publish that token refreshes failed", "error", err.Error())
	}
}
