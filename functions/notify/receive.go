package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/robot"
)

// responseMargin is the time reserved at the end of an invocation for recording deliveries and setting the visibility of
// failed messages.
const responseMargin = 5 * time.Second

// delivery is one batch of messages, with the outcome of each.
type delivery struct {
	order    []string           // the messages' ids
	events   map[string]Event   // by the message's id
	faults   map[string]error   // by the message's id, of messages that are no event; not retried
	failures map[string]failure // by the event's id
}

// failure says why an event is to be delivered again.
type failure struct {
	err   error
	after time.Duration // the robot's own minimum; 0 if it gave none
}

// receive handles a batch of messages and returns those to be received again.
func (h handler) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	work, cancel := endEarlier(ctx, responseMargin)
	defer cancel()
	d := read(batch)
	robots, err := h.robots.Get(work)
	switch {
	case awserror.Is(err, awserror.Unavailable):
		d.failures = allFailed(d.unique(), err)
	case err != nil: // fail the invocation, so that the alarm fires until the secret is corrected
		return events.SQSEventResponse{}, err
	default:
		d.failures = h.dispatcher.dispatch(work, robots, d.unique())
	}
	return h.worker.Process(ctx, batch, 1, d.outcome), nil
}

// read parses the events of a batch.
func read(batch events.SQSEvent) delivery {
	d := delivery{events: make(map[string]Event), faults: make(map[string]error)}
	for _, m := range batch.Records {
		d.order = append(d.order, m.MessageId)
		event, err := Parse(m.Body)
		if err != nil {
			d.faults[m.MessageId] = err
			continue
		}
		d.events[m.MessageId] = event
	}
	return d
}

// unique returns the batch's events without duplicates, which SQS may deliver.
func (d delivery) unique() (all []Event) {
	seen := make(map[string]bool)
	for _, m := range d.order {
		if e, ok := d.events[m]; ok && !seen[e.ID] {
			seen[e.ID] = true
			all = append(all, e)
		}
	}
	return all
}

// outcome returns the error of one message, or nil if it is done.
func (d delivery) outcome(_ context.Context, m events.SQSMessage) error {
	if err := d.faults[m.MessageId]; err != nil {
		return err
	}
	failed, ok := d.failures[d.events[m.MessageId].ID]
	if !ok {
		return nil
	}
	after := (failed.after + time.Second - 1).Truncate(time.Second) // the queue counts whole seconds
	return &queue.RetryError{Err: failed.err, After: max(after, delay(m))}
}

// delay is the visibility timeout of a failed message: 1, 2, 4, then 5 minutes each time, about an hour for the queue's
// 15 receives. All messages of a batch get the same delay, so that they are combined into one message again.
func delay(m events.SQSMessage) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	const longest = 5 * time.Minute
	if received > 3 {
		return longest
	}
	return time.Minute << (max(received, 1) - 1)
}

func allFailed(all []Event, err error) map[string]failure {
	failures := make(map[string]failure)
	for _, e := range all {
		failures[e.ID] = failure{err: err}
	}
	return failures
}

// endEarlier returns ctx with a deadline that is earlier by d, or by half of the remaining time if that is less.
func endEarlier(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/2)))
}

// errNotTaken is the error of each message; the robot's failure is logged once for all of them.
var errNotTaken = errors.New("not every robot took its notice")

// subscribed returns the events that a robot subscribes to.
func subscribed(r robot.Robot, all []Event) (some []Event) {
	for _, e := range all {
		if r.Wants(e.DetailType) {
			some = append(some, e)
		}
	}
	return some
}
