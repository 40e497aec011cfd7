package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/listing"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

type handler struct {
	box   *box
	watch watcher
	log   logging.Log
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
	encoded, err := api.Encode(drafts)
	if err != nil {
		return nil, err
	}
	body, err := api.Encode(struct {
		Drafts    json.RawMessage `json:"drafts"`
		Count     int             `json:"count"`
		FetchedAt time.Time       `json:"fetched_at"`
	}{encoded, len(drafts), content.fetchedAt.UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	maxAge := h.box.left(content)
	if query.Fresh { // whoever asks again must not be answered by a cache on the way
		maxAge = 0
	}
	return &api.Response{Body: api.Tagged(r, body, encoded), Cache: &api.Cache{MaxAge: maxAge}}, nil
}

// get answers GET /drafts/{draft_id}.
func (h *handler) get(ctx context.Context, r *api.Request) (*api.Response, error) {
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
		return nil, fault.New(fault.NotFound, fmt.Sprintf("there is no draft %d; a newer upload of its mini program may have replaced it", id))
	}
	encoded, err := api.Encode(draft)
	if err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Tagged(r, encoded, encoded), Cache: &api.Cache{MaxAge: h.box.left(content)}}, nil
}

func (c content) draft(id int64) (wechat.Draft, bool) {
	for _, d := range c.Drafts {
		if d.DraftID == id {
			return d, true
		}
	}
	return wechat.Draft{}, false
}
