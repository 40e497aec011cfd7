package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Authorization is an account's authorisation of the platform, as WeChat pushed it.
type Authorization struct {
	AppID      string
	Code       secret.Value // works once
	CreateTime int64        // Unix seconds
}

// ErrOtherAccount is the error where WeChat gives another account's tokens for a code.
var ErrOtherAccount = errors.New("the authorization code is another account's")

// Exchange exchanges an authorization code for the account's tokens, stores them, records that the account is
// authorised, and publishes that. It may be called again after any error, and for a push that came twice: a code that
// was used already is not the end. [ErrNoRefreshToken] is: the account has to authorise again.
func (r *Renewer) Exchange(ctx context.Context, a Authorization) error {
	record, err := r.Records.Get(ctx, a.AppID)
	if err != nil && !awserror.Is(err, awserror.Missing) {
		return err
	}
	if record.StatusAt > a.CreateTime { // a newer push said something else
		return nil
	}
	if err := r.exchange(ctx, a); err != nil {
		return err
	}
	before, _, err := r.Records.Update(ctx, a.AppID, func(record *account.Record) {
		if record.StatusAt <= a.CreateTime {
			record.Status, record.StatusAt = account.Authorized, a.CreateTime
		}
	})
	if err != nil || before.StatusAt > a.CreateTime {
		return err
	}
	return r.Bus.Publish(ctx, before.Authorized(a.CreateTime))
}

func (r *Renewer) exchange(ctx context.Context, a Authorization) error {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return err
	}
	entry, stored, err := r.Read(ctx, a.AppID)
	var malformed *awserror.Malformed
	if err != nil && !errors.As(err, &malformed) { // what can't be read gives way to what WeChat gives
		return err
	}
	type answer struct {
		appID string
		grant wechat.Grant
	}
	began := r.Now()
	got, err := token.Call(ctx, r.Tokens, token.Component, func(ctx context.Context, component secret.Value) (answer, error) {
		began = r.Now()
		appID, grant, err := r.WeChat.QueryAuth(ctx, component, p.AppID, a.Code)
		return answer{appID, grant}, err
	})
	if isUsedCode(err) {
		return r.recover(ctx, a, entry, stored)
	}
	if err != nil {
		return err
	}
	if got.appID != a.AppID {
		return fmt.Errorf("exchange the code of %s: %w", a.AppID, ErrOtherAccount)
	}

	exchanged, list := false, r.Authorizers()
	_, err = r.Keep(ctx, a.AppID, entry, stored, func(ctx context.Context, stored token.Stored) (token.Stored, error) {
		if !exchanged {
			exchanged = true
			return r.taken(stored, got.grant, began), nil
		}
		// Somebody stored a token of the former authorisation meanwhile. This one's refresh token is the newer.
		stored.Refresh = got.grant.Refresh
		return r.refresh(ctx, a.AppID, stored, list)
	})
	return err
}

func isUsedCode(err error) bool {
	return refused(err, 61009) || refused(err, 61010) || refused(err, 42003)
}

// recover is for a code that doesn't work any more: this authorisation's tokens may be stored already, or they come
// with the refresh token that WeChat's list has.
func (r *Renewer) recover(ctx context.Context, a Authorization, entry token.Entry, stored token.Stored) error {
	if !stored.Access.IsZero() && !entry.Since.Before(time.Unix(a.CreateTime, 0)) { // WeChat cuts off what is less than a second
		return nil
	}
	stored.Refresh = secret.Value{} // a former authorisation's
	list := r.Authorizers()
	_, err := r.Keep(ctx, a.AppID, entry, stored, func(ctx context.Context, stored token.Stored) (token.Stored, error) {
		return r.refresh(ctx, a.AppID, stored, list)
	})
	return err
}

// MayPass reports whether an exchange that failed may work later. What an operator has to mend counts too.
func MayPass(err error) bool {
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
