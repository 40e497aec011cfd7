package main

import (
	"context"
	"math"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

// defaultHistoryLimit is the page size if the query has no limit.
const defaultHistoryLimit = 100

// historyEntry is a draft in the history as the API shows it.
type historyEntry struct {
	Draft       wechat.Draft    `json:"draft"`
	SeenAt      time.Time       `json:"seen_at"`
	GoneAt      *time.Time      `json:"gone_at"`
	ReplacedBy  *state.DraftKey `json:"replaced_by"`
	TemplateIDs []int64         `json:"template_ids"`
}

func timeOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC())
}

// history answers GET /drafts/history.
func (h *handler) history(ctx context.Context, r *api.Request) (*api.Response, error) {
	query, err := readHistoryQuery(r)
	if err != nil {
		return nil, err
	}
	records, next, err := h.watch.drafts.History(ctx, query)
	if err != nil {
		return nil, err
	}
	page := make([]historyEntry, 0, len(records))
	for _, record := range records {
		page = append(page, historyEntry{
			record.Draft, record.SeenAt.UTC(), timeOrNull(record.GoneAt), record.ReplacedBy, record.TemplateIDs,
		})
	}
	body, err := api.Encode(struct {
		Drafts []historyEntry `json:"drafts"`
		Next   string         `json:"next,omitempty"`
	}{page, api.WriteCursor(next)})
	if err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Tagged(r, body, body), Cache: &api.Cache{}}, nil
}

func readHistoryQuery(r *api.Request) (state.HistoryQuery, error) {
	q := state.HistoryQuery{Until: math.MaxInt64, Limit: defaultHistoryLimit}
	var source, developer *string
	err := api.ReadQuery(r.Query, map[string]func(string) error{
		"source_miniprogram_appid": func(v string) error { source = &v; return nil },
		"developer":                func(v string) error { developer = &v; return nil },
		"since": func(v string) error {
			at, err := api.ParseTime(v)
			q.Since = at.Add(time.Second - 1).Unix() // round up to a whole second
			return err
		},
		"until": func(v string) error {
			at, err := api.ParseTime(v)
			q.Until = at.Unix()
			return err
		},
		"limit": func(v string) (err error) { q.Limit, err = api.Limit(v); return err },
		"next": func(v string) (err error) {
			q.After, err = api.ReadCursor(v, state.IsDraftPosition)
			return err
		},
	})
	if source != nil || developer != nil {
		q.Match = func(d wechat.Draft) bool {
			return (source == nil || d.SourceMiniprogramAppID == *source) && (developer == nil || d.Developer == *developer)
		}
	}
	return q, err
}
