package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

const (
	// defaultAccountsLimit is the page size if the query has no limit.
	defaultAccountsLimit = 100
	// maxFilteredReads limits how many pages of 1 MB a filtered request reads.
	maxFilteredReads = 30
)

// accountEntry is an account as the API shows it; null means unknown.
type accountEntry struct {
	AppID       string              `json:"appid"`
	Kind        *wechat.AccountKind `json:"kind"`
	Name        *string             `json:"name"`
	Status      state.Status        `json:"status"`
	DraftSwitch *wechat.SwitchState `json:"draft_switch"` // null: a mini program has none
	CheckedAt   *time.Time          `json:"checked_at"`
	Errcode     *int                `json:"errcode"`
}

func newAccountEntry(a state.Account) accountEntry {
	e := accountEntry{AppID: a.AppID, Status: a.Status}
	if a.Kind != "" {
		e.Kind = &a.Kind
	}
	if a.Name != "" {
		e.Name = &a.Name
	}
	if !a.IsMiniProgram() {
		e.DraftSwitch = &a.DraftSwitch
	}
	if !a.CheckedAt.IsZero() {
		e.CheckedAt = new(a.CheckedAt.UTC())
	}
	if a.Errcode != 0 {
		e.Errcode = &a.Errcode
	}
	return e
}

// accountsQuery is the query of GET /accounts; an empty filter matches all.
type accountsQuery struct {
	kind        wechat.AccountKind
	draftSwitch wechat.SwitchState
	status      state.Status
	limit       int
	after       string // appid
}

func (q accountsQuery) isFiltered() bool {
	return q.kind != "" || q.draftSwitch != "" || q.status != ""
}

// matches applies the filters. An account of unknown kind counts as an Official Account; a mini program has no draft
// switch.
func (q accountsQuery) matches(a state.Account) bool {
	return (q.kind == "" || q.kind == wechat.MiniProgram == a.IsMiniProgram()) &&
		(q.draftSwitch == "" || q.draftSwitch == a.DraftSwitch && !a.IsMiniProgram()) &&
		(q.status == "" || q.status == a.Status)
}

func readAccountsQuery(r *api.Request) (accountsQuery, error) {
	q := accountsQuery{limit: defaultAccountsLimit}
	err := api.ReadQuery(r.Query, map[string]func(string) error{
		"kind": func(v string) error {
			q.kind = wechat.AccountKind(v)
			return api.OneOf(v, string(wechat.OfficialAccount), string(wechat.MiniProgram))
		},
		"draft_switch": func(v string) error {
			q.draftSwitch = wechat.SwitchState(v)
			return api.OneOf(v, string(wechat.SwitchOpen), string(wechat.SwitchClosed), string(wechat.SwitchUnknown))
		},
		"status": func(v string) error {
			q.status = state.Status(v)
			return api.OneOf(v, string(state.Authorized), string(state.Unauthorized))
		},
		"limit": func(v string) (err error) { q.limit, err = api.Limit(v); return err },
		"next":  func(v string) (err error) { q.after, err = api.ReadCursor(v, wechat.IsAppID); return err },
	})
	return q, err
}

// listAccounts answers GET /accounts.
func (h handler) listAccounts(ctx context.Context, r *api.Request) (*api.Response, error) {
	query, err := readAccountsQuery(r)
	if err != nil {
		return nil, err
	}
	page, next, err := accountsPage(ctx, h.accounts, query)
	if err != nil {
		return nil, err
	}
	body, err := api.Encode(struct {
		Accounts []accountEntry `json:"accounts"`
		Next     string         `json:"next,omitempty"`
	}{page, api.WriteCursor(next)})
	if err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Tagged(r, body, body), Cache: &api.Cache{}}, nil
}

// accountsPage reads accounts until the page is full. Without a filter that takes one read.
func accountsPage(ctx context.Context, accounts state.Accounts, q accountsQuery) (page []accountEntry, next string, err error) {
	page, next = []accountEntry{}, q.after
	limit := q.limit
	if q.isFiltered() {
		limit = 0
	}
	for range maxFilteredReads {
		read, after, err := accounts.Page(ctx, next, limit)
		if err != nil {
			return nil, "", err
		}
		for i, a := range read {
			if !q.matches(a) {
				continue
			}
			page = append(page, newAccountEntry(a))
			if len(page) == q.limit && i < len(read)-1 {
				return page, a.AppID, nil
			}
		}
		if next = after; next == "" || len(page) == q.limit {
			break
		}
	}
	return page, next, nil
}
