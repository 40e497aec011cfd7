package main

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

const (
	parallelAuthorizations = 5
	// minAuthorizeDelay and maxAuthorizeDelay bound the growing waits between the attempts of an authorization.
	minAuthorizeDelay = 30 * time.Second
	maxAuthorizeDelay = 5 * time.Minute
	// exchangeTimeout is how long one attempt may take. It takes seconds, unless somebody is silent; then a later one helps.
	exchangeTimeout = time.Minute
)

// authorize exchanges the authorization code of one message of the queue. An attempt that failed for what may pass comes again
// until the code ends. Then the account's tokens come from WeChat's list of authorizers, or the account has to authorise
// again.
func (h *handler) authorize(ctx context.Context, m events.SQSMessage) error {
	a, err := readAuthorization(m.Body)
	if err != nil {
		return err
	}
	work, done, _ := splitDeadline(ctx)
	defer done()
	work, cancel := context.WithTimeout(work, exchangeTimeout)
	defer cancel()
	if err := h.refreshComponentAlone(work, false); err != nil { // a code doesn't live until the next refresh-tokens
		h.log().WarnContext(ctx, "the component token could not be renewed", "error", err.Error())
	}
	last := !a.HasCode(h.renewer.Now())
	err = h.renewer.Exchange(work, a)
	switch {
	case err == nil:
		return nil
	case last && a.CodeEnds().Before(h.renewer.Now()) || !renewal.IsRetryable(err):
		h.renewer.PublishAuthorizationEnd(ctx, a, err)
		return err
	}
	h.renewer.PublishAuthorizationFailure(ctx, a, err)
	return &queue.RetryError{Err: err, After: authorizeDelay(m, err)}
}

func readAuthorization(body string) (renewal.Authorization, error) {
	var message struct {
		Task       string `json:"task"`
		AppID      string `json:"appid"`
		Code       string `json:"authorization_code"`
		CreateTime int64  `json:"create_time"`
		ExpiresAt  int64  `json:"expires_at"`
	}
	if json.Unmarshal([]byte(body), &message) != nil || message.Task != "authorize" || !wechat.IsAppID(message.AppID) {
		return renewal.Authorization{}, errors.New("the message is no authorization")
	}
	return renewal.Authorization{
		AppID: message.AppID, Code: secret.New(message.Code), CreateTime: message.CreateTime, ExpiresAt: message.ExpiresAt,
	}, nil
}

// authorizeDelay is how long to leave a message alone: longer each time it comes, and at least a minute for a quota by the
// minute.
func authorizeDelay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	delay := min(minAuthorizeDelay<<min(max(received-1, 0), 10), maxAuthorizeDelay)
	var refusal *wechat.APIError
	if errors.As(err, &refusal) && refusal.Info().Class == wechat.MinuteQuota {
		delay = max(delay, time.Minute)
	}
	return delay
}

// refreshComponentAlone renews the component token if it is due, for a task that renews no other tokens under the lease.
func (h *handler) refreshComponentAlone(ctx context.Context, force bool) error {
	lease := h.renewer.Lease(renewal.TokenLeaseTimeout)
	defer lease.Release(ctx)
	_, _, err := h.renewer.RefreshComponentIfDue(ctx, lease, h.renewer.Attempts(), force)
	return err
}
