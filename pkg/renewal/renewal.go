// Package renewal fetches tokens and stores them.
//
// Each fetch of a token supersedes the one before, so what matters is that the last one fetched is the last one stored.
// Runs that renew tokens see to that by taking turns, see [Turn]: each reads what is stored once it has its turn, and a
// run that died is followed five seconds later. A run with nothing to renew takes no turn, and writes nothing.
//
// Turns are not what all rests on. A run may lose its turn to another one, as after a freeze, or go on without since
// AWS doesn't answer; and the exchange of an authorization takes none, for somebody waits for it. Those who overlap
// nevertheless are held together by two rules. First, a token is stored by a write that tells if somebody else wrote
// since the read (see [token.Keeper]). Second, whoever learns that somebody did, fetches once more and stores that: of
// two tokens that were fetched at about the same time nobody can tell which one superseded the other, but one that is
// fetched after both supersedes both. So the last token that was fetched is the last one that is stored, however the
// steps of two renewals fall. Where the fetch once more fails, the stored token is marked as good for five minutes,
// which it is either way, so that the next run renews it.
//
// A renewal that dies after it has fetched leaves the former token stored. That one works for five minutes more, is
// still due, and is renewed by the next run, or at once when WeChat refuses it. If WeChat changed the refresh token
// with it, the new one is in WeChat's list of authorizers, from where it is taken when the former one is refused.
//
// What is left needs two things at once: a renewal that has no turn dies between its fetch and its write, and another one
// of the same token is between its own. That one can't know of the fetch, and may store what it superseded. WeChat refuses
// that token after five minutes, and it is renewed once it is ten minutes old.
package renewal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/kept"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/pause"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// dueAt is how much life a token has left when it is renewed.
	dueAt = 20 * time.Minute
	// forceAt is how much life an own account's token has left when WeChat is made to give another one, which it
	// does 20 times a day.
	forceAt = 10 * time.Minute
	// fullLife is how long WeChat's tokens live.
	fullLife = 2 * time.Hour
	// young is how old a token is at most that isn't fetched again for a rejection.
	young = 10 * time.Minute
	// overlap is how long a token works after another was fetched.
	overlap = 5 * time.Minute
)

// Renewer renews tokens. It is safe for concurrent use.
type Renewer struct {
	WeChat    *wechat.Client
	Platform  *kept.Value[platform.Platform]
	Component token.Keeper  // holds the component token
	Accounts  token.Keeper  // holds the accounts' tokens
	Tokens    *token.Source // the component token, to call with
	Tickets   ticket.Newest
	Records   account.Records
	Turns     parameter.Store // of the runs
	Bus       *eventbus.Bus
	Log       logging.Log
	Now       func() time.Time // the wall clock

	pace pacer
}

// New makes the renewer of a function. parameters is the store below the parameter prefix.
func New(parts bootstrap.Parts, parameters parameter.Store) *Renewer {
	var accounts token.Keeper = parts.Secrets
	if parts.Settings.AccountTokenStore == settings.ParameterStore {
		accounts = parameter.NewTokens(parameters)
	}
	return &Renewer{
		WeChat: parts.WeChat,
		Platform: kept.New(parts.Settings.TokenCacheTTL, parts.Now, func(ctx context.Context) (platform.Platform, error) {
			return platform.Load(ctx, parts.Secrets)
		}),
		Component: parts.Secrets,
		Accounts:  accounts,
		Tokens:    parts.Tokens(parts.Secrets),
		Tickets:   ticket.In(parameters),
		Records:   account.NewRecords(parameters),
		Turns:     parameters,
		Bus:       parts.Bus,
		Log:       parts.Log,
		Now:       parts.Now,
	}
}

// Due reports whether it is time to renew the token.
func (r *Renewer) Due(stored token.Stored) bool {
	return stored.Access.IsZero() || !stored.ExpiresAt.IsZero() && r.left(stored) <= dueAt
}

func (r *Renewer) left(stored token.Stored) time.Duration {
	return stored.ExpiresAt.Sub(r.Now().Round(0))
}

// Young reports whether the token was fetched less than ten minutes ago.
func (r *Renewer) Young(entry token.Entry, stored token.Stored) bool {
	return r.Now().Round(0).Sub(entry.Since) < young ||
		!stored.ExpiresAt.IsZero() && r.left(stored) > fullLife-young
}

// Read reads and parses what stands for a holder; where nothing does, entry and stored are zero.
func (r *Renewer) Read(ctx context.Context, holder string) (entry token.Entry, stored token.Stored, err error) {
	keeper := r.keeper(holder)
	entry, err = keeper.Load(ctx, holder)
	if awserror.Is(err, awserror.Missing) {
		return token.Entry{}, token.Stored{}, nil
	}
	if err == nil {
		stored, err = token.Parse(keeper.Name(holder), entry.Text)
	}
	return entry, stored, err
}

func (r *Renewer) keeper(holder string) token.Keeper {
	if holder == token.Component {
		return r.Component
	}
	return r.Accounts
}

