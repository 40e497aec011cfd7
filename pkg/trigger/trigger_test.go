package trigger_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"wechat-draftbox/pkg/trigger"
)

// all routes events of every kind; each result names the one that was taken.
func all() trigger.Router {
	task := func(name string) trigger.Task {
		return func(_ context.Context, event json.RawMessage) (any, error) { return name + " " + string(event), nil }
	}
	return trigger.Router{
		HTTP:      func(_ context.Context, event []byte) []byte { return append([]byte("http "), event...) },
		Tasks:     map[string]trigger.Task{"survey": task("survey"), "doctor": task("doctor")},
		Scheduled: "survey",
		Messages: func(_ context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
			var failed events.SQSEventResponse
			for _, m := range batch.Records {
				failed.BatchItemFailures = append(failed.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId + m.Body})
			}
			return failed, nil
		},
		Events: map[string]func(context.Context, json.RawMessage) error{
			"Token Rejected": func(_ context.Context, detail json.RawMessage) error { return errors.New("got " + string(detail)) },
		},
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`{"version":"2.0","requestContext":{"http":{"method":"GET"}}}`: `http {"version":"2.0","requestContext":{"http":{"method":"GET"}}}`,
		`{"requestContext":{},"task":"survey"}`:                        `http {"requestContext":{},"task":"survey"}`, // a request can't pass for a task
		`{"httpMethod":"GET","requestContext":{"stage":"x"}}`:          `http {"httpMethod":"GET","requestContext":{"stage":"x"}}`,
		`{"task":"survey"}`:                 `survey {"task":"survey"}`,
		`{"task":"doctor","to":"dynamodb"}`: `doctor {"task":"doctor","to":"dynamodb"}`,
		`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`: `survey {"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`,
	} {
		got, err := all().Invoke(t.Context(), []byte(event))
		if !strings.HasPrefix(want, "http") { // the result of a task is encoded, an answer to a request is ready
			encoded, _ := json.Marshal(want)
			want = string(encoded)
		}
		if string(got) != want || err != nil {
			t.Errorf("%s: %s, %v", event, got, err)
		}
	}

	got, err := all().Invoke(t.Context(), []byte(`{"Records":[{"messageId":"1","body":"a","eventSource":"aws:sqs"},{"messageId":"2","body":"b","eventSource":"aws:sqs"}]}`))
	if string(got) != `{"batchItemFailures":[{"itemIdentifier":"1a"},{"itemIdentifier":"2b"}]}` || err != nil {
		t.Errorf("a batch: %s, %v", got, err)
	}
	_, err = all().Invoke(t.Context(), []byte(`{"detail-type":"Token Rejected","detail":{"appid":""}}`))
	if err == nil || err.Error() != `got {"appid":""}` {
		t.Errorf("an event of the bus: %v", err)
	}
}

func TestUnsupportedEvents(t *testing.T) {
	t.Parallel()
	const hidden = "queryauthcode"
	for _, event := range []string{
		`{}`, `null`, `[]`, `"x"`, `7`, ``, `{`,
		`{"task":"` + hidden + `"}`,
		`{"task":7}`,
		`{"requestContext":"` + hidden + `"}`,
		`{"requestContext":null}`,
		`{"detail-type":"` + hidden + `","detail":"` + hidden + `"}`,
		`{"Records":[]}`,
		`{"Records":"` + hidden + `"}`,
		`{"Records":[{"eventSource":"aws:s3","body":"` + hidden + `"}]}`,
		`{"Records":[{"eventSource":"aws:sqs","body":{"authorization_code":"` + hidden + `"}}]}`,
	} {
		got, err := all().Invoke(t.Context(), []byte(event))
		if err == nil {
			t.Errorf("%s: %v", event, got)
			continue
		}
		for _, shape := range []string{"API Gateway", `{"task": "doctor"}, {"task": "survey"}`, `"Scheduled Event"`, "SQS", `"Token Rejected"`} {
			if !strings.Contains(err.Error(), shape) {
				t.Errorf("%s: the error does not name %s: %v", event, shape, err)
			}
		}
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the error quotes the event: %v", event, err)
		}
	}
}

// TestWhatIsNotServed: each shape of event finds nobody in a function that does not serve it.
func TestWhatIsNotServed(t *testing.T) {
	t.Parallel()
	only := map[string]trigger.Router{
		"an API Gateway request (payload format 2.0 or 1.0)": {HTTP: all().HTTP},
		`{"task": "doctor"}`:                    {Tasks: map[string]trigger.Task{"doctor": all().Tasks["doctor"]}},
		"an SQS batch":                          {Messages: all().Messages},
		`an EventBridge event "Token Rejected"`: {Events: all().Events},
	}
	shapes := map[string]string{
		"an API Gateway request (payload format 2.0 or 1.0)": `{"requestContext":{}}`,
		`{"task": "doctor"}`:                    `{"task":"doctor"}`,
		"an SQS batch":                          `{"Records":[{"eventSource":"aws:sqs"}]}`,
		`an EventBridge event "Token Rejected"`: `{"detail-type":"Token Rejected","detail":{}}`,
		"":                                      `{"detail-type":"Scheduled Event"}`,
	}
	for served, triggers := range only {
		for shape, event := range shapes {
			_, err := triggers.Invoke(t.Context(), []byte(event))
			unclaimed := err != nil && strings.HasSuffix(err.Error(), "it accepts "+served)
			if unclaimed == (shape == served) {
				t.Errorf("a function that takes %s, given %s: %v", served, event, err)
			}
		}
	}
}

// FuzzInvoke: whatever the event is, one trigger takes it or none does, and who refuses it quotes nothing of it.
func FuzzInvoke(f *testing.F) {
	for _, event := range []string{
		`{"version":"2.0","requestContext":{"http":{"method":"GET"}}}`, `{"requestContext":null,"task":"survey"}`, `{"task":"doctor","to":"dynamodb"}`,
		`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`, `{"detail-type":"Token Rejected","detail":{"appid":""}}`,
		`{"Records":[{"messageId":"1","body":"a","eventSource":"aws:sqs"}]}`, `{"Records":[{"eventSource":"aws:sqs","body":{}},null]}`,
		`{"TASK":"survey"}`, `{"task":"survey","task":7}`, `null`, `[]`, `{`, "\xff", "",
	} {
		f.Add([]byte(event))
	}
	_, refusal := all().Invoke(f.Context(), []byte(`{}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		taken := 0
		counted := trigger.Router{Tasks: map[string]trigger.Task{}, Scheduled: all().Scheduled, Events: map[string]func(context.Context, json.RawMessage) error{}}
		counted.HTTP = func(context.Context, []byte) []byte { taken++; return nil }
		counted.Messages = func(context.Context, events.SQSEvent) (r events.SQSEventResponse, _ error) { taken++; return r, nil }
		for name := range all().Tasks {
			counted.Tasks[name] = func(context.Context, json.RawMessage) (any, error) { taken++; return nil, nil }
		}
		for name := range all().Events {
			counted.Events[name] = func(context.Context, json.RawMessage) error { taken++; return nil }
		}
		_, err := counted.Invoke(t.Context(), event)
		if (err == nil) != (taken == 1) || taken > 1 {
			t.Errorf("%d triggers took it, and the error is %v", taken, err)
		}
		if err != nil && err.Error() != refusal.Error() {
			t.Errorf("the refusal is not like any other: %v", err)
		}
	})
}
