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
	enough := reserve(ctx)
	var group errgroup.Group
	group.SetLimit(parallel)
	var ended error
	for holding, err := range from.Accounts(ctx) {
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
				moved, err = h.copy(ctx, from, to, holding)
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

// copy copies what stands for one account, unless the copy is there.
func (h *handler) copy(ctx context.Context, from, to token.Keeper, holding token.Holding) (moved bool, err error) {
	stored, err := token.Parse(from.Name(holding.AppID), holding.Entry.Text)
	if err != nil {
		return false, err
	}
	livesLonger := func(other token.Entry) bool {
		copied, err := token.Parse(to.Name(holding.AppID), other.Text)
		return err == nil && copied.ExpiresAt.After(stored.ExpiresAt)
	}
	there, err := to.Load(ctx, holding.AppID)
	if err != nil && !awserror.Is(err, awserror.Missing) {
		return false, err
	}
	text := holding.Entry.Text
	if there.Version != "" && (there.Text.Equal(text) || livesLonger(there)) {
		return false, nil
	}
	for conflict := true; conflict; {
		if there, conflict, err = h.Write(ctx, to, holding.AppID, there, text); err != nil {
			return false, err
		}
		if conflict && livesLonger(there) { // somebody else's token, which this copy may have overwritten
			text = there.Text
		}
	}
	back, err := to.Load(ctx, holding.AppID)
	if err != nil {
		return false, err
	}
	if !back.Text.Equal(text) {
		return false, errCopyDiffers
	}
	return text.Equal(holding.Entry.Text), nil
}
