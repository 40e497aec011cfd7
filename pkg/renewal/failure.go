package renewal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/wechat"
)

// Failure is a token that could not be renewed, with the action that fixes it.
type Failure struct {
	AppID   string `json:"appid"` // empty: the component's
	Errcode int    `json:"errcode"`
	Action  string `json:"action"`

	Errmsg string `json:"-"`
}

const (
	codeCredential = 40001 // for a call that takes a token the token is wrong, for one that takes an app secret the secret
	codeSecret     = 40125
)

// FailureOf describes err for operators.
func FailureOf(appID string, err error, now time.Time) Failure {
	f := Failure{AppID: appID, Errmsg: err.Error()}
	var refusal *wechat.APIError
	var waiting *WaitingError
	switch {
	case errors.As(err, &waiting):
		f.Errcode = waiting.Wait.Errcode
	case errors.As(err, &refusal):
		f.Errcode, f.Errmsg = refusal.Code, refusal.Message
	}
	switch {
	case waiting != nil && waiting.Wait.Action != "":
		f.Action = waiting.Wait.Action
	case errors.Is(err, ErrTicket):
		f.Action = "WeChat was asked to push tickets, about every ten minutes; the next run tries again. " +
			"The platform's operator: if none comes, check that the callback URL in the platform's settings is this bundle's."
	case errors.Is(err, ErrNoRefreshToken), isRefused(err, codeRefreshToken):
		f.Action = reauthorizeAction(appID)
	case errors.Is(err, ErrOtherAccount):
		f.Action = "The platform's operator: find out who sends authorization codes of other accounts."
	case refusal != nil && refusal.Code == codeCredential && takesSecret(refusal.Call):
		f.Action = wechat.Lookup(codeSecret).Action
	default:
		f.Action = fault.Of(err, now).Action
	}
	return f
}

func reauthorizeAction(appID string) string {
	return fmt.Sprintf("The account's administrator: authorise the platform again (%s).", appID)
}

// takesSecret reports whether a call authenticates with an app secret instead of a token.
func takesSecret(call string) bool {
	return strings.HasSuffix(call, "/api_component_token") || strings.HasSuffix(call, "/stable_token")
}
