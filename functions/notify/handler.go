package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/trigger"
)

const testTask = "notify-test"

type handler struct {
	log        telemetry.Log
	robots     *cache.Value[[]robot.Robot]
	dispatcher dispatcher
	worker     *queue.Worker
}

func newHandler(deps bootstrap.Deps) handler {
	s := deps.Settings
	return handler{
		log:    deps.Log,
		robots: robot.NewCache(deps.Secrets, s.TokenCacheTTL, deps.Now),
		dispatcher: dispatcher{
			client:  robot.NewClient(deps.Now),
			notices: state.NewTable(dynamodb.NewFromConfig(deps.AWS), s.StateTable, deps.Now).Notices(),
			pauses:  newPauses(deps.Now),
			metrics: deps.Metrics,
			log:     deps.Log.Logger,
		},
		worker: queue.NewWorker(sqs.NewFromConfig(deps.AWS), s.NoticeQueueURL, deps.Log.Logger),
	}
}

func (h handler) router() trigger.Router {
	return trigger.Router{Tasks: map[string]trigger.Task{testTask: h.test}, Messages: h.receive}
}

// testResult is the result of the task notify-test.
type testResult struct {
	Task   string        `json:"task"`
	Robots []testedRobot `json:"robots"`
}

type testedRobot struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// test reads the secret afresh and sends one message to each robot.
func (h handler) test(ctx context.Context, _ json.RawMessage) (any, error) {
	robots, err := h.robots.Fresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", testTask, err)
	}
	result := testResult{testTask, make([]testedRobot, len(robots))}
	var sending sync.WaitGroup
	for i, r := range robots {
		sending.Go(func() { result.Robots[i] = h.testOne(ctx, r) })
	}
	sending.Wait()
	h.log.InfoContext(ctx, "tested the robots", "task", result.Task, "robots", result.Robots)
	return result, nil
}

func (h handler) testOne(ctx context.Context, r robot.Robot) testedRobot {
	if err := h.dispatcher.client.Send(ctx, r, Test(r)); err != nil {
		return testedRobot{Name: r.Name, Detail: err.Error()}
	}
	return testedRobot{Name: r.Name, OK: true, Detail: "the message was accepted"}
}
