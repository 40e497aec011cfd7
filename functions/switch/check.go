package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// switchClient reads the state of draft switches. It can't open one.
type switchClient interface {
	CheckDraftSwitch(ctx context.Context, account secret.Value) (wechat.SwitchState, error)
	DraftCount(ctx context.Context, account secret.Value) (int, error)
}

// checker determines the state of accounts' draft switches.
type checker struct {
	wechat switchClient
	tokens *token.Reader
	now    func() time.Time
}

// stateSource is the WeChat call that a state was derived from.
type stateSource string

const (
	byDraftSwitch stateSource = "draft-switch"
	byDraftCount  stateSource = "draft-count"
)

// checked is the state of a switch at a time.
type checked struct {
	state wechat.SwitchState
	by    stateSource
	at    time.Time
}

// check determines the state of an account's switch. If WeChat has retired the switch, an account whose drafts WeChat
// counts can use them, so its switch counts as open.
func (c checker) check(ctx context.Context, appID string) (checked, error) {
	found := checked{by: byDraftSwitch}
	var err error
	found.state, err = token.Call(ctx, c.tokens, appID, c.wechat.CheckDraftSwitch)
	if wechat.IsRetired(err) {
		if _, err = token.Call(ctx, c.tokens, appID, c.wechat.DraftCount); err == nil {
			found.state, found.by = wechat.SwitchOpen, byDraftCount
		}
	}
	found.at = c.now().UTC().Truncate(time.Second)
	return found, err
}

// isOpen is the API's is_open: null if WeChat didn't say.
func isOpen(state wechat.SwitchState) *bool {
	open := state == wechat.SwitchOpen
	if !open && state != wechat.SwitchClosed {
		return nil
	}
	return &open
}
