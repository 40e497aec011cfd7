package main

import (
	"context"
	"errors"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/trigger"
)

const (
	largestBody = 64 << 10
	// longest is how long a push may take to be stored: WeChat waits 5 seconds for the answer.
	longest = 4 * time.Second
)

type handler struct {
	renewer *renewal.Renewer
	queue   *authorizations // nil: codes are exchanged before WeChat is answered
}

func (h *handler) router() trigger.Router {
	routes := api.Routes{{Method: "POST", Path: "/wechat/callback", Handle: h.receive}}
	return trigger.Router{
		HTTP: func(ctx context.Context, event []byte) []byte { return routes.Serve(ctx, h.renewer.Log, event) },
	}
}

// receive answers POST /wechat/callback.
func (h *handler) receive(ctx context.Context, r *api.Request) (*api.Response, error) {
	if len(r.Body) > largestBody {
		return nil, fault.New(fault.TooLarge, "a push has at most 64 KiB")
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	p, err := h.renewer.Platform.Get(ctx)
	if err != nil {
		return nil, err
	}
	receiver, err := push.NewReceiver(p.AppID, p.MessageToken, p.EncodingAESKey, p.PreviousAESKey)
	if err != nil {
		return nil, &awserror.Malformed{Resource: "the platform's secret", Detail: err.Error()}
	}
	pushed, err := receiver.Open(r.Query, r.Body)
	switch {
	case errors.Is(err, push.ErrSignature):
		return nil, fault.New(fault.BadSignature, err.Error())
	case err != nil:
		return nil, fault.Invalid(err.Error())
	}
	if err := h.take(ctx, pushed); err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Text("success")}, nil
}

// take does what a push asks for, in the time that there is. An error says that it isn't stored, so that WeChat sends it again.
func (h *handler) take(ctx context.Context, p push.Push) error {
	var err error
	switch p.InfoType {
	case push.ComponentVerifyTicket:
		err = h.renewer.Tickets.Store(ctx, ticket.Ticket{Text: p.Ticket, CreateTime: p.CreateTime})
	case push.Authorized, push.UpdateAuthorized, push.Unauthorized:
		if !settings.IsAppID(p.AuthorizerAppID) {
			return fault.Invalid("AuthorizerAppid is not wx and 16 letters or digits")
		}
		if p.InfoType == push.Unauthorized {
			err = h.unauthorized(ctx, p)
		} else {
			err = h.authorized(ctx, p)
		}
	default:
		h.renewer.Log.InfoContext(ctx, "a push of a kind that nothing is done about", "info_type", string(p.InfoType))
	}
	if err != nil {
		return fault.New(fault.AWSUnavailable, "the push could not be stored: "+err.Error()).WithAction("WeChat sends it again.")
	}
	return nil
}

// authorized hands the authorization code on, or exchanges it.
func (h *handler) authorized(ctx context.Context, p push.Push) error {
	a := renewal.Authorization{AppID: p.AuthorizerAppID, Code: p.AuthorizationCode, CreateTime: p.CreateTime}
	if h.queue != nil {
		reading, cancel := context.WithTimeout(ctx, longest/4) // the rest is for the code, whatever DynamoDB does
		account, err := h.renewer.Accounts.Get(reading, a.AppID)
		cancel()
		if err == nil && account.StatusAt >= a.CreateTime {
			return nil // a newer push said something else, or this one came before and its code was exchanged
		}
		return h.queue.send(ctx, a)
	}
	err := h.renewer.Exchange(ctx, a)
	if err != nil && !renewal.IsRetryable(err) { // the same push would not help
		h.renewer.PublishFailures(ctx, renewal.FailureOf(a.AppID, err, h.renewer.Now()))
		return nil
	}
	return err
}

// unauthorized records that the account's authorization ended, which ends its refreshes, and publishes it.
func (h *handler) unauthorized(ctx context.Context, p push.Push) error {
	before, after, err := h.renewer.Accounts.Update(ctx, p.AuthorizerAppID, func(a *state.Account) {
		a.SetStatus(state.Unauthorized, p.CreateTime)
	})
	if err != nil || before.StatusAt > p.CreateTime {
		return err
	}
	return h.renewer.Bus.Publish(ctx, eventbus.AuthorizationEnded(after, p.CreateTime))
}
