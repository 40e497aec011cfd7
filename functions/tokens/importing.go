package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// importResult is the result of import-accounts.
type importResult struct {
	Task     string `json:"task"`
	Accounts int    `json:"accounts"` // Official Accounts in WeChat's list
	Added    int    `json:"added"`
	Updated  int    `json:"updated"` // had no refresh token, or no parameter
	Failed   int    `json:"failed"`
}

// importAccounts does import-accounts: every account in WeChat's list of authorizers gets its refresh token stored, and
// its parameter made, where they are missing. It changes nothing that is there, so it can be repeated. The access
// tokens come with the next run of refresh-tokens. Mini programs are passed over: they have no draft switch.
func (h *handler) importAccounts(ctx context.Context, _ json.RawMessage) (any, error) {
	result := importResult{Task: "import-accounts"}
	var mu sync.Mutex
	work, done, enough := span(ctx)
	defer done()
	turn := h.Turn(littlePatience)
	_, _, unrenewed := h.KeepComponent(work, turn) // it may be the first task ever
	turn.End()
	var group errgroup.Group
	group.SetLimit(parallel)
	err := h.EachAuthorizer(work, func(one wechat.Authorizer) error {
		group.Go(func() error {
			outcome := failed
			if enough() {
				outcome = h.importAccount(work, one)
			}
			mu.Lock()
			defer mu.Unlock()
			switch outcome {
			case passedOver:
				return nil
			case added:
				result.Added++
			case updated:
				result.Updated++
			case failed:
				result.Failed++
			}
			result.Accounts++
			return nil
		})
		return nil
	})
	group.Wait()
	h.Log.InfoContext(ctx, "accounts imported", "task", result.Task, "accounts", result.Accounts,
		"added", result.Added, "updated", result.Updated, "failed", result.Failed)
	if err != nil {
		return nil, errors.Join(unrenewed, err)
	}
	return result, nil
}

type outcome int

const (
	present outcome = iota
	added
	updated
	failed
	passedOver
)

func (h *handler) importAccount(ctx context.Context, one wechat.Authorizer) outcome {
	fail := func(err error) outcome {
		h.Log.WarnContext(ctx, "an account could not be imported", "appid", one.AppID, "error", err.Error())
		return failed
	}
	entry, stored, err := h.Read(ctx, one.AppID)
	if err != nil {
		return fail(err)
	}
	if entry.Version == "" && h.isMiniProgram(ctx, one.AppID) {
		return passedOver
	}
	result := present
	if lacksRefreshToken(stored) {
		if one.Refresh.IsZero() {
			return fail(renewal.ErrNoRefreshToken)
		}
		_, err := h.Keep(ctx, one.AppID, entry, stored, func(_ context.Context, stored token.Stored) (token.Stored, error) {
			if lacksRefreshToken(stored) {
				stored.Refresh = one.Refresh
			}
			return stored, nil
		})
		if err != nil {
			return fail(err)
		}
		if result = updated; entry.Version == "" {
			result = added
		}
	}
	_, err = h.Records.Get(ctx, one.AppID)
	if awserror.Is(err, awserror.Missing) {
		if _, _, err = h.Records.Update(ctx, one.AppID, func(*account.Record) {}); err == nil && result == present {
			result = updated
		}
	}
	if err != nil {
		return fail(err)
	}
	return result
}

// lacksRefreshToken: an own account needs none.
func lacksRefreshToken(stored token.Stored) bool {
	return stored.Refresh.IsZero() && stored.AppSecret.IsZero()
}

// isMiniProgram asks WeChat. Where that fails, the account is taken for an Official Account: a token too many costs
// less than an account forgotten.
func (h *handler) isMiniProgram(ctx context.Context, appID string) bool {
	p, err := h.Platform.Get(ctx)
	if err != nil {
		return false
	}
	is, err := token.Call(ctx, h.Tokens, token.Component, func(ctx context.Context, component secret.Value) (bool, error) {
		return h.WeChat.IsMiniProgram(ctx, component, p.AppID, appID)
	})
	return err == nil && is
}
