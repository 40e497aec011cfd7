package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/robottest"
	"wechat-draftbox/pkg/trigger"
)

const secretID = "wechat/draftbox/notify"

// made are the robots of a scene, one of each kind.
var made = []robottest.Robot{
	{Name: "wecom", Kind: robot.WeCom, Key: "key-of-the-wecom-robot"},
	{Name: "dingtalk", Kind: robot.DingTalk, Key: "token-of-the-dingtalk-robot", Secret: "SEC-of-the-dingtalk-robot"},
	{Name: "feishu", Kind: robot.Feishu, Key: "hook-of-the-feishu-robot", Secret: "secret-of-the-feishu-robot"},
	{Name: "slack", Kind: robot.Slack, Key: "T000-B000-path-of-the-slack-robot"},
}

// scene is the function with its queue and the robots of a chat.
type scene struct {
	*testing.T
	world       *functiontest.World
	chat        *robottest.Server
	base        string // of the chat's URLs
	f           *functiontest.Function
	client      *sqs.Client
	queue, dead string // URLs
}

// newScene makes a scene. robots are as the secret has them, after a name that made has; nil: all, with nothing set.
func newScene(t *testing.T, settings map[string]map[string]any) *scene {
	t.Helper()
	world := functiontest.New(t)
	s := &scene{T: t, world: world, chat: robottest.New(made, robottest.WithClock(world.Clock.Now))}
	server := httptest.NewServer(s.chat)
	t.Cleanup(func() {
		server.CloseClientConnections() // one may hang on purpose
		server.Close()
	})
	s.base = server.URL
	for _, r := range made {
		world.Secrets = append(world.Secrets, r.Key)
		if r.Secret != "" {
			world.Secrets = append(world.Secrets, r.Secret)
		}
	}
	s.store(settings)
	// As template.yaml makes them.
	s.dead = world.AWS.CreateQueue("notice-dead-letters")
	s.queue = world.AWS.CreateQueue("notices", awstest.VisibilityTimeout(4*time.Minute), awstest.DeadLetters(s.dead, 15))
	world.Env["NOTICE_QUEUE_URL"] = s.queue
	s.f = world.Start(wire)
	world.Start(func(deps bootstrap.Deps) trigger.Router {
		s.client = sqs.NewFromConfig(deps.AWS)
		return trigger.Router{}
	})
	return s
}

// store writes the secret with those of the robots that settings name; nil: all.
func (s *scene) store(settings map[string]map[string]any) {
	var robots []map[string]any
	for _, r := range made {
		more, ok := settings[r.Name]
		if !ok && settings != nil {
			continue
		}
		one := map[string]any{"name": r.Name, "kind": r.Kind, "url": r.URL(s.base), "secret": r.Secret, "language": "en"}
		for key, value := range more {
			one[key] = value
		}
		robots = append(robots, one)
	}
	text, _ := json.Marshal(map[string]any{"robots": robots})
	s.world.AWS.SetSecret(secretID, string(text))
}

func envelope(id, detailType, detail string) string {
	return fmt.Sprintf(`{"version":"0","id":%q,"detail-type":%q,"source":"wechat.draftbox","account":"123456789012","time":"2026-01-02T03:04:05Z","region":"us-east-1","resources":["wechat/draftbox"],"detail":%s}`, id, detailType, detail)
}

func uploaded(id string) string {
	return envelope("envelope-"+id, "Draft Uploaded", fmt.Sprintf(`{"id":%q,"draft":{"draft_id":4,"user_version":%q,"developer":"X"}}`, id, "version-"+id))
}

// send adds events to the queue.
func (s *scene) send(bodies ...string) {
	s.Helper()
	for _, body := range bodies {
		if _, err := s.client.SendMessage(s.Context(), &sqs.SendMessageInput{QueueUrl: &s.queue, MessageBody: &body}); err != nil {
			s.Fatal(err)
		}
	}
}

// poll passes the queue's messages to the function, as Lambda's event source does, and returns how many there were and
// how many are to be received again.
func (s *scene) poll() (messages, again int) {
	s.Helper()
	messages, again, err := s.tryPoll(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return messages, again
}

func (s *scene) tryPoll(ctx context.Context) (messages, again int, err error) {
	s.Helper()
	received, err := s.client.ReceiveMessage(s.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &s.queue, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		s.Fatal(err)
	}
	if len(received.Messages) == 0 {
		return 0, 0, nil
	}
	var batch events.SQSEvent
	for _, m := range received.Messages {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle,
			Body: *m.Body, Attributes: m.Attributes, EventSource: "aws:sqs"})
	}
	result, err := s.f.Invoke(ctx, batch)
	if err != nil {
		return len(batch.Records), len(batch.Records), err
	}
	var answer events.SQSEventResponse
	if err := json.Unmarshal(result, &answer); err != nil || answer.BatchItemFailures == nil {
		s.Fatalf("answer %s: %v", result, err)
	}
	for _, m := range received.Messages {
		if slices.ContainsFunc(answer.BatchItemFailures, func(f events.SQSBatchItemFailure) bool { return f.ItemIdentifier == *m.MessageId }) {
			continue
		}
		if _, err := s.client.DeleteMessage(s.Context(), &sqs.DeleteMessageInput{QueueUrl: &s.queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
			s.Fatal(err)
		}
	}
	return len(batch.Records), len(answer.BatchItemFailures), nil
}

// wantTaken compares how many messages each robot accepted.
func (s *scene) wantTaken(want map[string]int) {
	s.Helper()
	for _, r := range made {
		if got := len(s.chat.Messages(r.Name)); got != want[r.Name] {
			s.Errorf("%s took %d messages, want %d", r.Name, got, want[r.Name])
		}
	}
}

// wait is the visibility timeout of the messages in the queue.
func (s *scene) wait() (least, most time.Duration) {
	for i, m := range s.world.AWS.Messages(s.queue) {
		left := m.Visible.Sub(s.world.Clock.Now()).Round(time.Second)
		if least = min(least, left); i == 0 {
			least = left
		}
		most = max(most, left)
	}
	return least, most
}

func (s *scene) text(name string) string {
	var texts []string
	for _, m := range s.chat.Messages(name) {
		texts = append(texts, m.Text)
	}
	return strings.Join(texts, "\n====\n")
}

var each = map[string]int{"wecom": 1, "dingtalk": 1, "feishu": 1, "slack": 1}

func record(id, body string) events.SQSMessage {
	return events.SQSMessage{MessageId: id, ReceiptHandle: "receipt of " + id, EventSource: "aws:sqs", Body: body,
		Attributes: map[string]string{"ApproximateReceiveCount": "1"}}
}