// fetch gets a new token from WeChat and puts it into what was stored.
type fetch func(ctx context.Context, stored token.Stored) (token.Stored, error)

// Keep stores what fetch makes of stored in place of entry, unless that is the same. Where somebody else wrote
// meanwhile, fetch is called again with what they wrote. changed tells if anything was written.
func (r *Renewer) Keep(ctx context.Context, holder string, entry token.Entry, stored token.Stored, fetch fetch) (changed bool, err error) {
	keeper := r.keeper(holder)
	for conflicts := 0; ; conflicts++ {
		next, failed := fetch(ctx, stored)
		switch {
		case failed != nil && conflicts > 0:
			next = r.doubtful(stored)
		case failed != nil:
			return false, failed
		case conflicts == 0 && same(stored, next): // later on it is open what stands there
			return false, nil
		}
		now, conflict, err := r.Write(ctx, keeper, holder, entry, next.Encode())
		if err != nil {
			return conflicts > 0, errors.Join(failed, fmt.Errorf("store the token: %w", err))
		}
		if !conflict {
			return true, failed
		}
		r.Log.InfoContext(ctx, "another renewal came between; fetching once more", "appid", holder)
		entry = now
		if stored, err = token.Parse(keeper.Name(holder), now.Text); err != nil {
			return true, err
		}
		// At random, and longer each time: several renewals in step would come between each other for ever.
		pause.For(ctx, rand.N(50*time.Millisecond<<min(conflicts, 5)))
	}
}

// doubtful is a token that another one may have superseded, but not more than a moment ago.
func (r *Renewer) doubtful(stored token.Stored) token.Stored {
	if ends := r.Now().Round(0).Add(overlap); stored.ExpiresAt.IsZero() || stored.ExpiresAt.After(ends) {
		stored.ExpiresAt = ends
	}
	return stored
}

// same: the token is the one that stood there, and lives as long but for rounding.
func same(a, b token.Stored) bool {
	return a.Access.Equal(b.Access) && a.Refresh.Equal(b.Refresh) && a.ExpiresAt.Sub(b.ExpiresAt).Abs() < time.Minute
}

// Write replaces what stands for a holder, as [token.Keeper] does, and waits for AWS where it throttles or fails, as
// long as there is time: a token that was fetched and isn't stored is lost.
func (r *Renewer) Write(ctx context.Context, keeper token.Keeper, holder string, over token.Entry, text secret.Value) (token.Entry, bool, error) {
	for {
		if r.pace.wait(ctx) != nil {
			return token.Entry{}, false, awserror.Wrap("write", keeper.Name(holder), context.DeadlineExceeded)
		}
		now, conflict, err := keeper.Replace(ctx, holder, over, text)
		switch {
		case awserror.Is(err, awserror.Unavailable) && r.pace.slow(ctx, keeper.WritesPerSecond()):
		case awserror.Is(err, awserror.Conflict) && pause.For(ctx, rand.N(100*time.Millisecond)): // AWS takes one at a time
		default:
			return now, conflict, err
		}
	}
}

// taken puts a grant into what was stored.
func (r *Renewer) taken(stored token.Stored, grant wechat.Grant, began time.Time) token.Stored {
	stored.Access = grant.Access
	stored.ExpiresAt = began.Round(0).Add(grant.Life)
	if !grant.Refresh.IsZero() { // an empty one never replaces a stored one
		stored.Refresh = grant.Refresh
	}
	return stored
}

// ErrTicket is the error where there is no ticket, or none that WeChat takes, and WeChat was asked to push one.
var ErrTicket = errors.New("no ticket that WeChat takes; asked it to push tickets")

// RenewComponent fetches a component token and stores it in place of entry.
func (r *Renewer) RenewComponent(ctx context.Context, entry token.Entry, stored token.Stored) error {
	_, err := r.Keep(ctx, token.Component, entry, stored, func(ctx context.Context, stored token.Stored) (token.Stored, error) {
		p, err := r.Platform.Get(ctx)
		if err != nil {
			return stored, err
		}
		newest, err := r.Tickets.Load(ctx)
		if errors.Is(err, ticket.ErrNone) {
			return stored, r.askForTickets(ctx, p, err)
		}
		if err != nil {
			return stored, err
		}
		began := r.Now()
		grant, err := r.WeChat.ComponentToken(ctx, p.Platform, newest.Text)
		var refusal *wechat.Error
		if errors.As(err, &refusal) && refusal.Known().Repeat == wechat.RepeatNewTicket {
			return stored, r.askForTickets(ctx, p, err)
		}
		return r.taken(stored, grant, began), err
	})
	return err
}

// KeepComponent renews the component token in its turn if that is due, also one that isn't there or can't be read.
// stored is what stood there.
func (r *Renewer) KeepComponent(ctx context.Context, turn *Turn) (renewed bool, stored token.Stored, err error) {
	entry, stored, due, err := r.componentDue(ctx)
	if due && turn.Take(ctx) {
		entry, stored, due, err = r.componentDue(ctx)
	}
	if !due {
		return false, stored, err
	}
	err = r.RenewComponent(ctx, entry, stored)
	return err == nil, stored, err
}

