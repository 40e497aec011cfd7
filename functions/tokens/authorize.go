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
	// minAuthorizeDelay and maxAuthorizeDelay bound the backoff between attempts of an authorization.
	minAuthorizeDelay = 30 * time.Second
	maxAuthorizeDelay = 5 * time.Minute
	// exchangeTimeout limits one attempt, which normally takes seconds.
	exchangeTimeout = time.Minute
)

// authorize exchanges the authorization code of one queue message. A retryable failure is retried until the code
// expires. After that the tokens come from WeChat's list of authorizers, or the account has to authorize again.
func (h *handler) authorize(ctx context.Context, m events.SQSMessage) error {
	a, err := readAuthorization(m.Body)
	if err != nil {
		return err
	}
	work, done, _ := splitDeadline(ctx)
	defer done()
	work, cancel := context.WithTimeout(work, exchangeTimeout)
	defer cancel()
	if err := h.refreshComponentAlone(work, false); err != nil { // the code may expire before the next refresh-tokens
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

// authorizeDelay is the visibility timeout of a failed message: exponential, and at least a minute after a per-minute
// quota.
func authorizeDelay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	delay := min(minAuthorizeDelay<<min(max(received-1, 0), 10), maxAuthorizeDelay)
	var refusal *wechat.APIError
	if errors.As(err, &refusal) && refusal.Info().Class == wechat.MinuteQuota {
		delay = max(delay, time.Minute)
	}
	return delay
}

// refreshComponentAlone refreshes the component token if it is due, under a lease of its own.
func (h *handler) refreshComponentAlone(ctx context.Context, force bool) error {
	lease := h.renewer.Lease(renewal.TokenLeaseTimeout)
	defer lease.Release(ctx)
	_, _, err := h.renewer.RefreshComponentIfDue(ctx, lease, h.renewer.Attempts(), force)
	return err
}
