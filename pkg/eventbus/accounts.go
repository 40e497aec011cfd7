package eventbus

import (
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

// AccountChanges are the events for an account that became after, other than by a push. A switch that wasn't known before
// has not changed, and one that was open never does.
func AccountChanges(before, after state.Account) (events []Event) {
	if before.DraftSwitch == wechat.SwitchClosed && after.DraftSwitch == wechat.SwitchOpen {
		events = append(events, SwitchOpened(before))
	}
	if before.Status == state.Authorized && after.Status == state.Unauthorized {
		events = append(events, AuthorizationEnded(after, before.StatusAt))
	}
	return events
}

// SwitchOpened is the event that the switch of an account was opened, which was closed before. Its id is made of what was
// known before, so that it is the same where the same change is published again.
func SwitchOpened(before state.Account) Event {
	from, to := wechat.SwitchClosed, wechat.SwitchOpen
	return Event{DetailType: DraftSwitchChanged, Detail: struct {
		ID    string             `json:"id"`
		AppID string             `json:"appid"`
		From  wechat.SwitchState `json:"from"`
		To    wechat.SwitchState `json:"to"`
	}{ID(DraftSwitchChanged, before.AppID, from, to, before.CheckedAt.Unix()), before.AppID, from, to}}
}

// Authorized is the event that an account authorised the platform, by a push of that time in Unix seconds.
func Authorized(a state.Account, at int64) Event { return statusEvent(AccountAuthorized, a, at) }

// AuthorizationEnded is the event that an account's authorization ended, by a push of that time in Unix seconds, or of the
// last push before it became known otherwise.
func AuthorizationEnded(a state.Account, at int64) Event {
	return statusEvent(AccountUnauthorized, a, at)
}

func statusEvent(detailType string, a state.Account, at int64) Event {
	return Event{DetailType: detailType, Detail: struct {
		ID    string              `json:"id"`
		AppID string              `json:"appid"`
		Kind  *wechat.AccountKind `json:"kind"` // null, as the name, where it isn't known
		Name  *string             `json:"name"`
	}{ID(detailType, a.AppID, at), a.AppID, known(a.Kind), known(a.Name)}}
}

func known[T ~string](text T) *T {
	if text == "" {
		return nil
	}
	return &text
}
