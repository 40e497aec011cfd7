// Package token stores and caches tokens, and handles WeChat's refusal of one.
//
// A [Record] is a token with the credential that renews it. There are two stores: [SecretsStore] and [TableStore]. A
// [Reader] calls WeChat with the tokens.
package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

// UnknownAccountError is the error for an account without a stored token.
type UnknownAccountError struct{ AppID string }

func (u *UnknownAccountError) Error() string { return "no token is stored for account " + u.AppID }

// Fault implements [fault.Faulter].
func (u *UnknownAccountError) Fault(time.Time) fault.Fault {
	return fault.Fault{Kind: fault.UnknownAccount, Detail: u.Error()}
}

// ExpiredError is the error for a stored token that has expired or was never fetched. It counts as refused by WeChat,
// without a call.
type ExpiredError struct {
	Name    string // of the secret or item
	Missing bool   // it was never fetched
}

func (e *ExpiredError) Error() string { return e.Name + ": " + e.reason() }

func (e *ExpiredError) reason() string {
	if e.Missing {
		return "no access token has been fetched yet"
	}
	return "the stored access token has expired"
}

// Fault implements [fault.Faulter].
func (e *ExpiredError) Fault(now time.Time) fault.Fault {
	f := fault.Of(e.Unwrap(), now)
	f.Detail = e.Error()
	return f
}

// Unwrap is the refusal that WeChat would give.
func (e *ExpiredError) Unwrap() error {
	return &wechat.APIError{Call: e.Name, Code: codeExpired, Message: e.reason()}
}

// RejectionNotifier is called when WeChat refused the token that is currently stored, so that a new one is fetched.
type RejectionNotifier interface {
	TokenRejected(ctx context.Context, owner string, errcode int, version string)
}

// Reader reads tokens and caches them. It is safe for concurrent use.
type Reader struct {
	store    Getter
	notifier RejectionNotifier
	ttl      time.Duration
	now      func() time.Time
	loads    cache.Group[loadKey, Record]

	mu       sync.Mutex
	cache    map[string]cached
	notified map[string]notification
}

// notification is the last report of a rejection.
type notification struct {
	version string
	at      time.Time
}

type cached struct {
	record Record
	readAt time.Time
}

type loadKey struct {
	owner string
	fresh bool // not shared with loads that may have begun before the refusal
}

// NewReader makes a reader that caches a token for ttl, and not past its expiry. now is the wall clock.
func NewReader(store Getter, notifier RejectionNotifier, ttl time.Duration, now func() time.Time) *Reader {
	return &Reader{store: store, notifier: notifier, ttl: ttl, now: now, cache: make(map[string]cached), notified: make(map[string]notification)}
}

// Call calls WeChat with the owner's token. If WeChat refuses the token, Call reads it past the cache and retries once with
// a different one; otherwise it calls the reader's notifier. A call with a refused token has no effect, so this is safe for
// writes.
//
// Errors: those of call, [*UnknownAccountError], [*awserror.Error], [*awserror.MalformedError].
func Call[T any](ctx context.Context, reader *Reader, owner string, call func(context.Context, secret.Value) (T, error)) (T, error) {
	var none T
	token, err := reader.get(ctx, owner)
	if err != nil {
		return none, err
	}
	fresh := token
	var refusal error
	attempt := func(t Record) (T, error) {
		result, err := call(ctx, t.Access)
		if owner != Component {
			wechat.SetCaller(err, t.caller())
		}
		return result, err
	}
	if reader.usable(token) {
		var result T
		if result, refusal = attempt(token); !wechat.IsRefusedToken(refusal) {
			return result, refusal
		}
		if fresh, err = reader.fresh(ctx, owner, token); err != nil {
			return none, err
		}
		if reader.usable(fresh) && !fresh.Access.Equal(token.Access) {
			if result, refusal = attempt(fresh); !wechat.IsRefusedToken(refusal) {
				return result, refusal
			}
		}
	} else {
		refusal = &ExpiredError{reader.store.Resource(owner), token.Access.IsZero()}
	}
	var e *wechat.APIError
	if errors.As(refusal, &e) {
		reader.notify(ctx, owner, e.Code, fresh.Version)
	}
	return none, refusal
}

