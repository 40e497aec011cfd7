package renewal

import (
	"errors"
	"fmt"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/wechat"
)

// Failure is a token that could not be renewed, and who does what about it.
type Failure struct {
	AppID   string `json:"appid"` // empty: the component's
	Errcode int    `json:"errcode"`
	Action  string `json:"action"`

	Errmsg string `json:"-"`
}

// FailureOf tells err to people.
func FailureOf(appID string, err error, now time.Time) Failure {
	f := Failure{AppID: appID, Errmsg: err.Error()}
	var refusal *wechat.Error
	if errors.As(err, &refusal) {
		f.Errcode, f.Errmsg = refusal.Code, refusal.Message
	}
	switch {
	case errors.Is(err, ErrTicket):
		f.Action = "WeChat was asked to push tickets, about every ten minutes; the next run tries again. " +
			"The platform's operator: if none comes, check that the callback URL in the platform's settings is this bundle's."
	case errors.Is(err, ErrNoRefreshToken), refused(err, codeRefreshToken):
		f.Action = fmt.Sprintf("The account's administrator: authorise the platform again (%s).", appID)
	case errors.Is(err, ErrOtherAccount):
		f.Action = "The platform's operator: find out who sends authorization codes of other accounts."
	default:
		f.Action = api.ProblemOf(err, now).Advice()
	}
	return f
}
