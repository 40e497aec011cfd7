package eventbus

import (
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

// AccountChanges are the events for a change of an account that wasn't caused by a push. A switch is only reported as
// opened if it was known to be closed.
func AccountChanges(before, after state.Account) (events []Event) {
	if before.DraftSwitch == wechat.SwitchClosed && after.DraftSwitch == wechat.SwitchOpen {
		events = append(events, SwitchOpened(before))
	}
	if before.Status == state.Authorized && after.Status == state.Unauthorized {
		events = append(events, AuthorizationEnded(after, before.StatusAt))
	}
	return events
}

// SwitchOpened is the event that an account's switch was opened. Its id is derived from the state before, so that
// publishing the same change again gives the same id.
func SwitchOpened(before state.Account) Event {
	from, to := wechat.SwitchClosed, wechat.SwitchOpen
	return Event{DetailType: DraftSwitchChanged, Detail: struct {
		ID    string             `json:"id"`
		AppID string             `json:"appid"`
		From  wechat.SwitchState `json:"from"`
		To    wechat.SwitchState `json:"to"`
	}{ID(DraftSwitchChanged, before.AppID, from, to, before.CheckedAt.Unix()), before.AppID, from, to}}
}

// Authorized is the event that an account authorised the platform, with the push's time in Unix seconds.
func Authorized(a state.Account, at int64) Event { return statusEvent(AccountAuthorized, a, at) }

// Reauthorized is the event that an account recorded as unauthorized works again.
func Reauthorized(a state.Account) Event {
	return statusEvent(AccountAuthorized, a, a.StatusAt, "again")
}

// AuthorizationEnded is the event that an account's authorization ended, with the time in Unix seconds of the push that
// said so, or else of the last push before.
func AuthorizationEnded(a state.Account, at int64) Event {
	return statusEvent(AccountUnauthorized, a, at)
}

func statusEvent(detailType string, a state.Account, key ...any) Event {
	return Event{DetailType: detailType, Detail: struct {
		ID    string              `json:"id"`
		AppID string              `json:"appid"`
		Kind  *wechat.AccountKind `json:"kind"` // null if not known, as is the name
		Name  *string             `json:"name"`
	}{ID(append([]any{detailType, a.AppID}, key...)...), a.AppID, known(a.Kind), known(a.Name)}}
}

func known[T ~string](text T) *T {
	if text == "" {
		return nil
	}
	return &text
}
