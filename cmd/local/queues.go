package main

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// poll hands the messages of a queue to a function, batch by batch, as Lambda's
// event source does: what the function took is deleted, what it names in
// batchItemFailures comes again once it is visible, all of it if the function
// failed. After too many times the queue itself moves it to its dead letters.
func (l *local) poll(ctx context.Context, from source) {
	client := l.world.sqs()
	url := aws.String(l.world.queueURL(from.Queue))
	for ctx.Err() == nil {
		received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:                    url,
			MaxNumberOfMessages:         int32(min(from.BatchSize, 10)),
			WaitTimeSeconds:             20,
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			if ctx.Err() == nil {
				l.say("queue", "%s: %v", from.Queue, err)
				sleep(ctx, time.Second)
			}
			continue
		}
		if len(received.Messages) == 0 {
			continue
		}
		done := l.handle(ctx, from, received.Messages)
		if len(done) == 0 {
			continue
		}
		if _, err := client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: done}); err != nil && ctx.Err() == nil {
			l.say("queue", "%s: %v", from.Queue, err)
		}
	}
}

// handle invokes the function with a batch and returns what it took.
func (l *local) handle(ctx context.Context, from source, messages []types.Message) (done []types.DeleteMessageBatchRequestEntry) {
	batch := events.SQSEvent{}
	for _, m := range messages {
		batch.Records = append(batch.Records, events.SQSMessage{
			MessageId:      aws.ToString(m.MessageId),
			ReceiptHandle:  aws.ToString(m.ReceiptHandle),
			Body:           aws.ToString(m.Body),
			Md5OfBody:      aws.ToString(m.MD5OfBody),
			Attributes:     m.Attributes,
			EventSourceARN: arn("sqs", from.Queue),
			EventSource:    "aws:sqs",
			AWSRegion:      region,
		})
	}
	event, err := json.Marshal(batch)
	if err != nil {
		l.say("queue", "%s: %v", from.Queue, err)
		return nil
	}
	payload, err := l.task(ctx, from.Function, event)
	if err != nil {
		return nil
	}
	failed, err := failures(payload, from.Failures)
	if err != nil {
		l.say("queue", "%s: %v: the whole batch comes again", from.Queue, err)
		return nil
	}
	for _, m := range messages {
		if !slices.Contains(failed, aws.ToString(m.MessageId)) {
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
	}
	return done
}

// failures are the messages that a function did not take.
func failures(payload []byte, reported bool) ([]string, error) {
	if !reported {
		return nil, nil
	}
	var answer events.SQSEventResponse
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, errors.New("the function's answer is no list of batchItemFailures")
	}
	var failed []string
	for _, f := range answer.BatchItemFailures {
		if f.ItemIdentifier == "" {
			return nil, errors.New("the function names no message in its batchItemFailures")
		}
		failed = append(failed, f.ItemIdentifier)
	}
	return failed, nil
}

// sleep waits until d has passed or ctx ends, and tells which.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
