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

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

const (
	messageTask = "check-switch"
	// batchSize is how many messages SQS takes in one call.
	batchSize = 10
	// maxDelay is below the 12 hours for which SQS keeps a message from being received again.
	maxDelay = 11 * time.Hour
)

// message asks for one account's switch.
type message struct {
	Task  string `json:"task"`
	AppID string `json:"appid"`
}

// checkQueue checks accounts message by message.
type checkQueue struct {
	recorder recorder
	worker   *queue.Worker
	client   *sqs.Client
	url      string
}

// enqueueAll sends a message for each account. Sending is quick, so a run reaches the end of the list.
func (r *surveyRun) enqueueAll(ctx context.Context) error {
	var batch []string
	for a, err := range r.survey.all(ctx, "") {
		if err != nil {
			return err
		}
		if !a.IsStored() {
			if err := r.survey.recorder.record(ctx, a, func(*state.Account) {}); err != nil {
				r.survey.recorder.log.WarnContext(ctx, "could not record an account", "appid", a.AppID, "error", err.Error())
			}
		}
		a = r.learner.Learn(ctx, a)
		if !r.needsCheck(a) {
			continue
		}
		if batch = append(batch, a.AppID); len(batch) == batchSize {
			if err := r.enqueue(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return r.enqueue(ctx, batch)
}

func (r *surveyRun) enqueue(ctx context.Context, batch []string) error {
	sent, err := r.survey.queue.send(ctx, batch)
	r.result.Queued += sent
	r.result.Failed += len(batch) - sent
	return err
}

// sendAttempts is how often messages are sent that SQS didn't accept beside others.
const sendAttempts = 5

// send sends a batch of messages and returns how many the queue accepted.
func (q checkQueue) send(ctx context.Context, appIDs []string) (sent int, err error) {
	var entries []types.SendMessageBatchRequestEntry
	for i, appID := range appIDs {
		body, err := json.Marshal(message{messageTask, appID})
		if err != nil {
			return 0, err
		}
		entries = append(entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body)),
		})
	}
	for attempt := 1; ; attempt++ {
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: aws.String(q.url), Entries: entries})
		if err != nil {
			return sent, awserror.Wrap("sqs:SendMessageBatch", q.url, err)
		}
		sent += len(out.Successful)
		if len(out.Failed) == 0 {
			return sent, nil
		}
		if attempt == sendAttempts || !retry.Sleep(ctx, retry.Jitter(time.Duration(attempt)*200*time.Millisecond)) {
			q.recorder.log.WarnContext(ctx, "could not queue accounts; the next survey does", "count", len(out.Failed),
				"error", aws.ToString(out.Failed[0].Code))
			return sent, nil
		}
		entries = slices.DeleteFunc(entries, func(e types.SendMessageBatchRequestEntry) bool {
			return !slices.ContainsFunc(out.Failed, func(f types.BatchResultErrorEntry) bool { return *f.Id == *e.Id })
		})
	}
}

// receive handles a batch of messages. Those in its answer come again.
func (q checkQueue) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	working, cancel := endEarlier(ctx, 2*time.Second) // what is left is for postponing messages
	defer cancel()
	return q.worker.Process(ctx, batch, workers, func(_ context.Context, m events.SQSMessage) error { return q.work(working, m) }), nil
}

// work checks the account that a message asks for.
func (q checkQueue) work(ctx context.Context, m events.SQSMessage) error {
	var asked message
	if json.Unmarshal([]byte(m.Body), &asked) != nil || asked.Task != messageTask || !wechat.IsAppID(asked.AppID) {
		return errors.New("the message asks for no account's switch")
	}
	err := q.checkOne(ctx, asked.AppID)
	if err == nil {
		return nil
	}
	if isRetryable(err) {
		return &queue.RetryError{Err: fmt.Errorf("check %s: %w", asked.AppID, err), After: q.delay(m, err)}
	}
	q.recorder.report(ctx, asked.AppID, err)
	return nil
}

// checkOne checks an account, unless that isn't asked for any more.
func (q checkQueue) checkOne(ctx context.Context, appID string) error {
	a, err := q.recorder.accounts.Get(ctx, appID)
	if err != nil || a.Status != state.Authorized || a.DraftSwitch == wechat.SwitchOpen || a.IsMiniProgram() {
		return err
	}
	return q.recorder.checkAndRecord(ctx, a)
}

// isRetryable reports whether a check may go well without anybody acting. An answer of WeChat's that can't be used counts as
// an accident of the moment.
func isRetryable(err error) bool {
	var failure *wechat.TransportError
	return fault.Of(err, time.Now()).Kind.IsRetryable() || errors.As(err, &failure) && !wechat.IsRetired(err)
}

// delay is how long to leave a message alone: a minute the first time, longer each time it comes, and not before what
// WeChat refused for is over.
func (q checkQueue) delay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	wait := max(time.Duration(max(received, 1))*time.Minute, fault.Of(err, q.recorder.check.now()).RetryAfter)
	return min(wait+rand.N(30*time.Second), maxDelay)
}
