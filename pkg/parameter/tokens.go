package parameter

import (
	"context"
	"strconv"

	"wechat-draftbox/pkg/token"
)

// Tokens reads the accounts' tokens where they stand in SecureString parameters.
type Tokens struct{ store Store }

// NewTokens makes a reader of the account tokens in store.
func NewTokens(store Store) Tokens { return Tokens{store.Secure()} }

const tokenFolder = "account-tokens"

// Name is the name of the parameter that holds an account's token.
func (t Tokens) Name(appID string) string { return t.store.Name(tokenFolder + "/" + appID) }

// Load reads what stands for an account's token, with its version.
func (t Tokens) Load(ctx context.Context, appID string) (token.Entry, error) {
	v, err := t.store.Get(ctx, tokenFolder+"/"+appID)
	return token.Entry{Text: v.Text, Version: strconv.FormatInt(v.Version, 10), Since: v.Since}, err
}
