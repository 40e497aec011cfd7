package token

import (
	"context"
	"iter"

	"wechat-draftbox/pkg/secret"
)

// Keeper is a [Store] that is written to as well. It is made for writers that know nothing of each other: none waits
// for another, but each learns when another came between.
type Keeper interface {
	Store

	// Replace writes text in place of what was read as over; a zero over stands for nothing there. Where somebody
	// else wrote since, conflict is true and now is what they wrote, to be replaced next: whether text stands there
	// or theirs is left open.
	Replace(ctx context.Context, holder string, over Entry, text secret.Value) (now Entry, conflict bool, err error)

	// Accounts reads what stands for every account. An error that concerns one account comes with its appid, one that
	// ends the sequence without.
	Accounts(ctx context.Context) iter.Seq2[Holding, error]

	// WritesPerSecond is what AWS allows an account and Region.
	WritesPerSecond() float64
}

// Holding is what stands for an account.
type Holding struct {
	AppID string
	Entry Entry
}
