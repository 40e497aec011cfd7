package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/standin/awstest"
)

// received is a worker of a queue, and a batch of its messages with the bodies 0, 1, 2 and so on.
func received(t *testing.T, count int, log *slog.Logger) (*awstest.Server, string, *queue.Worker, events.SQSEvent) {
	t.Helper()
	stand := awstest.New()
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	config := stand.Config(server.URL)
	config.RetryMaxAttempts = 1
	client := sqs.NewFromConfig(config)
	url := stand.CreateQueue("work", awstest.VisibilityTimeout(time.Hour))
	var batch events.SQSEvent
	for n := range count {
		if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(fmt.Sprint(n))}); err != nil {
			t.Fatal(err)
		}
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
		if err != nil {
			t.Fatal(err)
		}
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint("id", n), Body: fmt.Sprint(n),
			ReceiptHandle: *out.Messages[0].ReceiptHandle})
	}
	return stand, url, queue.NewWorker(client, url, log), batch
}

func TestMessagesComeAgain(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	stand, url, worker, batch := received(t, 27, slog.New(slog.NewTextHandler(&log, nil)))
	began := time.Now()
	got := worker.Process(t.Context(), batch, 5, func(_ context.Context, m events.SQSMessage) error {
		switch m.Body {
		case "3":
			return errors.New("never mind")
		case "4":
			return nil
		}
		return fmt.Errorf("wrapped: %w", &queue.RetryError{Err: errors.New("later"), After: 2 * time.Minute})
	})
	var want []events.SQSBatchItemFailure
	for n := range 27 {
		if n != 3 && n != 4 {
			want = append(want, events.SQSBatchItemFailure{ItemIdentifier: fmt.Sprint("id", n)})
		}
	}
	if diff := cmp.Diff(want, got.BatchItemFailures); diff != "" {
		t.Errorf("come again (-want +got):\n%s", diff)
	}
	for _, m := range stand.Messages(url) {
		again := m.Body != "3" && m.Body != "4"
		if soon := m.Visible.Sub(began) < 5*time.Minute; soon != again || m.Visible.Sub(began) < time.Minute {
			t.Errorf("%s comes after %v", m.Body, m.Visible.Sub(began))
		}
	}
	if n := stand.Calls("sqs:ChangeMessageVisibilityBatch"); n != 3 {
		t.Errorf("25 messages were postponed by %d calls", n)
	}
	if n := strings.Count(log.String(), "comes_again=true"); n != 25 || strings.Count(log.String(), "comes_again=false") != 1 {
		t.Errorf("%d of the log's lines tell of messages that come again", n)
	}
}

func TestMessagesThatCantBePostponed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{"all": awstest.Deny(), "one": awstest.FailEntries("InternalError", 1)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			stand, _, worker, batch := received(t, 2, slog.New(slog.NewTextHandler(&log, nil)))
			stand.Fail("sqs:ChangeMessageVisibilityBatch", fault)
			got := worker.Process(t.Context(), batch, 1, func(context.Context, events.SQSMessage) error {
				return &queue.RetryError{Err: errors.New("later"), After: time.Minute}
			})
			if len(got.BatchItemFailures) != 2 || !strings.Contains(log.String(), "could not postpone") {
				t.Errorf("%v, log %s", got, &log)
			}
		})
	}
}

func TestWorkWithoutAQueueURL(t *testing.T) {
	t.Parallel()
	stand, _, _, batch := received(t, 3, slog.New(slog.DiscardHandler))
	worker := queue.NewWorker(nil, "", slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	now, most := 0, 0
	got := worker.Process(t.Context(), batch, 2, func(context.Context, events.SQSMessage) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		now--
		return &queue.RetryError{Err: errors.New("later")}
	})
	if len(got.BatchItemFailures) != 3 || most > 2 || stand.Calls("sqs:ChangeMessageVisibilityBatch") != 0 {
		t.Errorf("%v, %d at once", got, most)
	}
	if empty := worker.Process(t.Context(), events.SQSEvent{}, 2, nil); empty.BatchItemFailures == nil {
		t.Error("the failures of no messages are null, and not a list")
	}
}
