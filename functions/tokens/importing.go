package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/authorizer"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// importResult is the result of import-accounts.
type importResult struct {
	Task     string `json:"task"`
	Accounts int    `json:"accounts"` // in WeChat's list, without the ignored
	Added    int    `json:"added"`    // had no token
	Updated  int    `json:"updated"`  // had no refresh token, or no item
	Failed   int    `json:"failed"`
}

// importAccounts does import-accounts: every account in WeChat's list of authorizers gets its refresh token stored, and
// its item written, where they are missing. It changes nothing that is there, so it can be repeated. The access tokens
// come with the next run of refresh-tokens.
func (h *handler) importAccounts(ctx context.Context, _ json.RawMessage) (any, error) {
	result := importResult{Task: "import-accounts"}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	unrenewed := h.refreshComponentAlone(work) // it may be the first task ever
	learner := h.renewer.Directory.Learner(h.renewer.Accounts, math.MaxInt, h.log())
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(maxParallel)
	err := h.renewer.Directory.Each(work, func(one wechat.Authorizer) error {
		group.Go(func() error {
			outcome := importFailed
			if hasTime() {
				outcome = h.importAccount(work, one, learner)
			}
			mu.Lock()
			defer mu.Unlock()
			result.count(outcome)
			return nil
		})
		return nil
	})
	group.Wait()
	h.log().InfoContext(ctx, "accounts imported", "task", result.Task, "accounts", result.Accounts,
		"added", result.Added, "updated", result.Updated, "failed", result.Failed)
	if err != nil {
		return nil, errors.Join(unrenewed, err)
	}
	return result, nil
}

type importOutcome int

const (
	importPresent importOutcome = iota
	importAdded
	importUpdated
	importFailed
	importSkipped
)

func (r *importResult) count(outcome importOutcome) {
	switch outcome {
	case importSkipped:
		return
	case importAdded:
		r.Added++
	case importUpdated:
		r.Updated++
	case importFailed:
		r.Failed++
	}
	r.Accounts++
}

func (h *handler) importAccount(ctx context.Context, one wechat.Authorizer, learner *authorizer.Learner) importOutcome {
	fail := func(err error) importOutcome {
		h.log().WarnContext(ctx, "an account could not be imported", "appid", one.AppID, "error", err.Error())
		return importFailed
	}
	account, err := h.renewer.Accounts.Get(ctx, one.AppID)
	if err != nil {
		return fail(err)
	}
	hadItem := account.IsStored()
	if account = learner.Learn(ctx, account); h.ignoreMiniPrograms && account.IsMiniProgram() {
		return importSkipped
	}
	outcome, err := h.importToken(ctx, one)
	if err != nil {
		return fail(err)
	}
	if _, _, err = h.renewer.Accounts.Write(ctx, account, func(*state.Account) {}); err != nil {
		return fail(err)
	}
	if !hadItem && outcome == importPresent {
		outcome = importUpdated
	}
	return outcome
}

// importToken stores an account's refresh token where it is missing.
func (h *handler) importToken(ctx context.Context, one wechat.Authorizer) (importOutcome, error) {
	stored, err := h.renewer.Read(ctx, one.AppID)
	if err != nil {
		return importFailed, err
	}
	if !lacksRefreshToken(stored) {
		return importPresent, nil
	}
	if one.Refresh.IsZero() {
		return importFailed, renewal.ErrNoRefreshToken
	}
	_, err = h.renewer.UpdateToken(ctx, stored, func(_ context.Context, stored token.Record) (token.Record, error) {
		if lacksRefreshToken(stored) {
			stored.Refresh = one.Refresh
		}
		return stored, nil
	})
	if stored.IsStored() {
		return importUpdated, err
	}
	return importAdded, err
}

// lacksRefreshToken: an own account needs none.
func lacksRefreshToken(t token.Record) bool { return t.Refresh.IsZero() && t.AppSecret.IsZero() }
