// Package renewal fetches tokens and stores them.
//
// Each fetch of a token supersedes the one before, so the token fetched last has to be the one that is stored. Runs that
// renew tokens are serialized by a lease, see [Lease].
//
// The lease is advisory. A run may lose it, as after a freeze, or proceed without because DynamoDB doesn't answer; and the
// exchange of an authorization doesn't acquire it, because a user waits. Two rules protect runs that overlap. First, a
// token is written only over the record that was read, see [token.Store]. Second, a run that loses this race fetches again
// and replaces the record stored now: which of two fetches superseded the other is unknown, but a later one supersedes
// both. If that fails too, the stored token's expiry is shortened to five minutes, which is how long a superseded token
// works, so that the next run renews it.
//
// A renewal that dies between its fetch and its write leaves the former token stored. That one works for five more minutes,
// is still due, and is renewed by the next run, or as soon as WeChat refuses it. If WeChat also replaced the refresh token,
// the new one is in WeChat's list of authorizers.
//
// One gap needs two failures at once: a renewal without the lease dies between its fetch and its write, while another one of
// the same token is between its own. The latter may then store a superseded token. WeChat refuses that after five minutes,
// and it is renewed once it is ten minutes old.
package renewal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/ticket"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// refreshWindow is how long before its expiry a token is renewed.
	refreshWindow = 20 * time.Minute
	// forceWindow is how long before its expiry a new token of an own account is forced, which WeChat allows 20 times a
	// day.
	forceWindow = 10 * time.Minute
	// tokenLifetime is the lifetime of WeChat's tokens.
	tokenLifetime = 2 * time.Hour
	// minRefreshAge is the age below which a rejected token is not fetched again.
	minRefreshAge = 10 * time.Minute
	// supersededGrace is how long a superseded token still works.
	supersededGrace = 5 * time.Minute
)

// Renewer renews tokens. It is safe for concurrent use.
type Renewer struct {
	WeChat        *wechat.Client
	Platform      *cache.Value[platform.Platform]
	Secrets       token.SecretsStore // holds the component token, and by default the accounts'
	Table         token.TableStore   // holds the accounts' tokens where the operator chose DynamoDB
	AccountTokens token.Store        // one of the two
	Tokens        *token.Reader      // reads the component token, to call with
	Tickets       ticket.Store
	State         state.Table
	Accounts      state.Accounts
	Waits         state.Waits
	Directory     platform.Directory
	Bus           *eventbus.Bus
	Log           *slog.Logger

	IgnoreMiniPrograms bool             // don't store their tokens
	Now                func() time.Time // the wall clock
}

// New makes the renewer of a function.
func New(deps bootstrap.Deps) *Renewer {
	aws, s := bootstrap.ForBatches(deps.AWS), deps.Settings
	database := dynamodb.NewFromConfig(aws)
	secrets := token.NewSecretsStore(secretsmanager.NewFromConfig(aws), s.SecretPrefix, s.KMSKey)
	r := &Renewer{
		WeChat:   deps.WeChat,
		Platform: platform.NewCache(deps.Secrets, s.TokenCacheTTL, deps.Now),
		Secrets:  secrets,
		Table:    token.NewTableStore(database, s.TokenTable, deps.Now),
		Tokens:   deps.Tokens(deps.Secrets),
		Tickets:  ticket.NewStore(ssm.NewFromConfig(deps.AWS), s.ParameterPrefix, s.KMSKey),
		State:    state.NewTable(database, s.StateTable, deps.Now),
		Bus:      deps.Bus,
		Log:      deps.Log.Logger,
		Now:      deps.Now,

		IgnoreMiniPrograms: s.IgnoreMiniPrograms,
	}
	r.AccountTokens = r.Secrets
	if s.AccountTokenStore == bootstrap.DynamoDB {
		r.AccountTokens = r.Table
	}
	r.Accounts, r.Waits = r.State.Accounts(), r.State.Waits()
	r.Directory = platform.Directory{WeChat: r.WeChat, Platform: r.Platform, Tokens: r.Tokens}
	return r
}

