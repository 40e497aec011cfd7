package main

import (
	"context"
	"fmt"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	box   *box
	watch watcher
	log   telemetry.Log
}

func (h *handler) router() trigger.Router {
	routes := api.Routes{
		{Method: "GET", Path: "/drafts", Handle: h.list},
		{Method: "GET", Path: "/drafts/history", Handle: h.history},
		{Method: "GET", Path: "/drafts/{draft_id}", Handle: h.get},
	}
	return trigger.Router{
		HTTP:      func(ctx context.Context, event []byte) []byte { return routes.Serve(ctx, h.log.Logger, event) },
		Tasks:     map[string]trigger.Task{watchTask: h.watch.run},
		Scheduled: watchTask,
	}
}

// list answers GET /drafts.
func (h *handler) list(ctx context.Context, r *api.Request) (*api.Response, error) {
	query, err := api.ParseListQuery(r.Query, nil)
	if err != nil {
		return nil, err
	}
	var list *draftList
	var maxAge time.Duration // 0 for fresh=true, so that no HTTP cache answers the next such request
	if query.Fresh {
		list, err = h.box.recent(ctx)
	} else {
		list, maxAge, err = h.box.cached(ctx)
	}
	if err != nil {
		return nil, err
	}
	body := list.answer(r.Query.Encode(), func() *api.Body {
		drafts := api.Select(query, list.Drafts, func(d *wechat.Draft) (*wechat.Upload, int64) { return &d.Upload, d.DraftID })
		body, content := list.encode(drafts)
		return api.Tagged(r, body, content)
	})
	return &api.Response{Body: body, Cache: h.caching(list, maxAge)}, nil
}

func (h *handler) caching(list *draftList, maxAge time.Duration) *api.Cache {
	return &api.Cache{MaxAge: maxAge, Age: h.box.age(list), HasAge: true}
}

// get answers GET /drafts/{draft_id}.
func (h *handler) get(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := r.Number("draft_id")
	if err != nil {
		return nil, err
	}
	list, maxAge, err := h.box.cached(ctx)
	if err != nil {
		return nil, err
	}
	draft, found := list.draft(id)
	if !found { // it may be newer than the cached list
		if list, err = h.box.recent(ctx); err != nil {
			return nil, err
		}
		if draft, found = list.draft(id); !found {
			return nil, fault.New(fault.NotFound, fmt.Sprintf("there is no draft %d; a newer upload of its mini program may have replaced it", id))
		}
		maxAge = h.box.maxAge(list)
	}
	encoded := draft.AppendJSON(nil)
	return &api.Response{Body: api.Tagged(r, encoded, encoded), Cache: h.caching(list, maxAge)}, nil
}
