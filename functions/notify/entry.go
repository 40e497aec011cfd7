package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/robot"
)

// entry formats one event. Its first line begins with the event's name, in bold.
func (w writer) entry(e Event) string {
	subject, more := w.subject(e), w.details(e)
	head := w.robot.Kind.Bold(w.words.eventName(e.DetailType))
	if subject != "" {
		head += w.words.colon + subject
	}
	return w.lines(append([]string{head}, more...)...)
}

// subject names what the event is about.
func (w writer) subject(e Event) string {
	d := e.detail
	switch e.DetailType {
	case eventbus.DraftUploaded, eventbus.DraftRemoved:
		of := cmp.Or(w.named(d.Draft.MiniProgram, d.Draft.MiniProgramID), w.words.someMiniProgram)
		if version := w.escape(d.Draft.Version, maxWord); version != "" {
			return fmt.Sprintf(w.words.versionOf, version, of)
		}
		return fmt.Sprintf(w.words.noVersion, of)
	case eventbus.DraftSwitchChanged:
		return fmt.Sprintf(w.words.switchTo, w.account(d), w.state(d.From), w.state(d.To))
	case eventbus.AccountAuthorized, eventbus.AccountUnauthorized:
		subject := w.account(d)
		if kind := w.words.kinds[string(d.Kind)]; kind != "" {
			subject = fmt.Sprintf(w.words.ofKind, subject, kind)
		}
		return subject
	case eventbus.TokenRejected, eventbus.TokenRefreshFailed:
		if d.AppID == "" {
			return w.words.componentToken
		}
		return fmt.Sprintf(w.words.accountToken, w.account(d))
	case robot.PushReceived:
		subject := w.escape(d.InfoType, maxWord)
		if d.AppID != "" {
			subject = fmt.Sprintf(w.words.named, subject, w.escape(d.AppID, maxWord))
		}
		return subject
	}
	return ""
}

// details returns the lines below the first one; empty ones are dropped later.
func (w writer) details(e Event) []string {
	d := e.detail
	switch e.DetailType {
	case eventbus.DraftUploaded, eventbus.DraftRemoved:
		lines := []string{w.join(w.words.developer, d.Draft.Developer), w.join(w.words.draftID, d.Draft.ID)}
		if description := w.escape(d.Draft.Description, maxText); description != "" {
			lines = append(lines, fmt.Sprintf(w.words.description, description))
		}
		if d.Previous != nil {
			lines = append(lines, w.join(w.words.replaced, d.Previous.Version))
		}
		return lines
	case eventbus.AccountUnauthorized:
		return []string{w.words.reauthorize}
	case eventbus.TokenRejected:
		return []string{w.refusal(d), w.words.fetchedAgain}
	case eventbus.TokenRefreshFailed:
		lines := []string{w.refusal(d)}
		if todo := w.words.action(d.Errcode, d.Action); todo != "" {
			lines = append(lines, fmt.Sprintf(w.words.todo, w.escape(text(todo), maxTodo)))
		}
		return lines
	case robot.PushReceived:
		return w.fields(d.Fields)
	}
	return nil
}

// refusal is WeChat's error, or the reason of a failure without one.
func (w writer) refusal(d detail) string {
	message := w.escape(d.Errmsg, maxText)
	switch {
	case d.Errcode == 0 && message == "":
		return ""
	case d.Errcode == 0:
		return fmt.Sprintf(w.words.reason, message)
	case message == "":
		return fmt.Sprintf(w.words.errcode, d.Errcode)
	}
	return fmt.Sprintf(w.words.errcodeAndMessage, d.Errcode, message)
}

// shownFields are the element names of a push (the last part of the path) that are shown. The others may hold names and
// phone numbers.
var shownFields = []string{"status", "reason", "msg", "ret", "errcode", "errmsg"}

// maxFields limits the elements shown of one push.
const maxFields = 4

func (w writer) fields(fields map[string]text) (lines []string) {
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		last := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
		if len(lines) < maxFields && slices.Contains(shownFields, last) && fields[path] != "" {
			lines = append(lines, w.escape(text(path), maxWord)+w.words.colon+w.escape(fields[path], maxText/maxFields))
		}
	}
	return lines
}

func (w writer) account(d detail) string {
	return cmp.Or(w.named(d.Name, d.AppID), w.words.someAccount)
}

// named formats a name and an appid; either may be missing.
func (w writer) named(name, appID text) string {
	return cmp.Or(w.join(w.words.named, name, appID), w.join("%s", name), w.join("%s", appID))
}

func (w writer) state(state text) string {
	return cmp.Or(w.words.states[string(state)], w.escape(state, maxWord))
}
