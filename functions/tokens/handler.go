package main

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/metrics"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/trigger"
)

type handler struct {
	*renewal.Renewer
	// stores are where the accounts' tokens can stand, by the names of ACCOUNT_TOKEN_STORE.
	stores map[string]token.Keeper
	queue  *queue.Worker

	metrics      *metrics.Recorder
	manageTokens bool   // for doctor
	egressIP     string // for doctor
}

func newHandler(parts bootstrap.Parts, renewer *renewal.Renewer, parameters parameter.Store) *handler {
	return &handler{
		Renewer: renewer,
		stores:  map[string]token.Keeper{"secretsmanager": parts.Secrets, "ssm": parameter.NewTokens(parameters)},
		queue:   queue.NewWorker(sqs.NewFromConfig(parts.AWS), parts.Settings.AuthorizationQueueURL, parts.Log.Logger),

		metrics:      parts.Metrics,
		manageTokens: parts.Settings.ManageTokens,
		egressIP:     parts.Settings.EgressIP,
	}
}

func (h *handler) triggers() trigger.Triggers {
	return trigger.Triggers{
		Tasks: map[string]trigger.Task{
			"refresh-tokens":      h.refreshAll,
			"import-accounts":     h.importAccounts,
			"move-account-tokens": h.moveAccountTokens,
			"doctor":              h.doctor,
		},
		Scheduled: "refresh-tokens",
		Messages: func(ctx context.Context, batch events.SQSEvent) (events.SQSEventResponse, error) {
			return h.queue.Work(ctx, batch, parallelAuthorizations, func(ctx context.Context, m events.SQSMessage) error {
				return h.authorize(ctx, m.Body)
			}), nil
		},
		Events: map[string]func(context.Context, json.RawMessage) error{
			eventbus.TokenRejected: h.rejected,
		},
	}
}