func (r *Renewer) componentDue(ctx context.Context) (entry token.Entry, stored token.Stored, due bool, err error) {
	entry, stored, err = r.Read(ctx, token.Component)
	var malformed *awserror.Malformed
	return entry, stored, errors.As(err, &malformed) || err == nil && r.Due(stored), err
}

// askForTickets has WeChat push tickets. It is fine where it does already.
func (r *Renewer) askForTickets(ctx context.Context, p platform.Platform, cause error) error {
	if err := r.WeChat.StartPushTicket(ctx, p.Platform); err != nil {
		return fmt.Errorf("%w, and WeChat could not be asked for one: %w", cause, err)
	}
	return fmt.Errorf("%w: %w", ErrTicket, cause)
}

// RenewOwn fetches the token of an own account. WeChat gives the same one until near its end. It is made to give
// another one where the same one comes back and has little life left, or is the rejected one, which may be empty.
func (r *Renewer) RenewOwn(ctx context.Context, appID string, entry token.Entry, stored token.Stored, rejected secret.Value) (changed bool, err error) {
	return r.Keep(ctx, appID, entry, stored, func(ctx context.Context, stored token.Stored) (token.Stored, error) {
		began := r.Now()
		grant, err := r.WeChat.StableToken(ctx, appID, stored.AppSecret, false)
		if err == nil && (grant.Access.Equal(rejected) || grant.Access.Equal(stored.Access) && grant.Life <= forceAt) {
			began = r.Now()
			grant, err = r.WeChat.StableToken(ctx, appID, stored.AppSecret, true)
		}
		if err != nil {
			return stored, err
		}
		return r.taken(stored, grant, began), nil
	})
}

// ErrNoRefreshToken is the error where an account's refresh token is neither stored nor in WeChat's list.
var ErrNoRefreshToken = errors.New("the account has no refresh token, and WeChat's list of authorizers has none either")

// RenewAuthorizer fetches the token of an account that authorised the platform. A refresh token that is missing or
// refused is taken from list, once. Where WeChat says that the authorisation ended, that is recorded and published.
func (r *Renewer) RenewAuthorizer(ctx context.Context, appID string, entry token.Entry, stored token.Stored, list *Authorizers) error {
	began := r.Now()
	_, err := r.Keep(ctx, appID, entry, stored, func(ctx context.Context, stored token.Stored) (token.Stored, error) {
		return r.refresh(ctx, appID, stored, list)
	})
	if refused(err, codeUnauthorized) {
		return errors.Join(err, r.unauthorized(ctx, appID, began))
	}
	return err
}

// refresh fetches an authorizer's token with the stored refresh token, or else with the one that list has.
func (r *Renewer) refresh(ctx context.Context, appID string, stored token.Stored, list *Authorizers) (token.Stored, error) {
	if !stored.Refresh.IsZero() {
		next, err := r.refreshWith(ctx, appID, stored, stored.Refresh)
		if !refused(err, codeRefreshToken) {
			return next, err
		}
	}
	listed, err := list.refreshToken(ctx, appID)
	if err != nil {
		return stored, err
	}
	if listed.IsZero() {
		return stored, ErrNoRefreshToken
	}
	return r.refreshWith(ctx, appID, stored, listed)
}

const (
	codeUnauthorized = 61003 // the authorisation ended
	codeRefreshToken = 61023 // the refresh token is not valid
)

func refused(err error, code int) bool {
	var refusal *wechat.Error
	return errors.As(err, &refusal) && refusal.Code == code
}

func (r *Renewer) refreshWith(ctx context.Context, appID string, stored token.Stored, refresh secret.Value) (token.Stored, error) {
	p, err := r.Platform.Get(ctx)
	if err != nil {
		return stored, err
	}
	began := r.Now()
	grant, err := token.Call(ctx, r.Tokens, token.Component, func(ctx context.Context, component secret.Value) (wechat.Grant, error) {
		began = r.Now()
		return r.WeChat.AuthorizerToken(ctx, component, p.AppID, appID, refresh)
	})
	if err != nil {
		return stored, err
	}
	stored.Refresh = refresh
	return r.taken(stored, grant, began), nil
}

// unauthorized records that the account's authorisation ended, so that it isn't refreshed any more, and publishes it.
// The time of the last push stays: this is no push. One that came after asked says something newer.
func (r *Renewer) unauthorized(ctx context.Context, appID string, asked time.Time) error {
	ended := func(record *account.Record) {
		if record.StatusAt <= asked.Unix() {
			record.Status = account.Unauthorized
		}
	}
	before, err := r.Records.Current(ctx, appID)
	if err != nil {
		return err
	}
	after := before
	ended(&after)
	if err := r.Bus.Publish(ctx, before.Changes(after)...); err != nil {
		return err
	}
	_, _, err = r.Records.Write(ctx, before, ended)
	return err
}
