// Package trigger tells the triggers of a function apart by the shape of their events.
package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// Task does a task and returns its result. event is {"task": NAME} with whatever else stands in it.
type Task func(ctx context.Context, event json.RawMessage) (any, error)

// Triggers are all that a function serves. What isn't set is not served.
type Triggers struct {
	// HTTP answers an API Gateway request.
	HTTP func(ctx context.Context, event json.RawMessage) (any, error)
	// Tasks by name.
	Tasks map[string]Task
	// Scheduled is the task of a plain "Scheduled Event".
	Scheduled string
	// Messages handles a batch of an SQS queue.
	Messages func(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error)
	// Events by the detail-type of their EventBridge envelope; each gets its detail.
	Events map[string]func(ctx context.Context, detail json.RawMessage) error
}

// shape holds what tells the events apart.
type shape struct {
	RequestContext *struct{}       `json:"requestContext"`
	Task           string          `json:"task"`
	DetailType     string          `json:"detail-type"`
	Detail         json.RawMessage `json:"detail"`
	Records        []struct {
		EventSource string `json:"eventSource"`
	}
}

// Handle hands the event to its trigger.
func (t Triggers) Handle(ctx context.Context, event json.RawMessage) (any, error) {
	var s shape
	if err := json.Unmarshal(event, &s); err != nil {
		return nil, t.unclaimed()
	}
	if s.DetailType == "Scheduled Event" {
		s.Task = t.Scheduled
	}
	switch {
	case s.RequestContext != nil && t.HTTP != nil:
		return t.HTTP(ctx, event)
	case t.Tasks[s.Task] != nil:
		return t.Tasks[s.Task](ctx, event)
	case len(s.Records) > 0 && s.Records[0].EventSource == "aws:sqs" && t.Messages != nil:
		var batch events.SQSEvent
		if err := json.Unmarshal(event, &batch); err != nil {
			return nil, t.unclaimed()
		}
		return t.Messages(ctx, batch)
	case t.Events[s.DetailType] != nil:
		return nil, t.Events[s.DetailType](ctx, s.Detail)
	}
	return nil, t.unclaimed()
}

// unclaimed names the shapes, and nothing of the event: an authorization code may stand in it.
func (t Triggers) unclaimed() error {
	var shapes []string
	if t.HTTP != nil {
		shapes = append(shapes, "an API Gateway request (payload format 2.0 or 1.0)")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tasks)) {
		shapes = append(shapes, fmt.Sprintf(`{"task": %q}`, name))
	}
	if t.Scheduled != "" {
		shapes = append(shapes, `an EventBridge "Scheduled Event"`)
	}
	if t.Messages != nil {
		shapes = append(shapes, "an SQS batch")
	}
	for _, name := range slices.Sorted(maps.Keys(t.Events)) {
		shapes = append(shapes, fmt.Sprintf("an EventBridge event %q", name))
	}
	return fmt.Errorf("no trigger of this function claims the event; it takes %s", strings.Join(shapes, ", "))
}
