package parameter

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
)

// Tokens reads the accounts' tokens where they stand in SecureString parameters.
type Tokens struct{ store Store }

// NewTokens makes a reader of the account tokens in store. The SDK repeats no write of them: it would wait by its own
// rules where AWS throttles, but callers pace themselves.
func NewTokens(store Store) Tokens {
	store.once = true
	return Tokens{store.Secure()}
}

const tokenFolder = "account-tokens"

// Name is the name of the parameter that holds an account's token.
func (t Tokens) Name(appID string) string { return t.store.Name(tokenFolder + "/" + appID) }

// Load reads what stands for an account's token, with its version.
func (t Tokens) Load(ctx context.Context, appID string) (token.Entry, error) {
	v, err := t.store.Get(ctx, tokenFolder+"/"+appID)
	if err != nil {
		return token.Entry{}, err
	}
	return entry(v), nil
}

func entry(v Value) token.Entry {
	return token.Entry{Text: v.Text, Version: strconv.FormatInt(v.Version, 10), Since: v.Since}
}

// WritesPerSecond implements [token.Keeper].
func (t Tokens) WritesPerSecond() float64 { return 40 }

// Replace implements [token.Keeper]. Where it finds a conflict, text stands there; see [Store.Overwritten].
func (t Tokens) Replace(ctx context.Context, appID string, over token.Entry, text secret.Value) (token.Entry, bool, error) {
	name := tokenFolder + "/" + appID
	if over.Version == "" {
		version, err := t.store.Create(ctx, name, text)
		if !awserror.Is(err, awserror.Exists) {
			return token.Entry{Text: text, Version: strconv.FormatInt(version, 10)}, false, err
		}
		current, err := t.Load(ctx, appID)
		return current, !current.Text.Equal(text), err // equal: an earlier try of this write, whose answer was lost
	}
	read, err := strconv.ParseInt(over.Version, 10, 64)
	if err != nil {
		return token.Entry{}, false, &awserror.Malformed{Resource: t.Name(appID), Detail: "its version is no number"}
	}
	written, err := t.store.Put(ctx, name, text)
	if err != nil {
		return token.Entry{}, false, err
	}
	now := token.Entry{Text: text, Version: strconv.FormatInt(written, 10)}
	theirs, conflict, err := t.store.Overwritten(ctx, name, read, written, text)
	if conflict {
		now.Text = theirs.Text // under the version that is to be replaced next
	}
	return now, conflict, err
}

// Accounts implements [token.Keeper].
func (t Tokens) Accounts(ctx context.Context) iter.Seq2[token.Holding, error] {
	return func(yield func(token.Holding, error) bool) {
		for next := ""; ; {
			page, after, err := t.store.List(ctx, tokenFolder, next, 10)
			if err != nil {
				yield(token.Holding{}, err)
				return
			}
			for _, v := range page {
				if !yield(token.Holding{AppID: v.Name[strings.LastIndexByte(v.Name, '/')+1:], Entry: entry(v)}, nil) {
					return
				}
			}
			if next = after; next == "" {
				return
			}
		}
	}
}
