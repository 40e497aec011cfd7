package renewal

import (
	"context"
	"errors"
	"time"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// RenewAccount renews an account's token, whichever kind of account it is. rejected is the token that WeChat refused, or
// empty.
func (r *Renewer) RenewAccount(ctx context.Context, previous token.Record, list *platform.List, rejected secret.Value) (changed bool, err error) {
	if previous.IsOwnAccount() {
		return r.renewOwn(ctx, previous, rejected)
	}
	return true, r.renewAuthorizer(ctx, previous, list)
}

// renewOwn fetches the token of an own account. WeChat returns the same one until shortly before its expiry. A new one is
// forced if WeChat returns the rejected token, or the previous one shortly before its expiry.
func (r *Renewer) renewOwn(ctx context.Context, previous token.Record, rejected secret.Value) (changed bool, err error) {
	return r.UpdateToken(ctx, previous, func(ctx context.Context, previous token.Record) (token.Record, error) {
		asked := r.Now()
		grant, err := r.WeChat.StableToken(ctx, previous.Owner, previous.AppSecret, false)
		if err == nil && (grant.Access.Equal(rejected) || grant.Access.Equal(previous.Access) && grant.ExpiresIn <= forceWindow) {
			asked = r.Now()
			grant, err = r.WeChat.StableToken(ctx, previous.Owner, previous.AppSecret, true)
		}
		if err != nil {
			return previous, err
		}
		return applyGrant(previous, grant, asked), nil
	})
}

// ErrNoRefreshToken says that neither the store nor WeChat's list has a valid refresh token for the account.
var ErrNoRefreshToken = errors.New("the account has no refresh token that works, and WeChat's list of authorizers has no other")

// NoRefreshTokenError is [ErrNoRefreshToken] with WeChat's refusal of the stored refresh token, if there was one.
type NoRefreshTokenError struct{ Refused error }

func (e *NoRefreshTokenError) Error() string { return ErrNoRefreshToken.Error() }

// Is makes it an [ErrNoRefreshToken].
func (e *NoRefreshTokenError) Is(target error) bool { return target == ErrNoRefreshToken }

// Unwrap is WeChat's refusal.
func (e *NoRefreshTokenError) Unwrap() error { return e.Refused }

// renewAuthorizer fetches the token of an account that authorised the platform. If its refresh token is missing or refused,
// the one in list is tried once. If WeChat confirms that the authorization ended, that is published and recorded.
func (r *Renewer) renewAuthorizer(ctx context.Context, previous token.Record, list *platform.List) error {
	asked := r.Now()
	_, err := r.UpdateToken(ctx, previous, func(ctx context.Context, previous token.Record) (token.Record, error) {
		return r.refresh(ctx, previous, list)
	})
	if !isRefused(err, platform.CodeEnded) {
		return err
	}
	ended, confirmErr := r.Directory.HasEnded(ctx, previous.Owner)
	if ended {
		confirmErr = r.endAuthorization(ctx, previous.Owner, asked)
	}
	return errors.Join(err, confirmErr)
}

// refresh fetches an authorizer's token with the stored refresh token, or else with the one in list.
func (r *Renewer) refresh(ctx context.Context, previous token.Record, list *platform.List) (token.Record, error) {
	var refused error
	if !previous.Refresh.IsZero() {
		next, err := r.refreshWith(ctx, previous, previous.Refresh)
		if !isRefused(err, codeRefreshToken) {
			return next, err
		}
		refused = err
	}
	listed, err := list.RefreshToken(ctx, previous.Owner)
	if err != nil {
		return previous, err
	}
	if listed.IsZero() || refused != nil && listed.Equal(previous.Refresh) {
		return previous, &NoRefreshTokenError{Refused: refused}
	}
	next, err := r.refreshWith(ctx, previous, listed)
	if isRefused(err, codeRefreshToken) {
		return previous, &NoRefreshTokenError{Refused: err}
	}
	return next, err
}

const codeRefreshToken = 61023 // the refresh token is not valid

func isRefused(err error, code int) bool {
	var refusal *wechat.APIError
	return errors.As(err, &refusal) && refusal.Code == code
}

func (r *Renewer) refreshWith(ctx context.Context, previous token.Record, refresh secret.Value) (token.Record, error) {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return previous, err
	}
	asked := r.Now()
	grant, err := token.Call(ctx, r.Tokens, token.Component, func(ctx context.Context, component secret.Value) (wechat.Grant, error) {
		asked = r.Now()
		return r.WeChat.AuthorizerToken(ctx, component, p.AppID, previous.Owner, refresh)
	})
	if err != nil {
		return previous, err
	}
	previous.Refresh = refresh
	return applyGrant(previous, grant, asked), nil
}

// endAuthorization publishes and records that the authorization has ended, so that the account isn't refreshed any more.
// asked is when WeChat was asked.
func (r *Renewer) endAuthorization(ctx context.Context, appID string, asked time.Time) error {
	end := func(a *state.Account) { a.EndAuthorization(asked) }
	before, err := r.Accounts.Get(ctx, appID)
	if err != nil {
		return err
	}
	after := before
	end(&after)
	if err := r.Bus.Publish(ctx, eventbus.AccountChanges(before, after)...); err != nil {
		return err
	}
	_, _, err = r.Accounts.Write(ctx, before, end)
	return err
}

// Reauthorize publishes and records that an account recorded as unauthorized works again. StatusAt stays, since that is the
// time of the last push.
func (r *Renewer) Reauthorize(ctx context.Context, account state.Account) error {
	if err := r.Bus.Publish(ctx, eventbus.Reauthorized(account)); err != nil {
		return err
	}
	_, _, err := r.Accounts.Write(ctx, account, func(a *state.Account) {
		if a.StatusAt == account.StatusAt { // else a push came meanwhile
			a.Status = state.Authorized
		}
	})
	return err
}