// notifyInterval limits how often the rejection of one version of a token is reported, so that client requests don't turn
// into calls of WeChat's token API.
const notifyInterval = time.Minute

// notify reports a rejection, at most once per version and [notifyInterval].
func (r *Reader) notify(ctx context.Context, owner string, errcode int, version string) {
	now := r.now().Round(0)
	r.mu.Lock()
	last := r.notified[owner]
	due := last.version != version || now.Sub(last.at) >= notifyInterval || now.Before(last.at)
	if due {
		r.notified[owner] = notification{version, now}
	}
	r.mu.Unlock()
	if due {
		r.notifier.TokenRejected(ctx, owner, errcode, version)
	}
}

// Write is [Call] for a write. It gets half of the remaining time; the other half is for checking the outcome.
func Write(ctx context.Context, reader *Reader, owner string, call func(context.Context, secret.Value) error) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	_, err := Call(ctx, reader, owner, func(ctx context.Context, t secret.Value) (struct{}, error) {
		return struct{}{}, call(ctx, t)
	})
	return err
}

const codeExpired = 42001

// usable reports whether the token was fetched and hasn't expired.
func (r *Reader) usable(t Record) bool { return !t.Access.IsZero() && !t.IsExpired(r.now()) }

// get reads the owner's token from the cache, else from the store.
func (r *Reader) get(ctx context.Context, owner string) (Record, error) {
	return r.read(ctx, loadKey{owner, false}, func(Record) bool { return true })
}

// fresh reads the owner's token from the store, unless the cache has a different one than refused.
func (r *Reader) fresh(ctx context.Context, owner string, refused Record) (Record, error) {
	return r.read(ctx, loadKey{owner, true}, func(t Record) bool { return !t.Access.Equal(refused.Access) })
}

// read returns an acceptable cached token, else loads one. Concurrent callers share the load.
func (r *Reader) read(ctx context.Context, key loadKey, acceptable func(Record) bool) (Record, error) {
	if t, ok := r.cached(key.owner); ok && acceptable(t) {
		return t, nil
	}
	t, err := r.loads.Do(ctx, key, func(ctx context.Context) (Record, error) {
		if t, ok := r.cached(key.owner); ok && acceptable(t) { // a load that ended a moment ago
			return t, nil
		}
		return r.load(ctx, key.owner)
	})
	if err != nil && errors.Is(err, context.Cause(ctx)) { // ctx ended while another caller was loading
		err = awserror.Wrap("read", r.store.Resource(key.owner), err)
	}
	return t, err
}

func (r *Reader) cached(owner string) (Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.cache[owner]
	// Round(0) selects the wall clock: the monotonic clock stops while Lambda freezes the instance.
	age := r.now().Round(0).Sub(c.readAt)
	return c.record, ok && age >= 0 && age < r.ttl && r.usable(c.record)
}

// load caches only the fields that a call needs: a survey reads the tokens of all accounts.
func (r *Reader) load(ctx context.Context, owner string) (Record, error) {
	read, err := r.store.Get(ctx, owner)
	var malformed *awserror.MalformedError
	switch {
	case owner != Component && awserror.Is(err, awserror.NotFound):
		return Record{}, &UnknownAccountError{owner}
	case errors.As(err, &malformed):
		return Record{}, err
	case err != nil:
		return Record{}, fmt.Errorf("read the token: %w", err)
	}
	t := Record{Owner: owner, Access: read.Access, ExpiresAt: read.ExpiresAt, Version: read.Version, stored: true, own: read.IsOwnAccount()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cache[owner] = cached{t, r.now().Round(0)}
	return t, nil
}
