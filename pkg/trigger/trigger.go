// Package trigger routes a function's events to their handlers, by the events' shape.
package trigger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/go-json-experiment/json/jsontext"
)

// Task runs a task and returns its result. event is {"task": NAME} with any further members.
type Task func(ctx context.Context, event json.RawMessage) (any, error)

// Router routes the events of a function. Events of a field that isn't set are refused. It implements [lambda.Handler]
// itself, which avoids encoding responses twice.
type Router struct {
	// HTTP handles an API Gateway request and returns API Gateway's response format.
	HTTP func(ctx context.Context, event []byte) []byte
	// Tasks by name.
	Tasks map[string]Task
	// Scheduled is the task of a plain "Scheduled Event".
	Scheduled string
	// Messages handles a batch of an SQS queue.
	Messages func(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error)
	// Events by the detail-type of their EventBridge envelope; each gets its detail.
	Events map[string]func(ctx context.Context, detail json.RawMessage) error
}

// envelope has the members by which events other than requests are recognized.
type envelope struct {
	Task       string          `json:"task"`
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
	Records    []struct {
		EventSource string `json:"eventSource"`
	}
}

// Invoke implements [lambda.Handler].
func (r Router) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	if r.HTTP != nil && isRequest(event) {
		return r.HTTP(ctx, event), nil
	}
	var e envelope
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, r.unsupportedEvent()
	}
	result, err := r.route(ctx, event, e)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// isRequest reports whether the event is an API Gateway request, by the key requestContext of both payload formats. For
// speed it reads no further than that key.
func isRequest(event []byte) bool {
	d := jsontext.NewDecoder(bytes.NewBuffer(event), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		key, err := d.ReadValue()
		if err != nil {
			return false
		}
		if string(key) == `"requestContext"` {
			return d.PeekKind() == '{'
		}
		if d.SkipValue() != nil {
			return false
		}
	}
	return false
}

func (r Router) route(ctx context.Context, event []byte, e envelope) (any, error) {
	if e.DetailType == "Scheduled Event" {
		e.Task = r.Scheduled
	}
	switch {
	case r.Tasks[e.Task] != nil:
		return r.Tasks[e.Task](ctx, event)
	case len(e.Records) > 0 && e.Records[0].EventSource == "aws:sqs" && r.Messages != nil:
		var batch events.SQSEvent
		if err := json.Unmarshal(event, &batch); err != nil {
			return nil, r.unsupportedEvent()
		}
		return r.Messages(ctx, batch)
	case r.Events[e.DetailType] != nil:
		return nil, r.Events[e.DetailType](ctx, e.Detail)
	}
	return nil, r.unsupportedEvent()
}

// unsupportedEvent lists the accepted shapes. It quotes nothing of the event, which may contain an authorization code.
func (r Router) unsupportedEvent() error {
	var shapes []string
	if r.HTTP != nil {
		shapes = append(shapes, "an API Gateway request (payload format 2.0 or 1.0)")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Tasks)) {
		shapes = append(shapes, fmt.Sprintf(`{"task": %q}`, name))
	}
	if r.Scheduled != "" {
		shapes = append(shapes, `an EventBridge "Scheduled Event"`)
	}
	if r.Messages != nil {
		shapes = append(shapes, "an SQS batch")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Events)) {
		shapes = append(shapes, fmt.Sprintf("an EventBridge event %q", name))
	}
	return fmt.Errorf("no trigger of this function handles the event; it accepts %s", strings.Join(shapes, ", "))
}
