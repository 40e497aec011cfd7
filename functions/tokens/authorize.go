package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/wechat"
)

const (
	parallelAuthorizations = 5
	// retryAfter is how soon an authorization is tried again: a code works for ten minutes only.
	retryAfter = 30 * time.Second
	// retryAfterQuota is for 45011, a quota by the minute.
	retryAfterQuota = time.Minute
)

// authorize exchanges the authorization code of one message of the queue.
func (h *handler) authorize(ctx context.Context, body string) error {
	var message struct {
		Task       string `json:"task"`
		AppID      string `json:"appid"`
		Code       string `json:"authorization_code"`
		CreateTime int64  `json:"create_time"`
	}
	if json.Unmarshal([]byte(body), &message) != nil || message.Task != "authorize" ||
		!settings.IsAppID(message.AppID) || message.Code == "" {
		return errors.New("the message is no authorization")
	}
	work, done, _ := splitDeadline(ctx)
	defer done()
	if err := h.refreshComponentAlone(work); err != nil { // a code doesn't live until the next refresh-tokens
		h.log().WarnContext(ctx, "the component token could not be renewed", "error", err.Error())
	}
	err := h.renewer.Exchange(work, renewal.Authorization{
		AppID: message.AppID, Code: secret.New(message.Code), CreateTime: message.CreateTime,
	})
	var refusal *wechat.Error
	switch {
	case err == nil:
		return nil
	case !renewal.IsRetryable(err):
		h.renewer.PublishFailures(ctx, renewal.FailureOf(message.AppID, err, h.renewer.Now()))
		return err
	case errors.As(err, &refusal) && refusal.Known().Class == wechat.MinuteQuota:
		return &queue.Again{Err: err, After: retryAfterQuota}
	}
	// Until the queue gives it to its dead letters: an operator may have to mend something.
	return &queue.Again{Err: err, After: retryAfter}
}

// refreshComponentAlone renews the component token if it is due, for a task that renews no other tokens under the lease.
func (h *handler) refreshComponentAlone(ctx context.Context) error {
	lease := h.renewer.Lease(renewal.TokenLeaseTimeout)
	defer lease.Release(ctx)
	_, _, err := h.renewer.RefreshComponentIfDue(ctx, lease)
	return err
}
