// Package queue works off a batch of SQS messages and says which of them have to come again, and when.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
)

// Again is an error that another try of the message may mend.
type Again struct {
	Err   error
	After time.Duration // not before
}

func (a *Again) Error() string { return a.Err.Error() }
func (a *Again) Unwrap() error { return a.Err }

// Worker works off batches of one queue.
type Worker struct {
	client *sqs.Client
	url    string
	log    *slog.Logger
}

// NewWorker makes a worker of the queue with this URL.
func NewWorker(client *sqs.Client, url string, log *slog.Logger) *Worker {
	return &Worker{client, url, log}
}

// Work calls work for each message, for at most parallel at once. Messages whose error is an [*Again] are reported as
// failed, so that SQS hands them out again; others are done, whatever became of them. No error quotes a message.
func (w *Worker) Work(ctx context.Context, batch events.SQSEvent, parallel int, work func(ctx context.Context, body string) error) events.SQSEventResponse {
	failed := make([]bool, len(batch.Records))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, message := range batch.Records {
		group.Go(func() error {
			err := work(ctx, message.Body)
			var again *Again
			if failed[i] = errors.As(err, &again); failed[i] {
				w.postpone(ctx, message, again.After)
			}
			if err != nil {
				w.log.WarnContext(ctx, "a message failed", "message_id", message.MessageId, "comes_again", failed[i], "error", err.Error())
			}
			return nil
		})
	}
	group.Wait()

	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for i, message := range batch.Records {
		if failed[i] {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		}
	}
	return response
}

// postpone has the message come again after a time. Otherwise it would come after the queue's visibility timeout,
// which has to be six times the function's and is much longer. Where that fails, it comes then.
func (w *Worker) postpone(ctx context.Context, message events.SQSMessage, after time.Duration) {
	if w.url == "" || message.ReceiptHandle == "" {
		return
	}
	_, err := w.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: aws.String(w.url), ReceiptHandle: aws.String(message.ReceiptHandle),
		VisibilityTimeout: int32(after / time.Second),
	})
	if err != nil {
		w.log.WarnContext(ctx, "could not postpone a message", "message_id", message.MessageId,
			"error", awserror.Wrap("sqs:ChangeMessageVisibility", w.url[strings.LastIndexByte(w.url, '/')+1:], err).Error())
	}
}
