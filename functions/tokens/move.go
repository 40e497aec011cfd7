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
	Present int    `json:"present"` // already there, and at least as recent
	Failed  int    `json:"failed"`
}

// moveAccountTokens is the task move-account-tokens: it copies the accounts' tokens to the store named in the event and
// verifies each copy. It deletes nothing, and doesn't replace a token that expires later.
func (h *handler) moveAccountTokens(ctx context.Context, event json.RawMessage) (any, error) {
	var params struct {
		To bootstrap.AccountTokenStore `json:"to"`
	}
	if json.Unmarshal(event, &params) != nil || params.To != bootstrap.DynamoDB && params.To != bootstrap.SecretsManager {
		return nil, errors.New(`move-account-tokens needs "to": "dynamodb" or "secretsmanager"`)
	}
	m := mover{from: h.renewer.Secrets, to: h.renewer.Table}
	if params.To == bootstrap.SecretsManager {
		m = mover{from: h.renewer.Table, to: h.renewer.Secrets}
	}
	result := moveResult{Task: "move-account-tokens", To: string(params.To)}
	work, done, hasTime := splitDeadline(ctx)
	defer done()
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(maxParallel)
	var listErr error
	for record, err := range m.from.All(work) {
		if err != nil && record.Owner == "" {
			listErr = err
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
	if listErr != nil {
		return nil, listErr
	}
	return result, nil
}

// mover copies records from one store to the other.
type mover struct{ from, to token.Store }

var errCopyDiffers = errors.New("what was read back is not what was written")

// move copies an account's record unless the copy is there, and again if the record was replaced meanwhile, because a
// superseded refresh token soon stops working.
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
	existing, err := m.to.Get(ctx, record.Owner)
	var malformed *awserror.MalformedError
	switch {
	case awserror.Is(err, awserror.NotFound):
		existing = token.Record{Owner: record.Owner}
	case errors.As(err, &malformed):
		existing.ExpiresAt = time.Time{} // overwrite it, whatever its expiry
	case err != nil:
		return false, err
	}
	for !keepsExisting(existing, record) {
		var ok bool
		if existing, ok, err = m.to.Put(ctx, existing, existing.With(record)); err != nil && !errors.As(err, &malformed) {
			return copied, err
		}
		if ok {
			copied = true
			break
		}
	}
	readBack, err := m.to.Get(ctx, record.Owner)
	if err == nil && !keepsExisting(readBack, record) {
		err = errCopyDiffers
	}
	return copied, err
}

// keepsExisting reports whether the existing copy must not be replaced: it is the same, or expires later.
func keepsExisting(existing, record token.Record) bool {
	return existing.IsStored() && (existing.IsSameAs(record) || existing.ExpiresAt.After(record.ExpiresAt))
}
