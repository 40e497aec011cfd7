package wechat

import (
	"context"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

// SwitchState is the state of an Official Account's draft switch.
type SwitchState string

// The states. SwitchUnknown is an answer without the state.
const (
	SwitchOpen    SwitchState = "open"
	SwitchClosed  SwitchState = "closed"
	SwitchUnknown SwitchState = "unknown"
)

const switchPath = "/cgi-bin/draft/switch"

// switchCall is the only place that makes a request to the draft switch. WeChat has one URL for checking and for opening,
// which can't be undone. Only checkonly=1 in the query makes it a check; in the body it has no effect, and the switch opens.
// The body is an empty object, since other calls refuse POSTs without a body (44002).
//
// https://developers.weixin.qq.com/doc/offiaccount/Draft_Box/Temporary_MP_Switch.html
func switchCall(account secret.Value, open bool) call {
	c := call{method: http.MethodPost, path: switchPath, token: account, query: "checkonly=1", body: struct{}{}}
	if open {
		c.query, c.write = "", true
	}
	return c
}

// CheckDraftSwitch gets the state of an account's draft switch with that account's token. It can't open it.
func (c *Client) CheckDraftSwitch(ctx context.Context, account secret.Value) (SwitchState, error) {
	answer, err := c.do(ctx, switchCall(account, false))
	if err != nil {
		return "", err
	}
	switch state, ok := answer.number("is_open"); {
	case ok && state == 1 || answer.get("is_open").text == "true":
		return SwitchOpen, nil
	case ok && state == 0 || answer.get("is_open").text == "false":
		return SwitchClosed, nil
	case !answer.has("is_open") && !answer.has("errcode"):
		return "", &TransportError{Call: switchPath, Cause: Unusable, Detail: "the answer has neither errcode nor is_open", Sent: true}
	}
	return SwitchUnknown, nil
}

// SwitchOpener opens draft switches. It is a type of its own, apart from [Client], so that only code that is given
// one can open a switch.
type SwitchOpener struct{ client *Client }

// NewSwitchOpener makes an opener that calls through c.
func NewSwitchOpener(c *Client) SwitchOpener { return SwitchOpener{c} }

// OpenDraftSwitch irreversibly opens an account's draft switch with that account's token. It is sent once; see
// [IsOutcomeUnknown] for errors. A check right after it may still say closed.
func (o SwitchOpener) OpenDraftSwitch(ctx context.Context, account secret.Value) error {
	_, err := o.client.do(ctx, switchCall(account, true))
	return err
}
