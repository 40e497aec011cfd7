package soak

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/wechat"
)

// timeouts of the functions, as in template.yaml.
var timeouts = map[string]time.Duration{
	"callback": 10 * time.Second, "drafts": time.Minute, "switch": 15 * time.Minute, "templates": 30 * time.Second, "tokens": 5 * time.Minute,
}

// function runs as in Lambda: an instance handles one event at a time, and there are as many instances as concurrent
// events.
type function struct {
	name  string
	start func() lambda.Handler

	mu   sync.Mutex
	idle []lambda.Handler
}

func (w *world) function(name string, wire Wire) *function {
	return &function{name: name, start: func() lambda.Handler {
		log := telemetry.LogTo(slog.NewJSONHandler(&w.log, nil), slog.LevelWarn)
		deps := bootstrap.New(w.settings, w.cfg, log, telemetry.NewRecorder(io.Discard, name, time.Now),
			wechat.WithDialer(w.toWeChat.dial))
		w.t.Cleanup(deps.WeChat.CloseIdleConnections)
		return deps.Handler(wire(deps))
	}}
}

// instance returns an idle instance, or a new one.
func (f *function) instance() lambda.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	if last := len(f.idle) - 1; last >= 0 {
		i := f.idle[last]
		f.idle = f.idle[:last]
		return i
	}
	return f.start()
}

// invoke invokes a function with an event: JSON, or a value to encode.
func (w *world) invoke(name string, event any) (json.RawMessage, error) {
	raw, ok := event.(json.RawMessage)
	if !ok {
		raw, _ = json.Marshal(event) // of texts and numbers
	}
	w.invocations.Add(1)
	f := w.functions[name]
	ctx, cancel := context.WithTimeout(context.Background(), timeouts[name])
	defer cancel()
	i := f.instance()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.idle = append(f.idle, i)
	}()
	return i.Invoke(ctx, raw)
}

// response is a function's answer to an HTTP request.
type response struct {
	StatusCode int
	Body       string
}

func (w *world) http(function, method, path, query, body string) response {
	result, err := w.invoke(function, map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": map[string]string{},
		"requestContext": map[string]any{
			"requestId": "request", "stage": "$default", "http": map[string]string{"method": method, "path": path, "sourceIp": "192.0.2.1"},
			"authorizer": map[string]any{"iam": map[string]string{"userArn": "arn:aws:iam::123456789012:user/ci"}},
		}, "body": body, "isBase64Encoded": false,
	})
	var answer response
	if err == nil {
		err = json.Unmarshal(result, &answer)
	}
	if err != nil {
		w.t.Errorf("%s %s: %v", method, path, err)
	}
	return answer
}
