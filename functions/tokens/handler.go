package main

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/trigger"
)

type handler struct {
	renewer *renewal.Renewer
	queue   *queue.Worker

	metrics            *telemetry.Recorder
	ignoreMiniPrograms bool
	manageTokens       bool   // for doctor
	egressIP           string // for doctor
}

func newHandler(deps bootstrap.Deps) *handler {
	return &handler{
		renewer: renewal.New(deps),
		queue:   queue.NewWorker(sqs.NewFromConfig(deps.AWS), deps.Settings.AuthorizationQueueURL, deps.Log.Logger),

		metrics:            deps.Metrics,
		ignoreMiniPrograms: deps.Settings.IgnoreMiniPrograms,
		manageTokens:       deps.Settings.ManageTokens,
		egressIP:           deps.Settings.EgressIP,
	}
}

func (h *handler) log() *slog.Logger { return h.renewer.Log }

func (h *handler) router() trigger.Router {
	return trigger.Router{
		Tasks: map[string]trigger.Task{
			"refresh-tokens":      h.refreshAll,
			"import-accounts":     h.importAccounts,
			"move-account-tokens": h.moveAccountTokens,
			"doctor":              h.doctor,
			"tokens":              h.tokens,
		},
		Scheduled: "refresh-tokens",
		Messages: func(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
			return h.queue.Process(ctx, batch, parallelAuthorizations, func(ctx context.Context, m events.SQSMessage) error {
				return h.authorize(ctx, m)
			}), nil
		},
		Events: map[string]func(context.Context, json.RawMessage) error{
			eventbus.TokenRejected: h.rejected,
		},
	}
}
