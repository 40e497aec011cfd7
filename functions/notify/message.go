package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"wechat-draftbox/pkg/robot"
)

// Compose combines events into one message, truncated to the robot's limit. The last line counts the omitted events.
func Compose(r robot.Robot, events []Event) robot.Message {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b Event) int {
		switch {
		case a.isUrgent() == b.isUrgent():
			return 0
		case a.isUrgent():
			return -1
		}
		return 1
	})
	w := writerFor(r)
	var entries []string
	for _, e := range events {
		entries = append(entries, w.entry(e))
	}
	title := w.title(events)
	if m := w.message(title, entries); r.Fits(m) {
		return m
	}
	truncated := func(shown int) robot.Message {
		more := fmt.Sprintf(w.words.more, len(entries)-shown)
		return w.message(title, append(slices.Clone(entries[:shown]), more))
	}
	tooMany := sort.Search(len(entries), func(shown int) bool { return !r.Fits(truncated(shown)) })
	return truncated(max(tooMany-1, 0))
}

// Test is the message that shows the operator that the robot works.
func Test(r robot.Robot) robot.Message {
	w := writerFor(r)
	var names []string
	for _, event := range r.Events {
		names = append(names, w.words.eventName(event))
	}
	subscriptions := fmt.Sprintf(w.words.testEvents, strings.Join(names, w.words.comma))
	if len(names) == 0 {
		subscriptions = w.words.testNoEvents
	}
	return w.message(w.words.test, []string{w.lines(r.Kind.Bold(w.words.test), subscriptions)})
}

// writer formats text in a robot's language and markup.
type writer struct {
	robot robot.Robot
	words words
}

func writerFor(r robot.Robot) writer {
	if r.Language == robot.English {
		return writer{r, english()}
	}
	return writer{r, chinese()}
}

// message joins entries, separated by empty lines, after the robot's prefix.
func (w writer) message(title string, entries []string) robot.Message {
	body := strings.Join(entries, "\n\n")
	if w.robot.Prefix != "" {
		body = w.robot.Prefix + w.robot.Kind.Newline() + body
	}
	return robot.Message{Title: title, Text: body}
}

func (w writer) lines(lines ...string) string {
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	return strings.Join(lines, w.robot.Kind.Newline())
}

// title is the message's preview in a list of chats.
func (w writer) title(events []Event) string {
	if len(events) == 0 {
		return ""
	}
	first := w.words.eventName(events[0].DetailType)
	if subject := w.subject(events[0]); subject != "" {
		first += w.words.colon + subject
	}
	if len(events) == 1 {
		return first
	}
	return fmt.Sprintf(w.words.titleOfSeveral, first, len(events)-1)
}

// Limits, in characters, of texts from users. An event with the longest texts fits into any robot's message.
const (
	maxWord = 60 // names, versions
	maxText = 200
	maxTodo = 400
)

func (w writer) escape(t text, characters int) string {
	return w.robot.Kind.Escape(robot.Clip(strings.TrimSpace(string(t)), characters))
}

// join formats escaped texts; the result is empty if one of them is.
func (w writer) join(format string, texts ...text) string {
	var args []any
	for _, t := range texts {
		escaped := w.escape(t, maxWord)
		if escaped == "" {
			return ""
		}
		args = append(args, escaped)
	}
	return fmt.Sprintf(format, args...)
}
