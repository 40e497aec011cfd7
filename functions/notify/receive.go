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

// postponing is how long before the end of an invocation the robots' time is over. What is left is for recording who took
// what, and for telling the queue what comes again.
const postponing = 5 * time.Second

// delivery is what becomes of the messages of one batch.
type delivery struct {
	order    []string           // the messages' ids
	events   map[string]Event   // by the message's id
	faults   map[string]error   // of messages that hold no event; they aren't worth a repeat
	failures map[string]failure // by the event's id
}

// failure says why an event's message comes again.
type failure struct {
	err   error
	after time.Duration // not before
}

// receive handles a batch of messages. Those in its answer come again.
func (h handler) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	working, cancel := endEarlier(ctx, postponing)
	defer cancel()
	d := read(batch)
	robots, err := h.robots.Get(working)
	switch {
	case awserror.Is(err, awserror.Unavailable):
		d.failures = allFailed(d.unique(), err)
	case err != nil: // until somebody mends the secret: the function's alarm has to go off
		return events.SQSEventResponse{}, err
	default:
		d.failures = h.dispatcher.dispatch(working, robots, d.unique())
	}
	return h.worker.Process(ctx, batch, 1, d.outcome), nil
}

// read reads the events of a batch.
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

// unique are the events of the batch, each once: a queue may hand a message out twice.
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

// outcome is what becomes of one message.
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

// delay is how long to leave a message alone: one, two, four minutes, then five each time. With the queue's 15 receives
// that makes an hour. All messages of a batch wait equally long, so that they become one message again.
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

// endEarlier is ctx, ended d before its deadline, or at half of the time where that is short.
func endEarlier(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/2)))
}

// errNotTaken is the error of a message; which robot failed and why is logged once for all.
var errNotTaken = errors.New("not every robot took its notice")

// wanted are the events that a robot is told of.
func wanted(r robot.Robot, all []Event) (some []Event) {
	for _, e := range all {
		if r.Wants(e.DetailType) {
			some = append(some, e)
		}
	}
	return some
}
