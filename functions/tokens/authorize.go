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
	work, done, _ := span(ctx)
	defer done()
	turn := h.Turn(littlePatience)
	_, _, err := h.KeepComponent(work, turn) // a code doesn't live until the next refresh-tokens
	turn.End()
	if err != nil {
		h.Log.WarnContext(ctx, "the component token could not be renewed", "error", err.Error())
	}
	err = h.Exchange(work, renewal.Authorization{
		AppID: message.AppID, Code: secret.New(message.Code), CreateTime: message.CreateTime,
	})
	var refusal *wechat.Error
	switch {
	case err == nil:
		return nil
	case !renewal.MayPass(err):
		h.PublishFailures(ctx, renewal.FailureOf(message.AppID, err, h.Now()))
		return err
	case errors.As(err, &refusal) && refusal.Known().Class == wechat.MinuteQuota:
		return &queue.Again{Err: err, After: retryAfterQuota}
	}
	// Until the queue gives it to its dead letters: an operator may have to mend something.
	return &queue.Again{Err: err, After: retryAfter}
}
