package renewal

import (
	"context"
	"fmt"
	"sync"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Authorizers is WeChat's list of the accounts that authorised the platform, read at most once, even if that fails, and
// only if somebody needs it. Make one for each invocation.
type Authorizers struct {
	renewer *Renewer

	mu      sync.Mutex
	read    bool
	refresh map[string]secret.Value
	err     error
}

// Authorizers makes a list that isn't read yet.
func (r *Renewer) Authorizers() *Authorizers { return &Authorizers{renewer: r} }

// refreshToken is the account's refresh token in the list; empty where the list has none.
func (a *Authorizers) refreshToken(ctx context.Context, appID string) (secret.Value, error) {
	a.mu.Lock() // the others wait for the one who reads; all of them need it
	defer a.mu.Unlock()
	if !a.read {
		a.read, a.refresh = true, make(map[string]secret.Value)
		a.err = a.renewer.EachAuthorizer(ctx, func(one wechat.Authorizer) error {
			a.refresh[one.AppID] = one.Refresh
			return nil
		})
		if a.err != nil {
			a.err = fmt.Errorf("read WeChat's list of authorizers: %w", a.err)
		}
	}
	return a.refresh[appID], a.err
}

// EachAuthorizer calls f for every account in WeChat's list, until f returns an error.
func (r *Renewer) EachAuthorizer(ctx context.Context, f func(wechat.Authorizer) error) error {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return err
	}
	type page struct {
		authorizers []wechat.Authorizer
		total       int
	}
	for offset := 0; ; {
		got, err := token.Call(ctx, r.Tokens, token.Component, func(ctx context.Context, component secret.Value) (page, error) {
			authorizers, total, err := r.WeChat.Authorizers(ctx, component, p.AppID, offset)
			return page{authorizers, total}, err
		})
		if err != nil {
			return err
		}
		for _, one := range got.authorizers {
			if err := f(one); err != nil {
				return err
			}
		}
		offset += len(got.authorizers)
		if len(got.authorizers) == 0 || offset >= got.total {
			return nil
		}
	}
}
