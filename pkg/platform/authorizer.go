package platform

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Directory asks WeChat about the platform's authorizers, with the component token.
type Directory struct {
	WeChat   *wechat.Client
	Platform *cache.Value[Platform]
	Tokens   *token.Reader // reads the component's
}

// Each calls f for every account in WeChat's list of authorizers, until f returns an error.
func (d Directory) Each(ctx context.Context, f func(wechat.Authorizer) error) error {
	p, err := d.Platform.Get(ctx)
	if err != nil {
		return err
	}
	for offset := 0; ; {
		page, err := token.Call(ctx, d.Tokens, token.Component, func(ctx context.Context, component secret.Value) (wechat.AuthorizerPage, error) {
			return d.WeChat.Authorizers(ctx, component, p.AppID, offset)
		})
		if err != nil {
			return err
		}
		for _, one := range page.Authorizers {
			if err := f(one); err != nil {
				return err
			}
		}
		offset += page.Entries
		if page.Entries == 0 || offset >= page.Total {
			return nil
		}
	}
}

// Info asks WeChat for an account's name and kind.
func (d Directory) Info(ctx context.Context, appID string) (wechat.AuthorizerInfo, error) {
	p, err := d.Platform.Get(ctx)
	if err != nil {
		return wechat.AuthorizerInfo{}, err
	}
	return token.Call(ctx, d.Tokens, token.Component, func(ctx context.Context, component secret.Value) (wechat.AuthorizerInfo, error) {
		return d.WeChat.AuthorizerInfo(ctx, component, p.AppID, appID)
	})
}

// CodeEnded is WeChat's errcode for a revoked authorization.
const CodeEnded = 61003

// HasEnded asks WeChat again whether an account's authorization was revoked. A single [CodeEnded] isn't trusted.
func (d Directory) HasEnded(ctx context.Context, appID string) (bool, error) {
	_, err := d.Info(ctx, appID)
	var refusal *wechat.APIError
	if errors.As(err, &refusal) && refusal.Code == CodeEnded {
		return true, nil
	}
	return false, err
}

// ListError is the error where WeChat's list of authorizers can't be read.
type ListError struct{ Err error }

func (e *ListError) Error() string { return "read WeChat's list of authorizers: " + e.Err.Error() }

// Unwrap is why it can't be read.
func (e *ListError) Unwrap() error { return e.Err }

// List is WeChat's list of authorizers, read lazily and at most once, even if that fails. Make one for each invocation.
type List struct {
	directory Directory

	mu      sync.Mutex
	read    bool
	refresh map[string]secret.Value
	err     error
}

// List makes a list that isn't read yet.
func (d Directory) List() *List { return &List{directory: d} }

// RefreshToken is the account's refresh token in the list; empty where the list has none. The error is a [*ListError].
func (l *List) RefreshToken(ctx context.Context, appID string) (secret.Value, error) {
	l.mu.Lock() // all callers need the list, so they wait for the one that reads it
	defer l.mu.Unlock()
	if !l.read {
		l.read, l.refresh = true, make(map[string]secret.Value)
		l.err = l.directory.Each(ctx, func(one wechat.Authorizer) error {
			l.refresh[one.AppID] = one.Refresh
			return nil
		})
		if l.err != nil {
			l.err = &ListError{l.err}
		}
	}
	return l.refresh[appID], l.err
}

// Learner fetches the kinds and names of accounts, and stores them. Its number of calls is limited; the next run over all
// accounts continues with the rest.
type Learner struct {
	directory Directory
	accounts  state.Accounts
	log       *slog.Logger

	mu        sync.Mutex
	callsLeft int
}

// PerRun is how many accounts a run over all accounts fetches.
const PerRun = 20

// Learner makes a learner of at most calls calls.
func (d Directory) Learner(accounts state.Accounts, calls int, log *slog.Logger) *Learner {
	return &Learner{directory: d, accounts: accounts, callsLeft: calls, log: log}
}

// Learn returns the account with its kind and name, if they could be fetched. A failure is logged; an account of unknown
// kind counts as an Official Account.
func (l *Learner) Learn(ctx context.Context, a state.Account) state.Account {
	if a.Kind != "" || a.Status != state.Authorized || !l.useCall() {
		return a
	}
	info, err := l.directory.Info(ctx, a.AppID)
	if err != nil {
		l.handleError(ctx, a.AppID, err)
		return a
	}
	_, after, err := l.accounts.Write(ctx, a, func(a *state.Account) { SetInfo(a, info) })
	if err != nil {
		l.handleError(ctx, a.AppID, err)
		return a
	}
	return after
}

// SetInfo sets the account's name and kind.
func SetInfo(a *state.Account, info wechat.AuthorizerInfo) {
	a.Name, a.Kind = info.Name, info.Kind
}

func (l *Learner) useCall() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.callsLeft == 0 {
		return false
	}
	l.callsLeft--
	return true
}

// handleError logs err and stops further calls, unless WeChat's refusal concerns only this account.
func (l *Learner) handleError(ctx context.Context, appID string, err error) {
	var refusal *wechat.APIError
	if !errors.As(err, &refusal) || refusal.Info().Class != wechat.NotGranted {
		l.mu.Lock()
		l.callsLeft = 0
		l.mu.Unlock()
	}
	l.log.InfoContext(ctx, "could not learn what kind of account it is", "appid", appID, "error", err.Error())
}
