package main

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/wechat"
)

const (
	messageTask = "check-switch"
	// batchSize is how many messages SQS takes in one call.
	batchSize = 10
	// longestDelay is below the 12 hours for which SQS keeps a message from being received again.
	longestDelay = 11 * time.Hour
)

// message asks for one account's switch.
type message struct {
	Task  string `json:"task"`
	AppID string `json:"appid"`
}

// queue checks accounts message by message.
type queue struct {
	inspector
	client *sqs.Client
	url    string
}

// enqueue sends a message for each account.
func (s survey) enqueue(ctx context.Context, listed <-chan account.Record, result *tally) error {
	var batch []string
	send := func() error {
		sent, err := s.queue.send(ctx, batch)
		result.Queued += sent
		result.Failed += len(batch) - sent
		batch = nil
		return err
	}
	for record := range listed {
		if !result.asks(record) {
			continue
		}
		if err := s.keep(ctx, record, func(*account.Record) {}); err != nil {
			s.log.WarnContext(ctx, "could not record an account", "appid", record.AppID, "error", err.Error())
		}
		if batch = append(batch, record.AppID); len(batch) == batchSize {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return send()
}

// send sends a batch of messages and returns how many the queue took. Those that it didn't take are sent again by
// themselves.
func (q queue) send(ctx context.Context, appIDs []string) (sent int, err error) {
	var entries []types.SendMessageBatchRequestEntry
	for i, appID := range appIDs {
		body, err := plainjson.Marshal(message{messageTask, appID})
		if err != nil {
			return 0, err
		}
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)),
		})
	}
	answered := false
	err = q.patiently(ctx, func() error {
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(q.url), Entries: entries})
		if answered = err == nil; !answered {
			return awserror.Wrap("sqs:SendMessageBatch", q.url, err)
		}
		sent += len(out.Successful)
		if len(out.Failed) == 0 {
			return nil
		}
		entries = slices.DeleteFunc(entries, func(e types.SendMessageBatchRequestEntry) bool {
			return !slices.ContainsFunc(out.Failed, func(f types.BatchResultErrorEntry) bool { return *f.Id == *e.Id })
		})
		return &awserror.Error{Operation: "sqs:SendMessageBatch", Resource: q.url, Kind: awserror.Unavailable,
			Code: aws.ToString(out.Failed[0].Code), Detail: strconv.Itoa(len(out.Failed)) + " messages were not taken"}
	})
	if err != nil && answered { // single messages; the next survey sends them again
		q.log.WarnContext(ctx, "could not queue accounts", "error", err.Error())
		return sent, nil
	}
	return sent, err
}

// receive handles a batch of messages. Those in its answer come again.
func (q queue) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	messages := make(map[string][]events.SQSMessage) // of an account; there may be duplicates
	for _, m := range batch.Records {
		var asked message
		if json.Unmarshal([]byte(m.Body), &asked) != nil || asked.Task != messageTask || !settings.IsAppID(asked.AppID) {
			q.log.WarnContext(ctx, "dropped a message that asks for no account's switch", "message_id", m.MessageId)
			continue
		}
		messages[asked.AppID] = append(messages[asked.AppID], m)
	}

	working, cancel := earlier(ctx, 2*time.Second)
	defer cancel()
	var mu sync.Mutex
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var delays []types.ChangeMessageVisibilityBatchRequestEntry
	var group errgroup.Group
	group.SetLimit(atOnce)
	for appID, asked := range messages {
		group.Go(func() error {
			err := q.checkOne(working, appID)
			if err == nil {
				return nil
			}
			q.report(ctx, appID, err)
			if !worthRepeating(err) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range asked {
				answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
				delays = append(delays, types.ChangeMessageVisibilityBatchRequestEntry{
					Id: aws.String(strconv.Itoa(len(delays))), ReceiptHandle: aws.String(m.ReceiptHandle),
					VisibilityTimeout: int32(q.delay(m, err) / time.Second),
				})
			}
			return nil
		})
	}
	group.Wait()
	q.postpone(ctx, delays)
	return answer, nil
}

// checkOne checks an account, unless that isn't asked for any more.
func (q queue) checkOne(ctx context.Context, appID string) error {
	var record account.Record
	err := q.patiently(ctx, func() (err error) {
		record, err = q.records.Current(ctx, appID)
		return err
	})
	if err != nil || record.Status != account.Authorized || record.DraftSwitch == wechat.SwitchOpen {
		return err
	}
	return q.inspect(ctx, record)
}

// worthRepeating reports whether a check may go well without anybody acting. That WeChat's answer was none counts as
// an accident of the moment.
func worthRepeating(err error) bool {
	var failure *wechat.Failure
	return api.ProblemOf(err, time.Now()).Retryable() || errors.As(err, &failure) && !wechat.IsRetired(err)
}

// delay is how long to leave a message alone: a minute the first time, longer each time it comes, and not before what
// WeChat refused for is over.
func (q queue) delay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	wait := max(time.Duration(max(received, 1))*time.Minute, api.ProblemOf(err, q.check.now()).RetryAfter)
	return min(wait+rand.N(30*time.Second), longestDelay)
}

// postpone sets when messages come again. Those that it fails for come at the queue's own time.
func (q queue) postpone(ctx context.Context, delays []types.ChangeMessageVisibilityBatchRequestEntry) {
	if q.url == "" {
		return
	}
	for batch := range slices.Chunk(delays, batchSize) {
		out, err := q.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: aws.String(q.url), Entries: batch,
		})
		if err = awserror.Wrap("sqs:ChangeMessageVisibilityBatch", q.url, err); err != nil {
			q.log.WarnContext(ctx, "could not postpone messages", "count", len(batch), "error", err.Error())
		} else if len(out.Failed) > 0 {
			q.log.WarnContext(ctx, "could not postpone messages", "count", len(out.Failed), "error", aws.ToString(out.Failed[0].Code))
		}
	}
}
