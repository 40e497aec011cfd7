package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/listing"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	box   *box
	watch watcher
	log   logging.Log
}

func (h *handler) triggers() trigger.Triggers {
	routes := api.Routes{
		{Method: "GET", Path: "/drafts", Handle: h.list},
		{Method: "GET", Path: "/drafts/history", Handle: h.history},
		{Method: "GET", Path: "/drafts/{draft_id}", Handle: h.get},
	}
	return trigger.Triggers{
		HTTP: func(ctx context.Context, event json.RawMessage) (any, error) {
			return routes.Serve(ctx, h.log.Logger, event)
		},
		Tasks:     map[string]trigger.Task{watchTask: h.watch.run},
		Scheduled: watchTask,
	}
}

// list answers GET /drafts.
func (h *handler) list(ctx context.Context, r *api.Request) (*api.Answer, error) {
	query, err := listing.Parse(r.Query, nil)
	if err != nil {
		return nil, err
	}
	var content content
	if query.Fresh {
		content, err = h.box.listFresh(ctx)
	} else {
		content, _, err = h.box.list(ctx)
	}
	if err != nil {
		return nil, err
	}
	drafts := listing.Select(query, content.Drafts, func(d wechat.Draft) (wechat.Upload, int64) { return d.Upload, d.DraftID })
	encoded, err := plainjson.Marshal(drafts)
	if err != nil {
		return nil, fmt.Errorf("encode the drafts: %w", err)
	}
	maxAge := h.box.left(content)
	if query.Fresh { // whoever asks again must not be answered by a cache on the way
		maxAge = 0
	}
	return &api.Answer{
		Body: struct {
			Drafts    json.RawMessage `json:"drafts"`
			Count     int             `json:"count"`
			FetchedAt time.Time       `json:"fetched_at"`
		}{encoded, len(drafts), content.fetchedAt.UTC().Truncate(time.Second)},
		Cache: &api.Cache{MaxAge: maxAge, Content: encoded},
	}, nil
}

// get answers GET /drafts/{draft_id}.
func (h *handler) get(ctx context.Context, r *api.Request) (*api.Answer, error) {
	id, err := r.Number("draft_id")
	if err != nil {
		return nil, err
	}
	content, wasKept, err := h.box.list(ctx)
	draft, found := content.draft(id)
	if err == nil && !found && wasKept { // whoever was told of a draft a moment ago must find it
		content, err = h.box.listFresh(ctx)
		draft, found = content.draft(id)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, api.NotFound(fmt.Sprintf("there is no draft %d; a newer upload of its mini program may have replaced it", id))
	}
	encoded, err := plainjson.Marshal(draft)
	if err != nil {
		return nil, fmt.Errorf("encode the draft: %w", err)
	}
	return &api.Answer{
		Body:  json.RawMessage(encoded),
		Cache: &api.Cache{MaxAge: h.box.left(content), Content: encoded},
	}, nil
}

func (c content) draft(id int64) (wechat.Draft, bool) {
	for _, d := range c.Drafts {
		if d.DraftID == id {
			return d, true
		}
	}
	return wechat.Draft{}, false
}
