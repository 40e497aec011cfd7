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
	// batchSize is the limit of SQS for one call.
	batchSize = 10
	// maxDelay is below the longest visibility timeout of SQS, 12 hours.
	maxDelay = 11 * time.Hour
)

// message requests a check of one account's switch.
type message struct {
	Task  string `json:"task"`
	AppID string `json:"appid"`
}

// checkQueue distributes the checks of a survey as SQS messages.
type checkQueue struct {
	recorder recorder
	worker   *queue.Worker
	client   *sqs.Client
	url      string
}

// enqueueAll sends a message for each account to check. Sending is quick, so one run reaches the end of the list.
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

// sendAttempts limits how often the entries of a batch that SQS rejected are sent.
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

// receive handles a batch of messages and returns those to be received again.
func (q checkQueue) receive(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
	work, cancel := endEarlier(ctx, 2*time.Second) // the rest is for setting the visibility of failed messages
	defer cancel()
	return q.worker.Process(ctx, batch, workers, func(_ context.Context, m events.SQSMessage) error { return q.work(work, m) }), nil
}

// work processes one message.
func (q checkQueue) work(ctx context.Context, m events.SQSMessage) error {
	var request message
	if json.Unmarshal([]byte(m.Body), &request) != nil || request.Task != messageTask || !wechat.IsAppID(request.AppID) {
		return errors.New("the message asks for no account's switch")
	}
	err := q.checkOne(ctx, request.AppID)
	if err == nil {
		return nil
	}
	if isRetryable(err) {
		return &queue.RetryError{Err: fmt.Errorf("check %s: %w", request.AppID, err), After: q.delay(m, err)}
	}
	q.recorder.report(ctx, request.AppID, err)
	return nil
}

// checkOne checks an account, unless it no longer needs a check.
func (q checkQueue) checkOne(ctx context.Context, appID string) error {
	a, err := q.recorder.accounts.Get(ctx, appID)
	if err != nil || a.Status != state.Authorized || a.DraftSwitch == wechat.SwitchOpen || a.IsMiniProgram() {
		return err
	}
	return q.recorder.checkAndRecord(ctx, a)
}

// isRetryable reports whether a later check may succeed without anybody acting. An unusable response of WeChat counts
// as transient.
func isRetryable(err error) bool {
	var failure *wechat.TransportError
	return fault.Of(err, time.Now()).Kind.IsRetryable() || errors.As(err, &failure) && !wechat.IsRetired(err)
}

// delay is the visibility timeout of a failed message: a minute for each receive, and at least as long as WeChat asked
// to wait.
func (q checkQueue) delay(m events.SQSMessage, err error) time.Duration {
	received, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	wait := max(time.Duration(max(received, 1))*time.Minute, fault.Of(err, q.recorder.check.now()).RetryAfter)
	return min(wait+rand.N(30*time.Second), maxDelay)
}
