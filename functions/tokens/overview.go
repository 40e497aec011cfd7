package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// overviewPage is the page size of the task tokens.
const overviewPage = 1000

// overview is the result of the task tokens.
type overview struct {
	Task   string          `json:"task"`
	Tokens []overviewEntry `json:"tokens"`
	Next   string          `json:"next,omitempty"`
}

// overviewEntry describes one token; null means unknown.
type overviewEntry struct {
	AppID     string              `json:"appid"` // empty: the component's
	Kind      *wechat.AccountKind `json:"kind"`
	Name      *string             `json:"name"`
	ExpiresAt *time.Time          `json:"expires_at"`
	FetchedAt *time.Time          `json:"fetched_at"`
	WaitUntil *time.Time          `json:"wait_until"` // no fetch before this time, after a failed one
	Errcode   *int                `json:"errcode"`    // of the last fetch, if it failed
}

func orNull[T comparable](value T) *T {
	var none T
	if value == none {
		return nil
	}
	return &value
}

func timeOrNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return new(at.UTC().Truncate(time.Second))
}

// tokens is the task tokens: it lists when each token was fetched and expires, the component's first, then the
// accounts' by appid.
func (h *handler) tokens(ctx context.Context, event json.RawMessage) (any, error) {
	var params struct {
		Next string `json:"next"`
	}
	if json.Unmarshal(event, &params) != nil || params.Next != "" && !wechat.IsAppID(params.Next) {
		return nil, errors.New(`tokens: "next" has to be the next of the former result`)
	}
	result := overview{Task: "tokens", Tokens: []overviewEntry{}}
	limit := overviewPage
	if params.Next == "" {
		limit--
		wait, err := h.renewer.Waits.Get(ctx, token.Component)
		if err != nil {
			return nil, err
		}
		component, err := h.describeToken(ctx, state.Account{}, wait)
		if err != nil {
			return nil, err
		}
		result.Tokens = append(result.Tokens, *component)
	}
	page, next, err := h.renewer.Accounts.Page(ctx, params.Next, limit)
	if err != nil {
		return nil, err
	}
	entries, err := h.describeTokens(ctx, page)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry != nil {
			result.Tokens = append(result.Tokens, *entry)
		}
	}
	result.Next = next
	return result, nil
}

// describeTokens describes the accounts' tokens in the same order; the entry of an account without a token is nil.
func (h *handler) describeTokens(ctx context.Context, page []state.Account) ([]*overviewEntry, error) {
	var appIDs []string
	for _, a := range page {
		appIDs = append(appIDs, a.AppID)
	}
	waits, err := h.renewer.Waits.GetAll(ctx, appIDs)
	if err != nil {
		return nil, err
	}
	entries := make([]*overviewEntry, len(page))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for i, a := range page {
		group.Go(func() (err error) {
			entries[i], err = h.describeToken(ctx, a, waits[a.AppID])
			return err
		})
	}
	return entries, group.Wait()
}

func (h *handler) describeToken(ctx context.Context, a state.Account, wait state.Wait) (*overviewEntry, error) {
	record, err := h.renewer.Read(ctx, a.AppID)
	var malformed *awserror.MalformedError
	if err != nil && !errors.As(err, &malformed) {
		return nil, err
	}
	if !record.IsStored() && a.AppID != token.Component {
		return nil, nil
	}
	entry := &overviewEntry{
		AppID: a.AppID, Kind: orNull(a.Kind), Name: orNull(a.Name),
		ExpiresAt: timeOrNull(record.ExpiresAt), FetchedAt: timeOrNull(record.UpdatedAt),
	}
	if wait.Failures > 0 {
		entry.WaitUntil, entry.Errcode = timeOrNull(wait.Until), &wait.Errcode
	}
	return entry, nil
}
