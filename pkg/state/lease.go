package state

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Lease is a lock that expires at a wall-clock time. There is no heartbeat, because it would stop in a frozen instance: the
// holder extends the lease between two steps. The lease of a dead holder expires.
//
// Make one for each invocation. It is safe for concurrent use.
type Lease struct {
	table    Table
	pk, sk   string
	owner    string
	duration time.Duration

	mu   sync.Mutex
	ends time.Time // zero: not held
}

// TokenLease is held by the run that renews tokens, for duration after the last [Lease.Acquire] or [Lease.Extend].
func (t Table) TokenLease(duration time.Duration) *Lease {
	return &Lease{table: t, pk: "lease", sk: "tokens", owner: rand.Text(), duration: duration}
}

// OpeningClaim is held by the invocation that opens an account's draft switch.
func (t Table) OpeningClaim(appID string, duration time.Duration) *Lease {
	return &Lease{table: t, pk: "opening", sk: appID, owner: rand.Text(), duration: duration}
}

// Acquire acquires the lease if it is free or already held by this holder.
func (l *Lease) Acquire(ctx context.Context) (acquired bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acquire(ctx)
}

func (l *Lease) acquire(ctx context.Context) (bool, error) {
	now := l.table.now().Round(0)
	ends := now.Add(l.duration)
	_, acquired, err := l.table.update(ctx, update{
		pk: l.pk, sk: l.sk,
		change:    "SET #owner = :owner, ends = :ends, expires = :expires",
		condition: "attribute_not_exists(pk) OR ends <= :now OR #owner = :owner",
		names:     map[string]string{"#owner": "owner"}, // a reserved word
		values: item{
			":owner": text(l.owner), ":now": number(now.UnixMilli()), ":ends": number(ends.UnixMilli()),
			":expires": number(ends.Add(time.Hour).Unix()),
		},
	})
	switch {
	case err != nil: // the outcome is unknown, so l.ends stays
	case acquired:
		l.ends = ends
	default:
		l.ends = time.Time{}
	}
	return acquired, err
}

// Extend extends a held lease, with a write only if less than half of it is left. It reports false if the lease is lost: it
// expired, as in a frozen instance, and another holder has it.
func (l *Lease) Extend(ctx context.Context) (held bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch left := l.ends.Sub(l.table.now().Round(0)); {
	case l.ends.IsZero():
		return false, nil
	case left > l.duration/2:
		return true, nil
	}
	return l.acquire(ctx)
}

// Release releases the lease if it is still held.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ends.IsZero() {
		return nil
	}
	l.ends = time.Time{}
	_, err := l.table.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &l.table.name, Key: key(l.pk, l.sk), ConditionExpression: aws.String("#owner = :owner"),
		ExpressionAttributeNames:  map[string]string{"#owner": "owner"},
		ExpressionAttributeValues: item{":owner": text(l.owner)},
	})
	var lost *types.ConditionalCheckFailedException
	if errors.As(err, &lost) {
		return nil
	}
	return wrap("dynamodb:DeleteItem", l.table.resource(l.pk, l.sk), err)
}
