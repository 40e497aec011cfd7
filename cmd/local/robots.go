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

// robotsPath is where the robots of the local run are reached, below the API's address.
const robotsPath = "/_local/robots"

// shownMessages is how many messages of the chat are shown.
const shownMessages = 50

// makeRobots puts one robot of each kind into a group chat, two of which want signatures.
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

// storeRobots stores the secret that lists the robots, as their operator does: Slack's group reads English.
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
	text, _ := json.Marshal(map[string]any{"robots": all}) // of texts
	w.aws.SetSecret(n.secrets+"/"+robot.SecretName, string(text))
}

// A chatMessage is one that a robot posted in the group chat.
type chatMessage struct {
	Robot string     `json:"robot"`
	Kind  robot.Kind `json:"kind"`
	At    time.Time  `json:"at"`
	Title string     `json:"title,omitempty"`
	Text  string     `json:"text"` // in the markup of the kind
}

// messages are the chat's last, newest first.
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

// serveRobots serves the robots, and what they posted.
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

// notifies tells whether the bundle tells robots of events here.
func (l *local) notifies() bool { return l.world.chat != nil && l.fleet["notify"] != nil }
