package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/queue"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	log      telemetry.Log
	check    checker
	opening  opening
	survey   survey
	accounts state.Accounts
	articles *articleDrafts
}

// newHandler wires the function. AWS clients for requests give up quickly; those for the survey retry longer.
func newHandler(deps bootstrap.Deps) handler {
	s, batches := deps.Settings, bootstrap.ForBatches(deps.AWS)
	database, batchDatabase := dynamodb.NewFromConfig(deps.AWS), dynamodb.NewFromConfig(batches)
	table, batchTable := state.NewTable(database, s.StateTable, deps.Now), state.NewTable(batchDatabase, s.StateTable, deps.Now)
	var tokens token.Getter = deps.Secrets
	var batchTokens token.Store = token.NewSecretsStore(secretsmanager.NewFromConfig(batches), s.SecretPrefix, s.KMSKey)
	if s.AccountTokenStore == bootstrap.DynamoDB {
		tokens = token.NewTableStore(database, s.TokenTable, deps.Now)
		batchTokens = token.NewTableStore(batchDatabase, s.TokenTable, deps.Now)
	}
	check := checker{deps.WeChat, deps.Tokens(tokens), deps.Now}
	directory := platform.Directory{
		WeChat: deps.WeChat, Tokens: deps.Tokens(deps.Secrets),
		Platform: platform.NewCache(deps.Secrets, s.TokenCacheTTL, deps.Now),
	}
	record := recorder{
		directory: directory,
		check:     checker{limitedClient{deps.WeChat, make(chan struct{}, maxInFlight)}, deps.Tokens(batchTokens), deps.Now},
		accounts:  batchTable.Accounts(), bus: deps.Bus, log: deps.Log.Logger,
	}
	queueClient := sqs.NewFromConfig(batches)
	return handler{
		log: deps.Log, check: check, accounts: table.Accounts(),
		articles: newArticleDrafts(deps.WeChat, check.tokens, deps.Now, deps.Log),
		opening: opening{
			check: check, opener: wechat.NewSwitchOpener(deps.WeChat), allowlist: s.Openable,
			table: table, bus: deps.Bus, log: deps.Log.Logger,
		},
		survey: survey{
			recorder: record, tokens: batchTokens, cursor: batchTable.SurveyCursor(), metrics: deps.Metrics, sleep: retry.Sleep,
			directory: directory,
			queue: checkQueue{
				recorder: record, client: queueClient, url: s.SwitchQueueURL,
				worker: queue.NewWorker(queueClient, s.SwitchQueueURL, deps.Log.Logger),
			},
		},
	}
}

func (h handler) router() trigger.Router {
	routes := api.Routes{
		{Method: "GET", Path: "/accounts/{appid}/draft-switch", Handle: h.get},
		{Method: "POST", Path: "/accounts/{appid}/draft-switch", Handle: h.post},
		{Method: "GET", Path: "/accounts/{appid}/drafts", Handle: h.articles.list},
		{Method: "GET", Path: "/accounts", Handle: h.listAccounts},
	}
	return trigger.Router{
		HTTP:      func(ctx context.Context, event []byte) []byte { return routes.Serve(ctx, h.log.Logger, event) },
		Tasks:     map[string]trigger.Task{surveyTask: h.survey.run},
		Scheduled: surveyTask,
		Messages:  h.survey.queue.receive,
	}
}

// answer is the response body of both draft-switch routes.
type answer struct {
	AppID     string             `json:"appid"`
	IsOpen    *bool              `json:"is_open"`
	State     wechat.SwitchState `json:"state"`
	By        stateSource        `json:"by,omitempty"`
	Changed   *bool              `json:"changed,omitempty"`
	CheckedAt time.Time          `json:"checked_at"`
}

func appID(r *api.Request) (string, error) {
	id := r.Params["appid"]
	if !wechat.IsAppID(id) {
		return "", fault.Invalid("an appid is wx and 16 letters or digits")
	}
	return id, nil
}

// get answers GET /accounts/{appid}/draft-switch.
func (h handler) get(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := appID(r)
	if err != nil {
		return nil, err
	}
	found, err := h.check.check(ctx, id)
	if err != nil {
		return nil, err
	}
	return jsonResponse(0, answer{AppID: id, IsOpen: isOpen(found.state), State: found.state, By: found.by, CheckedAt: found.at})
}

func jsonResponse(status int, v any) (*api.Response, error) {
	body, err := api.JSON(v)
	return &api.Response{Status: status, Body: body}, err
}

// post answers POST /accounts/{appid}/draft-switch. Each attempt writes one audit line.
func (h handler) post(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := appID(r)
	if err != nil {
		return nil, err
	}
	var body map[string]any // a struct would also match "CONFIRM"
	var done result
	if r.DecodeBody(&body) != nil || body["confirm"] != id {
		err = fault.New(fault.ConfirmationRequired,
			"opening a draft switch can't be undone, so the body has to repeat the account's appid as confirm")
	} else {
		done, err = h.opening.open(ctx, id)
	}
	outcome := done.outcome
	if err != nil {
		outcome = string(fault.Of(err, done.at).Kind)
	}
	r.Audit(ctx, h.log, "draft-switch-open", outcome, slog.String("appid", id))
	if err != nil {
		return nil, err
	}
	return jsonResponse(done.status, answer{
		AppID: id, IsOpen: isOpen(done.state), State: done.apiState(), Changed: &done.changed, CheckedAt: done.at,
	})
}
