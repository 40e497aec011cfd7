// Package queue works off batches of an SQS queue. It is apart from package trigger so that functions without a queue
// do not link the client of SQS, which costs each cold start a part of a millisecond.
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

// batchSize is how many messages SQS takes in one call.
const batchSize = 10

// RetryError is an error that another try of the message may mend.
type RetryError struct {
	Err   error
	After time.Duration // not before
}

func (a *RetryError) Error() string { return a.Err.Error() }
func (a *RetryError) Unwrap() error { return a.Err }

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

// Process calls work for each message, for at most parallel at once. Messages whose error is an [*RetryError] are reported as
// failed, so that SQS hands them out again; others are done, whatever became of them. No error quotes a message.
func (w *Worker) Process(ctx context.Context, batch events.SQSEvent, parallel int, work func(context.Context, events.SQSMessage) error) events.SQSEventResponse {
	again := make([]*RetryError, len(batch.Records))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, message := range batch.Records {
		group.Go(func() error {
			if err := work(ctx, message); err != nil {
				w.log.WarnContext(ctx, "a message failed", "message_id", message.MessageId,
					"comes_again", errors.As(err, &again[i]), "error", err.Error())
			}
			return nil
		})
	}
	group.Wait()

	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var delays []types.ChangeMessageVisibilityBatchRequestEntry
	for i, message := range batch.Records {
		if again[i] == nil {
			continue
		}
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
		delays = append(delays, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(message.ReceiptHandle),
			VisibilityTimeout: int32(again[i].After / time.Second),
		})
	}
	if w.url != "" {
		for some := range slices.Chunk(delays, batchSize) {
			w.setVisibility(ctx, some)
		}
	}
	return response
}

// setVisibility has messages come again after a time. Otherwise they would come after the queue's visibility timeout, which
// has to be six times the function's and is much longer. Where that fails, they come then.
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
