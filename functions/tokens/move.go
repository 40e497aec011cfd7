package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/token"
)

// moveResult is the result of move-account-tokens.
type moveResult struct {
	Task    string `json:"task"`
	To      string `json:"to"`
	Moved   int    `json:"moved"`
	Present int    `json:"present"` // stood there already, and no older
	Failed  int    `json:"failed"`
}

// moveAccountTokens does move-account-tokens: it copies the accounts' tokens to the store that the event names from
// the other one, reads each copy back, and deletes nothing. A token there that expires later stays.
func (h *handler) moveAccountTokens(ctx context.Context, event json.RawMessage) (any, error) {
	var asked struct {
		To bootstrap.AccountTokenStore `json:"to"`
	}
	if json.Unmarshal(event, &asked) != nil || asked.To != bootstrap.DynamoDB && asked.To != bootstrap.SecretsManager {
		return nil, errors.New(`move-account-tokens needs "to": "dynamodb" or "secretsmanager"`)
	}
	m := mover{from: h.renewer.Secrets, to: h.renewer.Table}
	if asked.To == bootstrap.SecretsManager {
		m = mover{from: h.renewer.Table, to: h.renewer.Secrets}
	}
	result := moveResult{Task: "move-account-tokens", To: string(asked.To)}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(maxParallel)
	var ended error
	for record, err := range m.from.All(work) {
		if err != nil && record.Owner == "" {
			ended = err
			break
		}
		group.Go(func() error {
			moved := false
			if err == nil && !hasTime() {
				err = context.DeadlineExceeded
			}
			if err == nil {
				moved, err = m.move(work, record)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				result.Failed++
				h.log().WarnContext(ctx, "an account's token could not be copied", "appid", record.Owner, "error", err.Error())
			case moved:
				result.Moved++
			default:
				result.Present++
			}
			return nil
		})
	}
	group.Wait()
	h.log().InfoContext(ctx, "account tokens copied", "task", result.Task, "to", result.To,
		"moved", result.Moved, "present", result.Present, "failed", result.Failed)
	if ended != nil {
		return nil, ended
	}
	return result, nil
}

// mover copies records from one store to the other.
type mover struct{ from, to token.Store }

var errCopyDiffers = errors.New("what was read back is not what was written")

// move copies one account's record, unless the copy is there. It copies again where the record was replaced meanwhile: the
// refresh token of the copy may not live long then.
func (m mover) move(ctx context.Context, record token.Record) (moved bool, err error) {
	for {
		copied, err := m.copy(ctx, record)
		if err != nil {
			return moved, err
		}
		moved = moved || copied
		now, err := m.from.Get(ctx, record.Owner)
		if err != nil || now.Version == record.Version && now.IsSameAs(record) {
			return moved, err
		}
		record = now
	}
}

func (m mover) copy(ctx context.Context, record token.Record) (copied bool, err error) {
	there, err := m.to.Get(ctx, record.Owner)
	var malformed *awserror.MalformedError
	switch {
	case awserror.Is(err, awserror.NotFound):
		there = token.Record{Owner: record.Owner}
	case errors.As(err, &malformed):
		there.ExpiresAt = time.Time{} // it gives way, whenever it expires
	case err != nil:
		return false, err
	}
	for !isKept(there, record) {
		var ok bool
		if there, ok, err = m.to.Put(ctx, there, there.With(record)); err != nil && !errors.As(err, &malformed) {
			return copied, err
		}
		if ok {
			copied = true
			break
		}
	}
	back, err := m.to.Get(ctx, record.Owner)
	if err == nil && !isKept(back, record) {
		err = errCopyDiffers
	}
	return copied, err
}

// isKept reports whether the copy that is there stays: it is the same, or expires later.
func isKept(there, record token.Record) bool {
	return there.IsStored() && (there.IsSameAs(record) || there.ExpiresAt.After(record.ExpiresAt))
}
