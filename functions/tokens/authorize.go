package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"wechat-draftbox/pkg/awserror"
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
	err := h.Exchange(ctx, renewal.Authorization{
		AppID: message.AppID, Code: secret.New(message.Code), CreateTime: message.CreateTime,
	})
	if err == nil {
		return nil
	}
	if mayPass(err) {
		return &queue.Again{Err: err, After: retryAfter}
	}
	h.PublishFailure(ctx, renewal.FailureOf(message.AppID, err, h.Now()))
	return err
}

// mayPass reports whether an exchange that failed may work later. What an operator has to mend counts too: the
// message comes again until the queue gives it to its dead letters.
func mayPass(err error) bool {
	var refusal *wechat.Error
	var failure *wechat.Failure
	var aws *awserror.Error
	var malformed *awserror.Malformed
	switch {
	case errors.Is(err, renewal.ErrNoRefreshToken), errors.Is(err, renewal.ErrOtherAccount):
		return false
	case errors.As(err, &refusal):
		return refusal.Known().Class != wechat.NotGranted && refusal.Known().Repeat != wechat.RepeatNever
	}
	return errors.As(err, &failure) || errors.As(err, &aws) || errors.As(err, &malformed) ||
		errors.Is(err, context.DeadlineExceeded)
}
