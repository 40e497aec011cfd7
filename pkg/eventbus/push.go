package eventbus

import (
	"encoding/json"

	"wechat-draftbox/pkg/push"
)

// Received is the event that forwards a push to the operator's other systems. Its id is derived from the push's content, so
// that it is the same each time WeChat sends the push.
func Received(p push.Push) Event {
	fields, _ := json.Marshal(p.Fields) // sorted by key; texts always encode
	return Event{DetailType: PushReceived, Detail: struct {
		ID         string            `json:"id"`
		InfoType   string            `json:"info_type"`
		AppID      string            `json:"appid"` // empty: the push names none
		CreateTime int64             `json:"create_time"`
		Fields     map[string]string `json:"fields"`
	}{ID(PushReceived, p.InfoType, p.AuthorizerAppID, p.CreateTime, string(fields)), string(p.InfoType), p.AuthorizerAppID, p.CreateTime, p.Fields}}
}
