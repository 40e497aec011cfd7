package token

import (
	"context"
	"iter"
)

// Getter reads token records. Errors are of package awserror: of kind [awserror.NotFound] where none is stored, an
// [*awserror.MalformedError] where it can't be read.
type Getter interface {
	Get(ctx context.Context, owner string) (Record, error)
	// Resource is the name of the secret or item that holds the owner's record.
	Resource(owner string) string
}

// Store holds token records. [SecretsStore] and [TableStore] implement it.
type Store interface {
	Getter

	// Put replaces previous, which need not be stored yet, by next. If another writer changed the record since previous
	// was read, nothing is written, ok is false and current is the record stored now.
	Put(ctx context.Context, previous, next Record) (current Record, ok bool, err error)

	// All reads the accounts' records. An error about one account comes with a record that names its owner; one that
	// ends the sequence comes with a zero record.
	All(ctx context.Context) iter.Seq2[Record, error]

	// Owners lists the appids of the accounts that have a record, in pages. It reads no token.
	Owners(ctx context.Context) iter.Seq2[[]string, error]
}
