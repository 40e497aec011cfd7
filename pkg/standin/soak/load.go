package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// load starts the continuous work: schedules, requests, tickets, uploads, and queue messages.
func (w *world) load() {
	w.task("drafts", "watch-drafts") // the first publishes nothing
	w.every(5*time.Minute, func(int) { w.task("drafts", "watch-drafts") })
	w.every(10*time.Minute, func(int) { w.refresh() })
	w.every(30*time.Minute, func(int) { w.task("switch", "check-switches") })
	w.every(10*time.Minute, func(int) { w.ticket() })
	w.every(7*time.Minute, w.upload)
	w.every(11*time.Minute, w.supersede)
	w.every(10*time.Second, w.request)
	for _, q := range w.queues {
		w.every(5*time.Second, func(int) { w.poll(q) })
	}
}

// every starts do at once and after each interval until the soak ends, without waiting for it.
func (w *world) every(interval time.Duration, do func(n int)) {
	w.running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for n := 0; ; n++ {
			w.running.Go(func() { do(n) })
			select {
			case <-ticker.C:
			case <-w.ends:
				return
			}
		}
	})
}

// stop ends the load and waits for running work.
func (w *world) stop() {
	close(w.ends)
	w.running.Wait()
}

// task runs a scheduled task. Errors during an outage are expected; the next run is the retry.
func (w *world) task(function, name string) {
	w.invoke(function, map[string]string{"task": name})
}

func (w *world) refresh() {
	result, err := w.invoke("tokens", map[string]string{"task": "refresh-tokens"})
	var r struct {
		Failures []struct{ AppID string }
	}
	if err == nil {
		err = json.Unmarshal(result, &r)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = make(map[string]int)
	for _, f := range r.Failures {
		w.failed[f.AppID]++
	}
	if err != nil {
		w.failed[err.Error()]++
	}
}

// request sends one client's request, or several at a time.
func (w *world) request(n int) {
	account := w.accounts[n%len(w.accounts)]
	for _, r := range []struct{ function, path, query string }{
		{"drafts", "/drafts", "fresh=true"},
		{"drafts", "/drafts", ""},
		{"switch", "/accounts/" + account + "/draft-switch", ""},
		{"switch", "/accounts/" + account + "/drafts", ""},
		{"templates", "/templates", ""},
	} {
		w.running.Go(func() { w.http(r.function, "GET", r.path, r.query, "") })
	}
}

func (w *world) upload(n int) {
	id := w.wechat.UploadDraft(wechattest.Draft{UserVersion: strconv.Itoa(n), SourceMiniProgramAppID: fmt.Sprintf("wx%016d", 2000+n)})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uploads[id] = time.Now()
}

// supersede fetches an account's token as another system would, so that requests are refused five minutes later. It
// stops with the outage. At the start the stored tokens are too young for that.
func (w *world) supersede(n int) {
	if n > 0 && time.Now().Before(w.outageEnd) {
		w.wechat.KickToken(w.accounts[n%len(w.accounts)])
	}
}

func (w *world) ticket() {
	w.push("component_verify_ticket", "ComponentVerifyTicket", w.wechat.NewTicket())
}

// push sends a push as WeChat does and requires that it is accepted at once.
func (w *world) push(kind string, more ...string) {
	p, now := w.wechat.Platform(), time.Now()
	query, body := wechattest.EncryptPush(p, wechattest.InfoXML(p.AppID, kind, now, more...), strconv.FormatInt(now.Unix(), 10), "nonce", []byte("0123456789abcdef"))
	if got := w.http("callback", "POST", "/wechat/callback", query.Encode(), string(body)); got.StatusCode != 200 || got.Body != "success" {
		w.t.Errorf("the push %s is answered with %d %s", kind, got.StatusCode, got.Body)
	}
}

// authorizeInOutage has accounts authorise the platform during the outage.
func (w *world) authorizeInOutage() {
	for n, at := range []time.Duration{time.Minute, 15 * time.Minute, outageLength - time.Minute} {
		appID := fmt.Sprintf("wx%016d", 3001+n)
		w.authorized = append(w.authorized, appID)
		w.running.Go(func() {
			time.Sleep(at)
			code := w.wechat.NewCode(appID)
			w.push("authorized", "AuthorizerAppid", appID, "AuthorizationCode", code,
				"AuthorizationCodeExpiredTime", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		})
	}
}

// deliver is the rule on the bus: it sends rejected tokens to tokens, which Lambda retries once.
func (w *world) deliver(e awstest.Event) {
	if e.DetailType != "Token Rejected" {
		return
	}
	event, _ := json.Marshal(events.EventBridgeEvent{ // of texts
		ID: e.ID, DetailType: e.DetailType, Source: e.Source, Time: e.Time.UTC(), Resources: e.Resources, Detail: e.Detail,
	})
	w.running.Go(func() {
		if _, err := w.invoke("tokens", json.RawMessage(event)); err != nil {
			time.Sleep(time.Minute)
			w.invoke("tokens", json.RawMessage(event))
		}
	})
}

// poll is the queue's event source: it invokes the function with visible messages.
func (w *world) poll(q queue) {
	visible := func(m awstest.Message) bool { return !m.Visible.After(time.Now()) }
	if !slices.ContainsFunc(w.aws.Messages(q.url), visible) {
		return
	}
	ctx, client := context.Background(), w.sqs()
	received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: aws.String(q.url), MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		w.t.Error(err)
		return
	}
	var batch events.SQSEvent
	for _, m := range received.Messages {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle, Body: *m.Body,
			Attributes: m.Attributes, EventSource: "aws:sqs", EventSourceARN: "arn:aws:sqs:us-east-1:123456789012:queue"})
	}
	result, err := w.invoke(q.function, batch)
	var answer events.SQSEventResponse
	if err != nil || json.Unmarshal(result, &answer) != nil {
		return
	}
	for _, m := range received.Messages {
		failed := func(f events.SQSBatchItemFailure) bool { return f.ItemIdentifier == *m.MessageId }
		if slices.ContainsFunc(answer.BatchItemFailures, failed) {
			continue
		}
		if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(q.url), ReceiptHandle: m.ReceiptHandle}); err != nil {
			w.t.Error(err)
		}
	}
}
