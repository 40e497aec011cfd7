package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/standin/robottest"
)

// robotsPath is the robots' path below the API's address.
const robotsPath = "/_local/robots"

// shownMessages is how many chat messages the console shows.
const shownMessages = 50

// makeRobots creates one robot of each kind; two of them require signatures.
func (l *local) makeRobots() {
	l.world.robots = []robottest.Robot{
		{Name: "wecom", Kind: robot.WeCom, Key: "local-wecom-key"},
		{Name: "feishu", Kind: robot.Feishu, Key: "local-feishu-key", Secret: "local-feishu-secret"},
		{Name: "dingtalk", Kind: robot.DingTalk, Key: "local-dingtalk-key", Secret: "local-dingtalk-secret"},
		{Name: "slack", Kind: robot.Slack, Key: "local-slack-key"},
	}
	l.world.chat = robottest.New(l.world.robots, robottest.WithRateLimits(), robottest.WithObserver(func(m robottest.Message) {
		l.say("chat", "%s: %s", m.Robot, strings.ReplaceAll(m.Text, "\n", " / "))
	}))
}

// storeRobots stores the secret that lists the robots, as an operator does. Slack's robot writes English.
func (w *world) storeRobots(n names, base string) {
	type stored struct {
		Name     string         `json:"name"`
		Kind     robot.Kind     `json:"kind"`
		URL      string         `json:"url"`
		Secret   string         `json:"secret,omitempty"`
		Language robot.Language `json:"language"`
	}
	var all []stored
	for _, r := range w.robots {
		one := stored{r.Name, r.Kind, r.URL(base + robotsPath), r.Secret, robot.Chinese}
		if r.Kind == robot.Slack {
			one.Language = robot.English
		}
		all = append(all, one)
	}
	text, _ := json.Marshal(map[string]any{"robots": all}) // strings always encode
	w.aws.SetSecret(n.secrets+"/"+robot.SecretName, string(text))
}

// A chatMessage was posted by a robot.
type chatMessage struct {
	Robot string     `json:"robot"`
	Kind  robot.Kind `json:"kind"`
	At    time.Time  `json:"at"`
	Title string     `json:"title,omitempty"`
	Text  string     `json:"text"` // in the kind's markup
}

// messages returns the latest messages, newest first.
func (w *world) messages() []chatMessage {
	shown := []chatMessage{}
	if w.chat == nil {
		return shown
	}
	all := w.chat.Messages("")
	for _, m := range slices.Backward(all[max(0, len(all)-shownMessages):]) {
		shown = append(shown, chatMessage{m.Robot, m.Kind, m.At.UTC(), m.Title, m.Text})
	}
	return shown
}

// serveRobots serves the robots and the messages they posted.
func (l *local) serveRobots(mux *http.ServeMux) {
	mux.HandleFunc("GET /_local/chat", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(map[string]any{"messages": l.world.messages()})
	})
	if l.world.chat != nil {
		mux.Handle(robotsPath+"/", http.StripPrefix(robotsPath, l.world.chat))
	}
}

// notifies reports whether the bundle sends notifications to robots here.
func (l *local) notifies() bool { return l.world.chat != nil && l.fleet["notify"] != nil }
