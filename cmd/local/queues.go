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

// poll is the event source of a queue: it invokes a function batch by batch and deletes what was processed. Messages
// named in batchItemFailures, or all of them if the function failed, become visible again; after too many attempts the
// queue moves them to its dead-letter queue.
func (l *local) poll(ctx context.Context, from source) {
	client := l.world.sqs()
	url := aws.String(l.world.queueURL(from.Queue))
	for ctx.Err() == nil {
		messages, err := gather(ctx, client, from, url)
		if err != nil && ctx.Err() == nil {
			l.say("queue", "%s: %v", from.Queue, err)
			sleep(ctx, time.Second)
		}
		if len(messages) == 0 {
			continue
		}
		done := l.handle(ctx, from, messages)
		for some := range slices.Chunk(done, maxMessages) {
			if _, err := client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: some}); err != nil && ctx.Err() == nil {
				l.say("queue", "%s: %v", from.Queue, err)
			}
		}
	}
}

const (
	// maxMessages is SQS's limit for one receive or delete call.
	maxMessages = 10
	// maxWindow caps the batching window. In AWS 20 seconds save invocations; here somebody is watching.
	maxWindow = 2 * time.Second
)

// gather receives a batch. With a batching window, it collects messages until the batch is full or the window ends;
// only then may a batch have more than ten.
func gather(ctx context.Context, client *sqs.Client, from source, url *string) ([]types.Message, error) {
	receive := func(most, seconds int) ([]types.Message, error) {
		received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:                    url,
			MaxNumberOfMessages:         int32(min(most, maxMessages)),
			WaitTimeSeconds:             int32(seconds),
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			return nil, err
		}
		return received.Messages, nil
	}
	batch, err := receive(from.BatchSize, 20)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	for deadline := time.Now().Add(min(from.Window, maxWindow)); len(batch) < from.BatchSize; {
		left := int(time.Until(deadline).Round(time.Second) / time.Second)
		if left <= 0 {
			break
		}
		more, err := receive(from.BatchSize-len(batch), left)
		batch = append(batch, more...)
		if err != nil {
			return batch, err // return what was received rather than wait for its visibility timeout
		}
	}
	return batch, nil
}

// handle invokes the function with a batch and returns the messages it processed.
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

// failures returns the messages that a function failed to process.
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

// sleep reports whether d passed before ctx ended.
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
