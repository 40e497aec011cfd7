// Package token reads access tokens where they stand, keeps them for a while, and knows what to do when WeChat
// refuses one.
package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/single"
	"wechat-draftbox/pkg/wechat"
)

// Token is an access token that was read.
type Token struct {
	Access    secret.Value // empty where one has yet to be fetched with the refresh token or app secret beside it
	ExpiresAt time.Time    // zero: not known
	Version   string       // of the secret or parameter that held it
}

// Entry is what stands in a secret or parameter.
type Entry struct {
	Text    secret.Value
	Version string    // changes with each write
	Since   time.Time // when this version was written
}

// Store loads what stands for a holder's token. Errors are of package awserror.
type Store interface {
	Load(ctx context.Context, holder string) (Entry, error)
	Name(holder string) string
}

// UnknownAccount is the error for an account that no token is stored for.
type UnknownAccount struct{ AppID string }

func (u *UnknownAccount) Error() string { return "no token is stored for account " + u.AppID }

// Expired is the error for a stored token whose time is over, or that has yet to be fetched: it counts as refused,
// although nobody asked WeChat.
type Expired struct {
	Name    string // of what should hold the token
	Missing bool   // it was never fetched
}

func (e *Expired) Error() string { return e.Name + ": " + e.reason() }

func (e *Expired) reason() string {
	if e.Missing {
		return "no access token has been fetched yet"
	}
	return "the stored access token has expired"
}

// Unwrap is WeChat's refusal of such a token.
func (e *Expired) Unwrap() error {
	return &wechat.Error{Call: e.Name, Code: codeExpired, Message: e.reason()}
}

// Rejections is told of tokens that WeChat refused and that stand in the store unchanged, so that somebody
// fetches new ones.
type Rejections interface {
	TokenRejected(ctx context.Context, holder string, errcode int, version string)
}

// Source gives out tokens. It is safe for concurrent use.
type Source struct {
	store      Store
	rejections Rejections
	ttl        time.Duration
	now        func() time.Time
	loads      single.Group[loadKey, Token]

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	token  Token
	readAt time.Time
}

type loadKey struct {
	holder string
	fresh  bool // apart from other loads, which may have begun before the token was refused
}

// NewSource makes a source that keeps a token for ttl, and not past its expiry. now is the wall clock.
func NewSource(store Store, rejections Rejections, ttl time.Duration, now func() time.Time) *Source {
	return &Source{store: store, rejections: rejections, ttl: ttl, now: now, cache: make(map[string]cached)}
}

// Call calls WeChat with the holder's token. If WeChat refuses the token, it is read afresh, and the call is made once
// more if that gives another one; if it doesn't, source's Rejections are told. WeChat does nothing when it refuses a
// token, so writes may be called so too.
//
// Errors: those of call, [*UnknownAccount], [*awserror.Error], [*awserror.Malformed].
func Call[T any](ctx context.Context, source *Source, holder string, call func(context.Context, secret.Value) (T, error)) (T, error) {
	var none T
	token, err := source.get(ctx, holder)
	if err != nil {
		return none, err
	}
	fresh := token
	var refusal error
	if source.usable(token) {
		var result T
		if result, refusal = call(ctx, token.Access); !wechat.IsRefusedToken(refusal) {
			return result, refusal
		}
		if fresh, err = source.fresh(ctx, holder, token); err != nil {
			return none, err
		}
		if source.usable(fresh) && !fresh.Access.Equal(token.Access) {
			if result, refusal = call(ctx, fresh.Access); !wechat.IsRefusedToken(refusal) {
				return result, refusal
			}
		}
	} else {
		refusal = &Expired{source.store.Name(holder), token.Access.IsZero()}
	}
	var e *wechat.Error
	if errors.As(refusal, &e) {
		source.rejections.TokenRejected(ctx, holder, e.Code, fresh.Version)
	}
	return none, refusal
}

// Write is [Call] for a call that changes something. It gets half of the time that is left; the other half is for a look
// at what came of it.
func Write(ctx context.Context, source *Source, holder string, call func(context.Context, secret.Value) error) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	_, err := Call(ctx, source, holder, func(ctx context.Context, t secret.Value) (struct{}, error) {
		return struct{}{}, call(ctx, t)
	})
	return err
}

const codeExpired = 42001

// usable: a token that has expired, or has yet to be fetched, counts as refused without a call.
func (s *Source) usable(t Token) bool {
	return !t.Access.IsZero() && (t.ExpiresAt.IsZero() || s.now().Before(t.ExpiresAt))
}

// get is the holder's token from the cache or, where that has none any more, from the store.
func (s *Source) get(ctx context.Context, holder string) (Token, error) {
	if token, ok := s.cached(holder); ok {
		return token, nil
	}
	return s.share(ctx, loadKey{holder, false}, func(ctx context.Context) (Token, error) {
		if token, ok := s.cached(holder); ok { // a load that ended a moment ago
			return token, nil
		}
		return s.load(ctx, holder)
	})
}

// fresh reads the holder's token past the cache, unless the cache has another one than refused by now.
func (s *Source) fresh(ctx context.Context, holder string, refused Token) (Token, error) {
	another := func() (Token, bool) {
		token, ok := s.cached(holder)
		return token, ok && !token.Access.Equal(refused.Access)
	}
	if token, ok := another(); ok {
		return token, nil
	}
	return s.share(ctx, loadKey{holder, true}, func(ctx context.Context) (Token, error) {
		if token, ok := another(); ok { // a load that ended a moment ago
			return token, nil
		}
		return s.load(ctx, holder)
	})
}

func (s *Source) share(ctx context.Context, key loadKey, load func(context.Context) (Token, error)) (Token, error) {
	token, err := s.loads.Do(ctx, key, load)
	if err != nil && err == context.Cause(ctx) { // gave up while another caller was still reading
		err = awserror.Wrap("read", s.store.Name(key.holder), err)
	}
	return token, err
}

func (s *Source) cached(holder string) (Token, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.cache[holder]
	// Round(0): on the wall clock, since the monotonic one stands still while Lambda freezes the instance.
	age := s.now().Round(0).Sub(c.readAt)
	return c.token, ok && age >= 0 && age < s.ttl && s.usable(c.token)
}

func (s *Source) load(ctx context.Context, holder string) (Token, error) {
	entry, err := s.store.Load(ctx, holder)
	if holder != Component && awserror.Is(err, awserror.Missing) {
		return Token{}, &UnknownAccount{holder}
	}
	if err != nil {
		return Token{}, fmt.Errorf("read the token: %w", err)
	}
	stored, err := Parse(s.store.Name(holder), entry.Text)
	if err != nil {
		return Token{}, err
	}
	token := Token{Access: stored.Access, ExpiresAt: stored.ExpiresAt, Version: entry.Version}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache[holder] = cached{token, s.now().Round(0)}
	return token, nil
}