// IsDue reports whether the token is missing or within refreshWindow of its expiry.
func (r *Renewer) IsDue(t token.Record) bool {
	return t.Access.IsZero() || !t.ExpiresAt.IsZero() && r.lifeLeft(t) <= refreshWindow
}

func (r *Renewer) lifeLeft(t token.Record) time.Duration { return t.ExpiresAt.Sub(r.Now().Round(0)) }

// IsRecent reports whether the token was fetched less than minRefreshAge ago.
func (r *Renewer) IsRecent(t token.Record) bool {
	return !t.UpdatedAt.IsZero() && r.Now().Round(0).Sub(t.UpdatedAt) < minRefreshAge ||
		!t.ExpiresAt.IsZero() && r.lifeLeft(t) > tokenLifetime-minRefreshAge
}

// Read reads an owner's record. One that isn't stored is no error.
func (r *Renewer) Read(ctx context.Context, owner string) (token.Record, error) {
	t, err := r.store(owner).Get(ctx, owner)
	if awserror.Is(err, awserror.NotFound) {
		return token.Record{Owner: owner}, nil
	}
	return t, err
}

func (r *Renewer) store(owner string) token.Store {
	if owner == token.Component {
		return r.Secrets
	}
	return r.AccountTokens
}

// fetch gets a new token from WeChat and puts it into a record.
type fetch func(ctx context.Context, previous token.Record) (token.Record, error)

// UpdateToken replaces a record by what fetch makes of it, unless that is the same. The package comment explains what
// happens after a lost race.
func (r *Renewer) UpdateToken(ctx context.Context, previous token.Record, fetch fetch) (changed bool, err error) {
	next, err := fetch(ctx, previous)
	if err != nil || previous.IsStored() && unchanged(previous, next) {
		return false, err
	}
	current, ok, err := r.put(ctx, previous, next)
	if ok || err != nil {
		return err == nil, err
	}
	r.Log.InfoContext(ctx, "lost a race for a token; fetching once more", "appid", previous.Owner)
	next, err = fetch(ctx, current)
	if err == nil {
		if current, ok, err = r.put(ctx, current, next); ok {
			return true, nil
		}
	}
	return true, errors.Join(err, r.shortenExpiry(ctx, current))
}

// put is [token.Store.Put]. After an error current is the record read last.
func (r *Renewer) put(ctx context.Context, previous, next token.Record) (current token.Record, ok bool, err error) {
	current, ok, err = r.store(previous.Owner).Put(ctx, previous, next)
	var malformed *awserror.MalformedError
	if errors.As(err, &malformed) && !ok { // another writer stored a malformed record, which is overwritten
		return current, false, nil
	}
	if err != nil {
		return previous, ok, fmt.Errorf("store the token: %w", err)
	}
	return current, ok, nil
}

// maxShortenings is how often shortenExpiry may lose a race.
const maxShortenings = 5

// shortenExpiry shortens the stored token's expiry, since it may be superseded.
func (r *Renewer) shortenExpiry(ctx context.Context, current token.Record) error {
	for range maxShortenings {
		ends := r.Now().Round(0).Add(supersededGrace)
		if current.Access.IsZero() || !current.ExpiresAt.IsZero() && !current.ExpiresAt.After(ends) {
			return nil
		}
		next := current
		next.ExpiresAt = ends
		var ok bool
		var err error
		if current, ok, err = r.put(ctx, current, next); ok || err != nil {
			return err
		}
	}
	return nil // the other writer keeps renewing it
}

// unchanged reports whether both are the same token with about the same expiry.
func unchanged(a, b token.Record) bool {
	return a.Access.Equal(b.Access) && a.Refresh.Equal(b.Refresh) && a.ExpiresAt.Sub(b.ExpiresAt).Abs() < time.Minute
}

// applyGrant puts a grant that was requested at the time asked into a record. An empty refresh token doesn't replace a
// stored one.
func applyGrant(t token.Record, grant wechat.Grant, asked time.Time) token.Record {
	t.Access = grant.Access
	t.ExpiresAt = asked.Round(0).Add(grant.ExpiresIn)
	if !grant.Refresh.IsZero() {
		t.Refresh = grant.Refresh
	}
	return t
}
