package renewal

import (
	"context"
	"errors"
	"fmt"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// ErrTicket says that there is no ticket that WeChat accepts, and WeChat was asked to push one.
var ErrTicket = errors.New("no ticket that WeChat accepts; asked it to push tickets")

// RenewComponent fetches a component token and stores it in place of previous.
func (r *Renewer) RenewComponent(ctx context.Context, previous token.Record) error {
	_, err := r.UpdateToken(ctx, previous, r.fetchComponent)
	return err
}

func (r *Renewer) fetchComponent(ctx context.Context, previous token.Record) (token.Record, error) {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return previous, err
	}
	newest, err := r.Tickets.Load(ctx)
	if errors.Is(err, ticket.ErrNone) {
		return previous, r.startPushes(ctx, p, err)
	}
	if err != nil {
		return previous, err
	}
	asked := r.Now()
	grant, err := r.WeChat.ComponentToken(ctx, p.Platform, newest.Text)
	var refusal *wechat.APIError
	if errors.As(err, &refusal) && refusal.Info().Retry == wechat.RetryWithNewTicket {
		return previous, r.startPushes(ctx, p, err)
	}
	if err != nil {
		return previous, err
	}
	return applyGrant(previous, grant, asked), nil
}

// startPushes asks WeChat to push tickets. It is harmless if WeChat already does.
func (r *Renewer) startPushes(ctx context.Context, p platform.Platform, cause error) error {
	if err := r.WeChat.StartPushTicket(ctx, p.Platform); err != nil {
		return fmt.Errorf("%w, and WeChat could not be asked for one: %w", cause, err)
	}
	return fmt.Errorf("%w: %w", ErrTicket, cause)
}

// RefreshComponentIfDue renews the component token under the lease if it is due, missing or malformed, unless its last
// fetch failed and a wait is active. previous is the record before the renewal.
func (r *Renewer) RefreshComponentIfDue(ctx context.Context, lease *Lease, attempts *Attempts, force bool) (renewed bool, previous token.Record, err error) {
	previous, due, err := r.componentDue(ctx)
	if due && lease.Acquire(ctx) {
		previous, due, err = r.componentDue(ctx)
	}
	if !due {
		return false, previous, err
	}
	err = attempts.Run(ctx, previous, attempts.Wait(ctx, token.Component), force, func() error { return r.RenewComponent(ctx, previous) })
	return err == nil, previous, err
}

func (r *Renewer) componentDue(ctx context.Context) (t token.Record, due bool, err error) {
	t, err = r.Read(ctx, token.Component)
	var malformed *awserror.MalformedError
	return t, errors.As(err, &malformed) || err == nil && r.IsDue(t), err
}
