// Package robot sends messages to the robots of group chats: WeCom, DingTalk, Feishu (Lark) and Slack.
//
// The URL of a robot is a secret: anyone who has it can post to the group. No error or log line of this package contains one.
package robot

import (
	"slices"
	"unicode/utf8"

	"wechat-draftbox/pkg/secret"
)

// Kind is the chat that a robot belongs to.
type Kind string

// The kinds.
const (
	WeCom    Kind = "wecom"
	DingTalk Kind = "dingtalk"
	Feishu   Kind = "feishu"
	Slack    Kind = "slack"
)

// Language is the language of a robot's messages.
type Language string

// The languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// Robot is one robot that the operator configured.
type Robot struct {
	Name     string // unique among the robots
	Kind     Kind
	URL      secret.Value
	Secret   secret.Value // signs the messages; zero: this robot doesn't sign
	Events   []string     // the detail-types it is notified of
	Language Language
	Prefix   string // put before each message; the operator's own, so it isn't escaped
}

// Wants reports whether the robot is notified of events of this detail-type.
func (r Robot) Wants(detailType string) bool { return slices.Contains(r.Events, detailType) }

// Message is what a robot sends.
type Message struct {
	Title string // shown in DingTalk's list of chats; other kinds have none
	Text  string // in the markup of the robot's kind
}

// The largest messages.
const (
	maxWeCom    = 4096   // bytes of the text
	maxDingTalk = 20_000 // bytes of the body
	maxFeishu   = 20_000 // bytes of the body: "20 KB", and this is less by either reading
	maxSlack    = 4000   // characters; more are accepted, and cut or split when they are shown
)

// Fits reports whether the message is within the size limit of the robot's chat.
func (r Robot) Fits(m Message) bool {
	switch r.Kind {
	case WeCom:
		return len(m.Text) <= maxWeCom
	case Slack:
		return utf8.RuneCountInString(m.Text) <= maxSlack
	}
	limit := maxDingTalk
	if r.Kind == Feishu {
		limit = maxFeishu
	}
	body, err := encode(r, m, signature{timestamp: longestTimestamp, sign: longestSign})
	return err == nil && len(body) <= limit
}
