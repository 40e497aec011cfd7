package main

import (
	"encoding/json"
	"errors"

	"wechat-draftbox/pkg/eventbus"
)

// Event is an event of the bundle, as delivered by EventBridge.
type Event struct {
	// ID is the detail's id, which a repeat shares; the envelope's id if the detail has none.
	ID         string
	DetailType string
	detail     detail
}

// detail has the shown fields of all event types.
type detail struct {
	ID       text            `json:"id"`
	AppID    text            `json:"appid"`
	Kind     text            `json:"kind"`
	Name     text            `json:"name"`
	From     text            `json:"from"`
	To       text            `json:"to"`
	Draft    draft           `json:"draft"`
	Previous *draft          `json:"previous"`
	Errcode  int             `json:"errcode"`
	Errmsg   text            `json:"errmsg"`
	Action   text            `json:"action"`
	InfoType text            `json:"info_type"`
	Fields   map[string]text `json:"fields"`
}

type draft struct {
	ID            text `json:"draft_id"`
	Version       text `json:"user_version"`
	Description   text `json:"user_desc"`
	MiniProgram   text `json:"source_miniprogram"`
	MiniProgramID text `json:"source_miniprogram_appid"`
	Developer     text `json:"developer"`
}

// text accepts a JSON string or number. Anything else becomes empty: WeChat may change what it sends, and a notice with
// a gap is better than none.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(b []byte) error { //nolint:unparam // the interface has it
	var s string
	var n json.Number
	switch {
	case json.Unmarshal(b, &s) == nil:
		*t = text(s)
	case json.Unmarshal(b, &n) == nil:
		*t = text(n)
	}
	return nil
}

// Parse reads the envelope of an event. Its errors don't quote the event.
func Parse(envelope string) (Event, error) {
	var e struct {
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Detail     json.RawMessage `json:"detail"`
	}
	if json.Unmarshal([]byte(envelope), &e) != nil || e.DetailType == "" || len(e.Detail) == 0 {
		return Event{}, errors.New("the message is no event of EventBridge")
	}
	event := Event{ID: e.ID, DetailType: e.DetailType}
	var wrongType *json.UnmarshalTypeError // the other fields are decoded anyway
	if err := json.Unmarshal(e.Detail, &event.detail); err != nil && !errors.As(err, &wrongType) {
		return Event{}, errors.New("the event's detail can't be read")
	}
	if event.detail.ID != "" {
		event.ID = string(event.detail.ID)
	}
	if event.ID == "" {
		return Event{}, errors.New("the event has no id")
	}
	return event, nil
}

// isUrgent reports whether somebody has to act. Urgent events come first, since a message may be truncated.
func (e Event) isUrgent() bool {
	return e.DetailType == eventbus.TokenRefreshFailed || e.DetailType == eventbus.AccountUnauthorized
}
