package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	log      logging.Log
	check    checker
	opening  opening
	survey   survey
	accounts accounts
}

func (h handler) triggers() trigger.Triggers {
	routes := api.Routes{
		{Method: "GET", Path: "/accounts/{appid}/draft-switch", Handle: h.get},
		{Method: "POST", Path: "/accounts/{appid}/draft-switch", Handle: h.post},
		{Method: "GET", Path: "/accounts", Handle: h.accounts.list},
	}
	return trigger.Triggers{
		HTTP: func(ctx context.Context, event json.RawMessage) (any, error) {
			return routes.Serve(ctx, h.log.Logger, event)
		},
		Tasks:     map[string]trigger.Task{surveyTask: h.survey.run},
		Scheduled: surveyTask,
		Messages:  h.survey.queue.receive,
	}
}

// answer is the body of both routes' answers.
type answer struct {
	AppID     string             `json:"appid"`
	IsOpen    *bool              `json:"is_open"`
	State     wechat.SwitchState `json:"state"`
	Changed   *bool              `json:"changed,omitempty"`
	CheckedAt time.Time          `json:"checked_at"`
}

func appID(r *api.Request) (string, error) {
	id := r.Params["appid"]
	if !settings.IsAppID(id) {
		return "", api.InvalidRequest("an appid is wx and 16 letters or digits")
	}
	return id, nil
}

// get answers GET /accounts/{appid}/draft-switch.
func (h handler) get(ctx context.Context, r *api.Request) (*api.Answer, error) {
	id, err := appID(r)
	if err != nil {
		return nil, err
	}
	found, err := h.check.check(ctx, id)
	if err != nil {
		return nil, err
	}
	return &api.Answer{Body: answer{AppID: id, IsOpen: isOpen(found.state), State: found.state, CheckedAt: found.at}}, nil
}

// post answers POST /accounts/{appid}/draft-switch. Each attempt leaves one audit line.
func (h handler) post(ctx context.Context, r *api.Request) (*api.Answer, error) {
	id, err := appID(r)
	if err != nil {
		return nil, err
	}
	var body map[string]any // a struct would take "CONFIRM" for "confirm"
	var done result
	if r.DecodeBody(&body) != nil || body["confirm"] != id {
		err = &api.Problem{Slug: "confirmation-required",
			Detail: "opening a draft switch can't be undone, so the body has to repeat the account's appid as confirm"}
	} else {
		done, err = h.opening.open(ctx, id)
	}
	outcome := done.outcome
	if err != nil {
		outcome = api.ProblemOf(err, done.at).Slug
	}
	r.Audit(ctx, h.log, "draft-switch-open", outcome, slog.String("appid", id))
	if err != nil {
		return nil, err
	}
	return &api.Answer{Status: done.status, Body: answer{
		AppID: id, IsOpen: isOpen(done.state), State: done.told(), Changed: &done.changed, CheckedAt: done.at,
	}}, nil
}
