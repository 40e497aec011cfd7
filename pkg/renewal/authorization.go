package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	Code       secret.Value // works once; empty: the push had no readable one
	CreateTime int64        // Unix seconds
	ExpiresAt  int64        // of the code, in Unix seconds; 0: not known
}

// codeLifetime is a code's lifetime if the push doesn't say.
const codeLifetime = time.Hour

// CodeEnds is when the code expires.
func (a Authorization) CodeEnds() time.Time {
	if a.ExpiresAt != 0 {
		return time.Unix(a.ExpiresAt, 0)
	}
	return time.Unix(a.CreateTime, 0).Add(codeLifetime)
}

// HasCode reports whether the code may still work.
func (a Authorization) HasCode(now time.Time) bool {
	return !a.Code.IsZero() && now.Round(0).Before(a.CodeEnds())
}

// ErrOtherAccount says that WeChat returned another account's tokens for the code.
var ErrOtherAccount = errors.New("the authorization code is another account's")

// Exchange exchanges an authorization code for the account's tokens, stores them, records that the account is
// authorized, and publishes that. It can be retried after any error and for a repeated push, also if the code
// was used already. [ErrNoRefreshToken] is final: the account has to authorise again.
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
	if err := r.Bus.Publish(ctx, eventbus.Authorized(after, a.CreateTime)); err != nil {
		return err
	}
	r.Attempts().End(ctx, a.AppID)
	return nil
}

// isOutdated reports whether the account's status is from a newer push, or one of the same second that takes precedence.
func isOutdated(account state.Account, a Authorization) bool {
	return account.StatusAt > a.CreateTime || account.StatusAt == a.CreateTime && account.Status == state.Unauthorized
}

func (r *Renewer) exchange(ctx context.Context, a Authorization) error {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return err
	}
	stored, err := r.Read(ctx, a.AppID)
	var malformed *awserror.MalformedError
	if err != nil && !errors.As(err, &malformed) { // a record that can't be read is replaced
		return err
	}
	if !a.HasCode(r.Now()) {
		return r.recover(ctx, a, stored)
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
	if r.isIgnored(ctx, a.AppID) {
		return nil
	}
	granted, list := false, r.Directory.List()
	_, err = r.UpdateToken(ctx, stored, func(ctx context.Context, stored token.Record) (token.Record, error) {
		if !granted {
			granted = true
			return applyGrant(stored, got.grant, asked), nil
		}
		// A token of the former authorization was stored concurrently. This one's refresh token is newer.
		stored.Refresh = got.grant.Refresh
		return r.refresh(ctx, stored, list)
	})
	return err
}

func isUsedCode(err error) bool {
	return isRefused(err, 61009) || isRefused(err, 61010) || isRefused(err, 42003)
}

// recover handles a code that doesn't work any more: the authorization's tokens may be stored already, or they are fetched
// with the refresh token in WeChat's list.
func (r *Renewer) recover(ctx context.Context, a Authorization, stored token.Record) error {
	if !stored.Access.IsZero() && !stored.UpdatedAt.Before(time.Unix(a.CreateTime, 0)) { // CreateTime is truncated to seconds
		return nil
	}
	if r.isIgnored(ctx, a.AppID) {
		return nil
	}
	stored.Refresh = secret.Value{} // a former authorization's
	list := r.Directory.List()
	_, err := r.UpdateToken(ctx, stored, func(ctx context.Context, stored token.Record) (token.Record, error) {
		return r.refresh(ctx, stored, list)
	})
	return err
}

// isIgnored reports whether an account is a mini program whose tokens are not to be stored. WeChat tells its kind only after
// the code was exchanged. An account of unknown kind counts as an Official Account.
func (r *Renewer) isIgnored(ctx context.Context, appID string) bool {
	if !r.IgnoreMiniPrograms {
		return false
	}
	info, err := r.Directory.Info(ctx, appID)
	return err == nil && info.Kind == wechat.MiniProgram
}

// PublishAuthorizationFailure publishes that an authorization failed, once for each authorization.
func (r *Renewer) PublishAuthorizationFailure(ctx context.Context, a Authorization, err error) {
	noteCtx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	first, noteErr := r.State.NoteAuthorizationFailure(noteCtx, a.AppID, a.CreateTime)
	if noteErr != nil {
		r.Log.WarnContext(ctx, "could not note that an authorization's failure was published", "appid", a.AppID, "error", noteErr.Error())
	}
	if first || noteErr != nil {
		r.publish(ctx, FailureOf(a.AppID, err, r.Now()))
	}
}

// PublishAuthorizationEnd publishes that an authorization failed for good: the account has to authorise again.
func (r *Renewer) PublishAuthorizationEnd(ctx context.Context, a Authorization, err error) {
	f := FailureOf(a.AppID, err, r.Now())
	f.Action = reauthorizeAction(a.AppID)
	r.publish(ctx, f)
}

// IsRetryable reports whether a failed exchange may succeed later, be it after an operator has fixed the cause.
func IsRetryable(err error) bool {
	var refusal *wechat.APIError
	switch {
	case errors.Is(err, ErrNoRefreshToken), errors.Is(err, ErrOtherAccount):
		return false
	case errors.As(err, &refusal):
		return refusal.Info().Class != wechat.NotGranted && refusal.Info().Retry != wechat.RetryNever
	}
	return true
}
