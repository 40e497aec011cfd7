package main

import (
	"context"
	"errors"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

const (
	maxBody = 64 << 10
	// pushTimeout limits storing a push: WeChat waits 5 seconds for the response.
	pushTimeout = 4 * time.Second
)

type handler struct {
	renewer   *renewal.Renewer
	receivers *receiverCache
	refused   *refusalLog
	queue     *authorizations // nil: codes are exchanged before WeChat is answered
}

func newHandler(renewer *renewal.Renewer, queue *authorizations) *handler {
	return &handler{
		renewer: renewer, queue: queue,
		receivers: &receiverCache{platform: renewer.Platform, now: renewer.Now},
		refused:   &refusalLog{log: renewer.Log, now: renewer.Now},
	}
}

func (h *handler) router() trigger.Router {
	routes := api.Routes{{Method: "POST", Path: "/wechat/callback", Handle: h.receive}}
	return trigger.Router{
		HTTP: func(ctx context.Context, event []byte) []byte { return routes.Serve(ctx, h.renewer.Log, event) },
	}
}

// receive answers POST /wechat/callback. The route is public, so refusing a request must be cheap, and refusals are
// logged at most once a minute.
func (h *handler) receive(ctx context.Context, r *api.Request) (*api.Response, error) {
	if len(r.Body) > maxBody {
		return nil, h.refused.note(ctx, fault.New(fault.TooLarge, "a push has at most 64 KiB"))
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	receiver, err := h.receivers.get(ctx)
	if err != nil {
		return nil, h.refused.note(ctx, &fault.Error{Cause: err, Meaning: meaning(err, h.renewer.Now())})
	}
	p, err := receiver.Open(r.Query, r.Body)
	switch {
	case errors.Is(err, push.ErrSignature):
		return nil, h.refused.note(ctx, fault.New(fault.BadSignature, err.Error()))
	case err != nil:
		return nil, fault.Invalid(err.Error())
	}
	if isAboutAccount(p) && !wechat.IsAppID(p.AuthorizerAppID) {
		return nil, fault.Invalid("AuthorizerAppid is not wx and 16 letters or digits")
	}
	if err := h.handle(ctx, p); err != nil {
		return nil, fault.New(fault.AWSUnavailable, "the push could not be stored: "+err.Error()).WithAction("WeChat sends it again.")
	}
	return &api.Response{Body: api.Text("success")}, nil
}

// meaning is the fault reported for an unusable platform secret. The caller may be a stranger, so it contains no
// details.
func meaning(err error, now time.Time) fault.Fault {
	if fault.Of(err, now).Kind == fault.Misconfigured {
		return fault.Fault{Kind: fault.Misconfigured, Detail: "the platform's settings can't be used", Action: "The bundle's operator: run the doctor."}
	}
	return fault.Fault{Kind: fault.AWSUnavailable, Detail: "the platform's settings can't be read now", Action: "WeChat sends it again."}
}

func isAboutAccount(p push.Push) bool { return p.IsAuthorization() || p.InfoType == push.Unauthorized }

// handle processes a push. An error means that the push isn't stored, so WeChat has to send it again.
func (h *handler) handle(ctx context.Context, p push.Push) error {
	if p.InfoType == push.ComponentVerifyTicket {
		return h.renewer.Tickets.Store(ctx, ticket.Ticket{Text: p.Ticket, CreateTime: p.CreateTime})
	}
	if err := h.renewer.Bus.Publish(ctx, eventbus.Received(p)); err != nil {
		return err
	}
	switch {
	case wechat.IsReleaseCheck(p.AuthorizerAppID): // a temporary account, nothing of which is stored
		return nil
	case p.IsAuthorization():
		return h.authorized(ctx, p)
	case p.InfoType == push.Unauthorized:
		return h.unauthorized(ctx, p)
	}
	h.renewer.Log.InfoContext(ctx, "a push was handed on", "info_type", string(p.InfoType))
	return nil
}

// authorized queues the authorization code, or exchanges it if there is no queue.
func (h *handler) authorized(ctx context.Context, p push.Push) error {
	a := renewal.Authorization{
		AppID: p.AuthorizerAppID, Code: p.AuthorizationCode, CreateTime: p.CreateTime, ExpiresAt: p.ExpiresAt,
	}
	if h.queue != nil {
		reading, cancel := context.WithTimeout(ctx, pushTimeout/4) // leaves time to queue the code if DynamoDB hangs
		account, err := h.renewer.Accounts.Get(reading, a.AppID)
		cancel()
		if err == nil && account.StatusAt >= a.CreateTime {
			return nil // out of date, or a repeat whose code was exchanged
		}
		return h.queue.send(ctx, a)
	}
	err := h.renewer.Exchange(ctx, a)
	if err != nil && !renewal.IsRetryable(err) { // WeChat sending it again would not help
		h.renewer.PublishAuthorizationEnd(ctx, a, err)
		return nil
	}
	return err
}

// unauthorized records and publishes the end of the account's authorization, after which its token is no longer
// refreshed.
func (h *handler) unauthorized(ctx context.Context, p push.Push) error {
	before, after, err := h.renewer.Accounts.Update(ctx, p.AuthorizerAppID, func(a *state.Account) {
		a.SetStatus(state.Unauthorized, p.CreateTime)
	})
	if err != nil || before.StatusAt > p.CreateTime {
		return err
	}
	return h.renewer.Bus.Publish(ctx, eventbus.AuthorizationEnded(after, p.CreateTime))
}
