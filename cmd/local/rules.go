package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/standin/awstest"
)

// deliver sends an event from the bus to the functions and queues whose rules match.
func (l *local) deliver(ctx context.Context, accepted awstest.Event) {
	l.say("event", "%s %s", accepted.DetailType, accepted.Detail)
	envelope, err := json.Marshal(events.EventBridgeEvent{
		Version:    "0",
		ID:         accepted.ID,
		DetailType: accepted.DetailType,
		Source:     accepted.Source,
		AccountID:  account,
		Time:       accepted.Time.UTC(),
		Region:     region,
		Resources:  append([]string{}, accepted.Resources...),
		Detail:     accepted.Detail,
	})
	if err != nil {
		l.say("event", "%s can't be delivered: %v", accepted.DetailType, err)
		return
	}
	var event map[string]any
	if err := json.Unmarshal(envelope, &event); err != nil {
		return
	}
	for _, r := range l.bundle.Rules {
		switch {
		case !matches(r.Pattern, event):
		case r.Queue != "":
			l.background.Go(func() { l.enqueue(ctx, r.Queue, envelope) })
		default:
			l.background.Go(func() { l.task(ctx, r.Function, envelope) })
		}
	}
}

// enqueue sends an event's envelope to a queue.
func (l *local) enqueue(ctx context.Context, queue string, envelope []byte) {
	_, err := l.world.sqs().SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(l.world.queueURL(queue)), MessageBody: aws.String(string(envelope)),
	})
	if err != nil && ctx.Err() == nil {
		l.say("event", "can't be put into %s: %v", queue, err)
	}
}

// matches reports whether the event has, for each key of the pattern, one of its values.
func matches(pattern, event map[string]any) bool {
	for key, wanted := range pattern {
		switch wanted := wanted.(type) {
		case map[string]any:
			inner, ok := event[key].(map[string]any)
			if !ok || !matches(wanted, inner) {
				return false
			}
		case []any:
			if !slices.ContainsFunc(wanted, func(w any) bool { return matchesValue(w, event[key]) }) {
				return false
			}
		}
	}
	return true
}

func matchesValue(wanted, value any) bool {
	if values, ok := value.([]any); ok {
		return slices.ContainsFunc(values, func(v any) bool { return matchesValue(wanted, v) })
	}
	if filter, ok := wanted.(map[string]any); ok {
		text, isText := value.(string)
		return isText && strings.HasPrefix(text, filter["prefix"].(string))
	}
	return fmt.Sprint(wanted) == fmt.Sprint(value)
}

// checkPattern rejects patterns that matches doesn't support: for each key it takes a list of values or of {"prefix":
// "…"}.
func checkPattern(pattern map[string]any) error {
	if len(pattern) == 0 {
		return fmt.Errorf("a rule needs a pattern")
	}
	for key, wanted := range pattern {
		switch wanted := wanted.(type) {
		case map[string]any:
			if err := checkPattern(wanted); err != nil {
				return err
			}
		case []any:
			for _, w := range wanted {
				filter, ok := w.(map[string]any)
				if !ok {
					continue
				}
				if _, prefix := filter["prefix"].(string); !prefix || len(filter) != 1 {
					return fmt.Errorf("the local run knows no filter in a pattern but prefix")
				}
			}
		default:
			return fmt.Errorf("the pattern's %s must be a list", key)
		}
	}
	return nil
}
