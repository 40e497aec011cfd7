package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	lib        library
	promotions *promotions
	log        telemetry.Log
	now        func() time.Time
}

// timing holds the durations that tests shorten.
type timing struct {
	pollInterval   time.Duration // of the library after a write
	additionTime   time.Duration // needed for an addition and the polls that follow
	historyTimeout time.Duration // for recording a promotion in the history, which delays the response
}

func newHandler(deps bootstrap.Deps, timing timing) handler {
	library := library{deps.WeChat, deps.Tokens(deps.Secrets), timing.pollInterval, deps.Log}
	table := state.NewTable(dynamodb.NewFromConfig(deps.AWS), deps.Settings.StateTable, deps.Now)
	history := table.Drafts(deps.Settings.HistoryRetention)
	return handler{lib: library, promotions: newPromotions(library, history, timing), log: deps.Log, now: deps.Now}
}

func (h handler) router() trigger.Router {
	routes := api.Routes{
		{Method: "POST", Path: "/drafts/latest/template", Handle: h.promoteLatest},
		{Method: "POST", Path: "/drafts/{draft_id}/template", Handle: h.promoteOne},
		{Method: "GET", Path: "/templates", Handle: h.list},
		{Method: "DELETE", Path: "/templates/{template_id}", Handle: h.delete},
	}
	return trigger.Router{
		HTTP: func(ctx context.Context, event []byte) []byte { return routes.Serve(ctx, h.log.Logger, event) },
	}
}

// promoteOne answers POST /drafts/{draft_id}/template.
func (h handler) promoteOne(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := r.Number("draft_id")
	if err != nil {
		return nil, err
	}
	if len(r.Query) > 0 { // a template_type in the query would be ignored
		return nil, fault.Invalid("this route takes no query parameters; template_type belongs in the body")
	}
	return h.promote(ctx, r, byID(id))
}

// promoteLatest answers POST /drafts/latest/template.
func (h handler) promoteLatest(ctx context.Context, r *api.Request) (*api.Response, error) {
	var appID string
	var version *string
	err := api.ReadQuery(r.Query, map[string]func(string) error{
		"source_miniprogram_appid": func(v string) error { appID = v; return nil },
		"user_version":             func(v string) error { version = &v; return nil },
	})
	if err != nil {
		return nil, err
	}
	if appID == "" {
		return nil, fault.Invalid("the query parameter source_miniprogram_appid has to say whose newest draft it is to be; user_version is optional")
	}
	return h.promote(ctx, r, newest(appID, version))
}

func (h handler) promote(ctx context.Context, r *api.Request, selectDraft selector) (*api.Response, error) {
	templateType, err := wantedType(r)
	if err != nil {
		return nil, err
	}
	template, isNew, err := h.promotions.promote(ctx, selectDraft, templateType)
	if err != nil {
		return nil, err
	}
	body, err := api.JSON(template)
	if err != nil || !isNew {
		return &api.Response{Body: body}, err
	}
	return &api.Response{
		Status: http.StatusCreated,
		Header: map[string]string{"Location": fmt.Sprintf("/templates/%d", template.TemplateID)},
		Body:   body,
	}, nil
}

// wantedType reads the optional body {"template_type": 0}.
func wantedType(r *api.Request) (int64, error) {
	const key = "template_type"
	body := map[string]json.RawMessage{key: json.RawMessage("0")} // default
	err := r.DecodeBody(&body)
	wanted, typeErr := readType(string(body[key]))
	if err != nil || typeErr != nil || len(body) != 1 {
		return 0, fault.Invalid(`the body can't be used: it may be empty, or {"template_type": 0} or {"template_type": 1}`)
	}
	return wanted, nil
}

// readType reads a template type: 0 is ordinary, 1 is standard.
func readType(v string) (int64, error) {
	if err := api.OneOf(v, "0", "1"); err != nil {
		return 0, err
	}
	return strconv.ParseInt(v, 10, 64)
}

// list answers GET /templates.
func (h handler) list(ctx context.Context, r *api.Request) (*api.Response, error) {
	var wanted *int64
	query, err := api.ParseListQuery(r.Query, map[string]func(string) error{
		"template_type": func(v string) error {
			t, err := readType(v)
			wanted = &t
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	all, err := h.lib.templates(ctx)
	if err != nil {
		return nil, err
	}
	at := h.now()
	// Filtered here and not by WeChat, because size counts templates of both types.
	var ofType []wechat.Template
	for _, t := range all {
		if wanted == nil || *wanted == t.TemplateType {
			ofType = append(ofType, t)
		}
	}
	templates := api.Select(query, ofType, func(t *wechat.Template) (*wechat.Upload, int64) { return &t.Upload, t.TemplateID })
	encoded, err := api.Encode(templates)
	if err != nil {
		return nil, err
	}
	body, err := api.Encode(struct {
		Templates json.RawMessage `json:"templates"`
		Count     int             `json:"count"`
		Size      int             `json:"size"`
		Limit     int             `json:"limit"`
		FetchedAt time.Time       `json:"fetched_at"`
	}{encoded, len(templates), len(all), wechat.TemplateLimit, at.UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Tagged(r, body, fmt.Appendf(nil, "%d\n%s", len(all), encoded)), Cache: &api.Cache{}}, nil
}

// delete answers DELETE /templates/{template_id}. Each attempt writes one audit line.
func (h handler) delete(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := r.Number("template_id")
	if err != nil {
		return nil, err
	}
	err = h.remove(ctx, id)
	outcome := "deleted"
	if err != nil {
		outcome = string(fault.Of(err, h.now()).Kind)
	}
	r.Audit(ctx, h.log, "template-delete", outcome, slog.Int64("template_id", id))
	if err != nil {
		return nil, err
	}
	return &api.Response{Status: http.StatusNoContent}, nil
}

// remove deletes a template. If the response was lost, it polls the library for the outcome.
func (h handler) remove(ctx context.Context, id int64) error {
	err := h.lib.delete(ctx, id)
	switch {
	case wechat.IsNotFound(err):
		return explained(err, fmt.Sprintf("there is no template %d", id))
	case !wechat.IsOutcomeUnknown(err):
		return err
	}
	isGone := func(left []wechat.Template) bool {
		return !slices.ContainsFunc(left, func(t wechat.Template) bool { return t.TemplateID == id })
	}
	if h.lib.poll(ctx, isGone) {
		return nil
	}
	return fault.New(fault.WeChatTimeout,
		"the answer to the deletion was lost, and the library could not be seen without the template; the deletion was not repeated").
		WithAction("List the templates in a minute; if it is still there, delete it again.")
}
