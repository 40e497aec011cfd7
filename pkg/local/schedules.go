package main

import (
	"context"
	"fmt"
	"time"
)

// runSchedules runs each schedule once, in the order of the template, and then
// each at its own rate. The rates, and the pushes of WeChat's tickets, are speed
// times as fast as in AWS; the clock that tokens live by stays the real one, for
// the functions read it too.
func (l *local) runSchedules(ctx context.Context, speed float64) {
	if l.world.wechat != nil && l.serves(callbackRoute) {
		l.world.wechat.PushTo(l.url + callbackPath)
		l.background.Go(func() { l.world.wechat.PushTickets(ctx, faster(ticketPeriod, speed)) })
	}
	if l.managesTokens() {
		l.firstTokens(ctx)
	}
	for _, s := range l.bundle.Schedules {
		if s.Every > 0 {
			l.task(ctx, s.Function, []byte(s.Input))
		}
	}
	for _, s := range l.bundle.Schedules {
		if s.Every > 0 {
			l.background.Go(func() {
				for sleep(ctx, faster(s.Every, speed)) {
					l.task(ctx, s.Function, []byte(s.Input))
				}
			})
		}
	}
}

const (
	// ticketPeriod is how often WeChat pushes a ticket.
	ticketPeriod  = 10 * time.Minute
	callbackPath  = "/wechat/callback"
	callbackRoute = "POST " + callbackPath
)

// faster is a period at a speed; a second at least, lest a schedule laps itself.
func faster(period time.Duration, speed float64) time.Duration {
	return max(time.Duration(float64(period)/speed), time.Second)
}

// firstTokens brings the simulated WeChat to push a ticket, fetches the
// component's token with it, imports the accounts and fetches their tokens, as a
// new operator does. Without it the first drafts would be there when
// refresh-tokens ran twice.
func (l *local) firstTokens(ctx context.Context) {
	l.task(ctx, "tokens", []byte(`{"task": "refresh-tokens"}`)) // asks for a ticket
	for range 100 {
		for _, push := range l.world.wechat.Pushes() {
			if push.Accepted() {
				l.task(ctx, "tokens", []byte(`{"task": "refresh-tokens"}`))
				l.task(ctx, "tokens", []byte(`{"task": "import-accounts"}`))
				l.task(ctx, "tokens", []byte(`{"task": "refresh-tokens"}`)) // of the accounts, before the survey asks for them
				return
			}
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return
		}
	}
	l.say("wechat", "no ticket was accepted within %v", 5*time.Second)
}

// task invokes a function with what is no HTTP request, and says what came of it.
func (l *local) task(ctx context.Context, function string, event []byte) (payload []byte, err error) {
	result, err := l.fleet.invoke(ctx, function, event)
	if err == nil && result.Error {
		err = fmt.Errorf("%s", result.Payload)
	}
	if err != nil {
		if ctx.Err() == nil {
			l.say(function, "failed: %v", err)
		}
		return nil, err
	}
	return result.Payload, nil
}
