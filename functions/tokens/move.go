package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
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
// the other one, reads each copy back, and deletes nothing. A token that stands there and lives longer stays.
func (h *handler) moveAccountTokens(ctx context.Context, event json.RawMessage) (any, error) {
	var asked struct {
		To string `json:"to"`
	}
	if json.Unmarshal(event, &asked) != nil || h.stores[asked.To] == nil {
		return nil, errors.New(`move-account-tokens needs "to": "ssm" or "secretsmanager"`)
	}
	to, from := h.stores[asked.To], h.stores["secretsmanager"]
	if asked.To == "secretsmanager" {
		from = h.stores["ssm"]
	}

	result := moveResult{Task: "move-account-tokens", To: asked.To}
	var mu sync.Mutex
	work, done, enough := span(ctx)
	defer done()
	var group errgroup.Group
	group.SetLimit(parallel)
	var ended error
	for holding, err := range from.Accounts(work) {
		if err != nil && holding.AppID == "" {
			ended = err
			break
		}
		group.Go(func() error {
			moved := false
			if err == nil && !enough() {
				err = context.DeadlineExceeded
			}
			if err == nil {
				moved, err = h.copy(work, from, to, holding)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				result.Failed++
				h.Log.WarnContext(ctx, "an account's token could not be copied", "appid", holding.AppID, "error", err.Error())
			case moved:
				result.Moved++
			default:
				result.Present++
			}
			return nil
		})
	}
	group.Wait()
	h.Log.InfoContext(ctx, "account tokens copied", "task", result.Task, "to", result.To,
		"moved", result.Moved, "present", result.Present, "failed", result.Failed)
	if ended != nil {
		return nil, ended
	}
	return result, nil
}

var errCopyDiffers = errors.New("what was read back is not what was written")

// copy copies what stands for one account, unless the copy is there. It copies again where that was replaced
// meanwhile: its refresh token may not live long then.
func (h *handler) copy(ctx context.Context, from, to token.Keeper, holding token.Holding) (moved bool, err error) {
	for entry := holding.Entry; ; {
		once, err := h.copyOnce(ctx, from, to, token.Holding{AppID: holding.AppID, Entry: entry})
		if err != nil {
			return moved, err
		}
		moved = moved || once
		now, err := from.Load(ctx, holding.AppID)
		if err != nil || now.Version == entry.Version {
			return moved, err
		}
		entry = now
	}
}

func (h *handler) copyOnce(ctx context.Context, from, to token.Keeper, holding token.Holding) (moved bool, err error) {
	appID, text := holding.AppID, holding.Entry.Text
	stored, err := token.Parse(from.Name(appID), text)
	if err != nil {
		return false, err
	}
	stays := func(there token.Entry) bool {
		copied, err := token.Parse(to.Name(appID), there.Text)
		return err == nil && copied.ExpiresAt.After(stored.ExpiresAt) || there.Text.Equal(text)
	}
	there, err := to.Load(ctx, appID)
	if err != nil && !awserror.Is(err, awserror.Missing) {
		return false, err
	}
	if there.Version != "" && stays(there) {
		return false, nil
	}
	for conflict := true; conflict; {
		if there, conflict, err = h.Write(ctx, to, appID, there, text); err != nil {
			return false, err
		}
		if conflict && stays(there) { // somebody else's token, which this copy may have overwritten
			text = there.Text
		}
	}
	back, err := to.Load(ctx, appID)
	if err == nil && !back.Text.Equal(text) && !stays(back) {
		err = errCopyDiffers
	}
	return text.Equal(holding.Entry.Text), err
}
