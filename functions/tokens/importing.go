package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
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

// importAccounts is the task import-accounts: it stores the missing refresh tokens and items of all accounts in
// WeChat's list of authorizers. It is idempotent, as it overwrites nothing. The next run of refresh-tokens fetches the
// access tokens.
func (h *handler) importAccounts(ctx context.Context, _ json.RawMessage) (any, error) {
	result := importResult{Task: "import-accounts"}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	refreshErr := h.refreshComponentAlone(work, false) // this may be the first task after deployment
	run := importRun{
		renewer: h.renewer, ignoreMiniPrograms: h.ignoreMiniPrograms, list: h.renewer.Directory.List(), attempts: h.renewer.Attempts(),
		learner: h.renewer.Directory.Learner(h.renewer.Accounts, math.MaxInt, h.log()),
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(maxParallel)
	err := h.renewer.Directory.Each(work, func(one wechat.Authorizer) error {
		if wechat.IsReleaseCheck(one.AppID) {
			return nil
		}
		group.Go(func() error {
			outcome := importFailed
			if hasTime() {
				outcome = run.importAccount(work, one)
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
		return nil, errors.Join(refreshErr, err)
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

// importRun is one run of import-accounts.
type importRun struct {
	renewer            *renewal.Renewer
	learner            *platform.Learner
	list               *platform.List // read once per run
	attempts           *renewal.Attempts
	ignoreMiniPrograms bool
}

func (r importRun) importAccount(ctx context.Context, one wechat.Authorizer) importOutcome {
	fail := func(err error) importOutcome {
		r.renewer.Log.WarnContext(ctx, "an account could not be imported", "appid", one.AppID, "error", err.Error())
		return importFailed
	}
	account, err := r.renewer.Accounts.Get(ctx, one.AppID)
	if err != nil {
		return fail(err)
	}
	hadItem := account.IsStored()
	if account = r.learner.Learn(ctx, account); r.ignoreMiniPrograms && account.IsMiniProgram() {
		return importSkipped
	}
	outcome, err := r.importToken(ctx, one)
	if err != nil {
		return fail(err)
	}
	revived, err := r.reviveAccount(ctx, account, one)
	if err != nil {
		return fail(err)
	}
	if _, _, err = r.renewer.Accounts.Write(ctx, account, func(*state.Account) {}); err != nil {
		return fail(err)
	}
	if revived || !hadItem && outcome == importPresent {
		return importUpdated
	}
	return outcome
}

// reviveAccount tries once to refresh an account that was given up, because WeChat lists it with a refresh token: one
// recorded as unauthorized, or one that had to authorize again. It reports whether the account works again.
func (r importRun) reviveAccount(ctx context.Context, account state.Account, one wechat.Authorizer) (revived bool, err error) {
	if one.Refresh.IsZero() {
		return false, nil
	}
	wait := r.attempts.Wait(ctx, one.AppID)
	if account.Status != state.Unauthorized && (wait.Failures == 0 || !wait.Reauthorize) {
		return false, nil
	}
	stored, err := r.renewer.Read(ctx, one.AppID)
	if err != nil || stored.IsOwnAccount() {
		return false, err
	}
	stored.Refresh = one.Refresh // the stored one may belong to an earlier authorization
	err = r.attempts.Run(ctx, stored, wait, true, func() error {
		_, err := r.renewer.RenewAccount(ctx, stored, r.list, secret.Value{})
		return err
	})
	if err != nil || account.Status == state.Authorized {
		return err == nil, err
	}
	return true, r.renewer.Reauthorize(ctx, account)
}

// importToken stores the account's refresh token if it is missing.
func (r importRun) importToken(ctx context.Context, one wechat.Authorizer) (importOutcome, error) {
	stored, err := r.renewer.Read(ctx, one.AppID)
	if err != nil {
		return importFailed, err
	}
	if !lacksRefreshToken(stored) {
		return importPresent, nil
	}
	if one.Refresh.IsZero() {
		return importFailed, renewal.ErrNoRefreshToken
	}
	_, err = r.renewer.UpdateToken(ctx, stored, func(_ context.Context, stored token.Record) (token.Record, error) {
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

// lacksRefreshToken reports whether an account needs a refresh token and has none; an own account needs none.
func lacksRefreshToken(t token.Record) bool { return t.Refresh.IsZero() && t.AppSecret.IsZero() }
