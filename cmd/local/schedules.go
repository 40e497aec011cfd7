package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

// runSchedules runs each schedule at its own rate. Schedules and ticket pushes run speed times as fast as in AWS;
// token lifetimes follow the real clock, which the functions read too.
func (l *local) runSchedules(ctx context.Context, speed float64) {
	for _, s := range l.schedules() {
		if s.Every > 0 {
			l.background.Go(func() {
				for sleep(ctx, faster(s.Every, speed)) {
					l.task(ctx, s.Function, []byte(s.Input))
				}
			})
		}
	}
}

// schedules returns those to run. With the real AWS they are off unless the options ask for them.
func (l *local) schedules() []schedule {
	if l.options.realAWS && !l.options.schedules {
		return nil
	}
	return l.bundle.Schedules
}

const (
	// ticketPeriod is how often WeChat pushes a ticket.
	ticketPeriod  = 10 * time.Minute
	callbackPath  = "/wechat/callback"
	callbackRoute = "POST " + callbackPath
)

// faster divides a period by speed, with a minimum of one second so that runs of a schedule don't overlap.
func faster(period time.Duration, speed float64) time.Duration {
	return max(time.Duration(float64(period)/speed), time.Second)
}

// warmUp does at once what happens gradually in AWS: it fetches the tokens, runs each schedule, and waits until the
// queues are empty. The API then has all its data.
func (l *local) warmUp(ctx context.Context) error {
	if l.world.wechat != nil && l.serves(callbackRoute) {
		l.world.wechat.PushTo(l.url + callbackPath)
		l.world.wechat.StartPushing()
		l.background.Go(func() { l.world.wechat.PushTickets(ctx, faster(ticketPeriod, l.options.speed)) })
	}
	waiting, cancel := context.WithTimeout(ctx, l.options.readyTimeout)
	defer cancel()
	if l.managesTokens() {
		l.say("local", "waiting for WeChat's first ticket and the tokens that it brings")
		if err := l.firstTokens(waiting); err != nil {
			return err
		}
	}
	var failed error
	for _, s := range l.schedules() {
		if s.Every == 0 {
			continue
		}
		if _, err := l.task(waiting, s.Function, []byte(s.Input)); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s failed with %s", s.Function, s.Input))
		}
	}
	return errors.Join(failed, l.emptyQueues(waiting))
}

// firstTokens waits for the simulated WeChat's first ticket, fetches the component's token, imports the accounts and
// fetches their tokens, as a new operator does. The schedules need these tokens.
func (l *local) firstTokens(ctx context.Context) error {
	for !slices.ContainsFunc(l.world.wechat.Pushes(), wechattest.Push.Accepted) || !l.refresh(ctx) {
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("within %v no ticket came, or WeChat gave no token for it: see the lines of callback and tokens", l.options.readyTimeout)
		}
	}
	l.task(ctx, "tokens", []byte(`{"task": "import-accounts"}`))
	l.refresh(ctx) // of the accounts
	return nil
}

// refresh runs refresh-tokens and reports whether the platform has a token.
func (l *local) refresh(ctx context.Context) bool {
	payload, err := l.task(ctx, "tokens", []byte(`{"task": "refresh-tokens"}`))
	var result struct {
		Failures []struct {
			AppID string `json:"appid"` // empty: the platform's own token
		} `json:"failures"`
	}
	if err != nil || json.Unmarshal(payload, &result) != nil {
		return false
	}
	for _, failure := range result.Failures {
		if failure.AppID == "" {
			return false
		}
	}
	return true
}

// emptyQueues waits until the functions have processed all queued messages.
func (l *local) emptyQueues(ctx context.Context) error {
	if l.world.aws == nil {
		return nil
	}
	for _, s := range l.bundle.Sources {
		if s.Window > 0 {
			continue // messages waiting to be batched are about data that is already there
		}
		for len(l.world.aws.Messages(l.world.queueURL(s.Queue))) > 0 {
			if !sleep(ctx, 20*time.Millisecond) {
				return fmt.Errorf("within %v the queue %s did not get empty: see the lines of %s", l.options.readyTimeout, s.Queue, s.Function)
			}
		}
	}
	return nil
}

// task invokes a function with an event that is not an HTTP request, and logs the result.
func (l *local) task(ctx context.Context, function string, event []byte) (payload []byte, err error) {
	payload, err = l.fleet.answer(ctx, function, event)
	if err != nil {
		if ctx.Err() == nil {
			l.say(function, "failed: %v", err)
		}
		return nil, err
	}
	return payload, nil
}
