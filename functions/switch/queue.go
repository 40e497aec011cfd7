package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/queue"
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

// checkQueue checks accounts message by message.
type checkQueue struct {
	inspector
	worker *queue.Worker
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
func (q checkQueue) send(ctx context.Context, appIDs []string) (sent int, err error) {
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
func (q checkQueue) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	working, cancel := earlier(ctx, 2*time.Second) // what is left is for postponing messages
	defer cancel()
	return q.worker.Work(ctx, batch, atOnce, func(_ context.Context, m events.SQSMessage) error { return q.work(working, m) }), nil
}

// work checks the account that a message asks for.
func (q checkQueue) work(ctx context.Context, m events.SQSMessage) error {
	var asked message
	if json.Unmarshal([]byte(m.Body), &asked) != nil || asked.Task != messageTask || !settings.IsAppID(asked.AppID) {
		return errors.New("the message asks for no account's switch")
	}
	err := q.checkOne(ctx, asked.AppID)
	if err == nil {
		return nil
	}
	if worthRepeating(err) {
		return &queue.Again{Err: fmt.Errorf("check %s: %w", asked.AppID, err), After: q.delay(m, err)}
	}
	q.report(ctx, asked.AppID, err)
	return nil
}

// checkOne checks an account, unless that isn't asked for any more.
func (q checkQueue) checkOne(ctx context.Context, appID string) error {
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
func (q checkQueue) delay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	wait := max(time.Duration(max(received, 1))*time.Minute, api.ProblemOf(err, q.check.now()).RetryAfter)
	return min(wait+rand.N(30*time.Second), longestDelay)
}
