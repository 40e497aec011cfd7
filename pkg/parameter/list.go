package parameter

import (
	"context"
	"strings"
)

// AppIDs reads a page of the appids of the accounts that have a token, and where the next one begins; next is empty at
// the first, and after at the last. It decrypts nothing.
func (t Tokens) AppIDs(ctx context.Context, next string) (page []string, after string, err error) {
	values, after, err := t.store.list(ctx, tokenFolder, next, 10, false)
	for _, v := range values {
		page = append(page, strings.TrimPrefix(v.Name, t.Name("")))
	}
	return page, after, err
}
