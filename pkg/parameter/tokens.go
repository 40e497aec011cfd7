package parameter

import (
	"context"
	"strconv"

	"wechat-draftbox/pkg/secret"
)

// Tokens reads the accounts' tokens where they stand in SecureString parameters.
type Tokens struct{ store Store }

// NewTokens makes a reader of the account tokens in store.
func NewTokens(store Store) Tokens { return Tokens{store.Secure()} }

const tokenFolder = "account-tokens"

// Name is the name of the parameter that holds an account's token.
func (t Tokens) Name(appID string) string { return t.store.Name(tokenFolder + "/" + appID) }

// Load reads what stands for an account's token, and its version.
func (t Tokens) Load(ctx context.Context, appID string) (secret.Value, string, error) {
	v, err := t.store.Get(ctx, tokenFolder+"/"+appID)
	return v.Text, strconv.FormatInt(v.Version, 10), err
}
