package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// checker asks for the state of accounts' draft switches. It has nothing to open one with.
type checker struct {
	wechat interface {
		CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error)
	}
	tokens *token.Reader
	now    func() time.Time
}

// checked is the state of a switch at a time.
type checked struct {
	state wechat.SwitchState
	at    time.Time
}

func (c checker) check(ctx context.Context, appID string) (checked, error) {
	state, err := token.Call(ctx, c.tokens, appID, c.wechat.CheckDraftSwitch)
	return checked{state, c.now().UTC().Truncate(time.Second)}, err
}

// isOpen is the state as the API tells it: null where WeChat didn't say.
func isOpen(state wechat.SwitchState) *bool {
	open := state == wechat.SwitchOpen
	if !open && state != wechat.SwitchClosed {
		return nil
	}
	return &open
}
