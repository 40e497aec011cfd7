// Package queue processes batches of an SQS queue. It is separate from package trigger so that functions without a queue
// don't link the SQS client, which costs each cold start a fraction of a millisecond.
package queue

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
)

// batchSize is how many messages SQS accepts in one call.
const batchSize = 10

// RetryError is an error after which the message is to be retried.
type RetryError struct {
	Err   error
	After time.Duration // the delay before the retry
}

func (a *RetryError) Error() string { return a.Err.Error() }
func (a *RetryError) Unwrap() error { return a.Err }

// Worker processes batches of one queue.
type Worker struct {
	client *sqs.Client
	url    string
	log    *slog.Logger
}

// NewWorker makes a worker of the queue with this URL.
func NewWorker(client *sqs.Client, url string, log *slog.Logger) *Worker {
	return &Worker{client, url, log}
}

// Process calls work for each message, for at most parallel messages at once. Messages whose error is a [*RetryError] are
// reported as failed, so that SQS delivers them again; all others are done. No error quotes a message.
func (w *Worker) Process(ctx context.Context, batch events.SQSEvent, parallel int, work func(context.Context, events.SQSMessage) error) events.SQSEventResponse {
	retries := make([]*RetryError, len(batch.Records))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, message := range batch.Records {
		group.Go(func() error {
			if err := work(ctx, message); err != nil {
				w.log.WarnContext(ctx, "a message failed", "message_id", message.MessageId,
					"comes_again", errors.As(err, &retries[i]), "error", err.Error())
			}
			return nil
		})
	}
	group.Wait()

	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var delays []types.ChangeMessageVisibilityBatchRequestEntry
	for i, message := range batch.Records {
		if retries[i] == nil {
			continue
		}
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		delays = append(delays, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(message.ReceiptHandle),
			VisibilityTimeout: int32(retries[i].After / time.Second),
		})
	}
	if w.url != "" {
		for chunk := range slices.Chunk(delays, batchSize) {
			w.setVisibility(ctx, chunk)
		}
	}
	return response
}

// setVisibility sets the delay of retries. Without it they come after the queue's visibility timeout, which has to be six
// times the function's timeout. A failure is only logged.
func (w *Worker) setVisibility(ctx context.Context, delays []types.ChangeMessageVisibilityBatchRequestEntry) {
	out, err := w.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: aws.String(w.url), Entries: delays,
	})
	if err = awserror.Wrap("sqs:ChangeMessageVisibilityBatch", w.url[strings.LastIndexByte(w.url, '/')+1:], err); err != nil {
		w.log.WarnContext(ctx, "could not postpone messages", "count", len(delays), "error", err.Error())
	} else if len(out.Failed) > 0 {
		w.log.WarnContext(ctx, "could not postpone messages", "count", len(out.Failed), "error", aws.ToString(out.Failed[0].Code))
	}
}
