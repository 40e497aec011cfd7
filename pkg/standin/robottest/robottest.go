// Package robottest is a stand-in for the chat robots of WeCom, DingTalk, Feishu and Slack: a handler that responds as
// they do, checks signatures and sizes, injects faults, and records what it was sent.
package robottest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"wechat-draftbox/pkg/robot"
)

// Robot is a robot in a group chat.
type Robot struct {
	Name    string // of the chat
	Kind    robot.Kind
	Key     string // the secret part of its URL
	Secret  string // not empty: it refuses what isn't signed with it; WeCom and Slack know no such thing
	Keyword string // not empty: it refuses messages without it
}

// Message is a message that a robot accepted.
type Message struct {
	Robot string
	Kind  robot.Kind
	At    time.Time
	Title string // DingTalk's
	Text  string // in the markup of the kind
}

// Server is an [http.Handler]. It is safe for concurrent use.
type Server struct {
	now       func() time.Time
	limited   bool
	onMessage func(Message)

	mu       sync.Mutex
	robots   []Robot
	messages []Message
	requests map[string]int
	faults   map[string][]Fault
	accepted map[string][]time.Time
	silent   map[string]time.Time // until when
}

// Option changes how a [Server] behaves.
type Option func(*Server)

// WithClock sets the clock of signatures and rate limits.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithRateLimits refuses messages above the kinds' limits.
func WithRateLimits() Option { return func(s *Server) { s.limited = true } }

// WithObserver calls f with each accepted message.
func WithObserver(f func(Message)) Option { return func(s *Server) { s.onMessage = f } }

// New makes a server with these robots.
func New(robots []Robot, options ...Option) *Server {
	s := &Server{
		now: time.Now, robots: slices.Clone(robots), onMessage: func(Message) {},
		requests: make(map[string]int), faults: make(map[string][]Fault),
		accepted: make(map[string][]time.Time), silent: make(map[string]time.Time),
	}
	for _, option := range options {
		option(s)
	}
	return s
}

// URL is the robot's address on a server at base, such as "http://127.0.0.1:4000".
func (r Robot) URL(base string) string {
	switch r.Kind {
	case robot.WeCom:
		return base + "/cgi-bin/webhook/send?key=" + url.QueryEscape(r.Key)
	case robot.DingTalk:
		return base + "/robot/send?access_token=" + url.QueryEscape(r.Key)
	case robot.Feishu:
		return base + "/open-apis/bot/v2/hook/" + url.PathEscape(r.Key)
	}
	return base + "/services/" + url.PathEscape(r.Key)
}

// Messages returns the messages that the named robot accepted, or all robots for "", oldest first.
func (s *Server) Messages(name string) (messages []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if name == "" || m.Robot == name {
			messages = append(messages, m)
		}
	}
	return messages
}

// Requests returns how often the named robot was called, whatever the result.
func (s *Server) Requests(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[name]
}

// maxBody is more than any robot accepts.
const maxBody = 1 << 20

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, kind, found := s.find(r)
	if !found {
		s.answer(w, kind, unknownRobot(kind))
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // the client gave up
	}
	fault := s.next(to.Name)
	if fault.before != nil && fault.before(w, r) {
		return
	}
	if said := s.take(to, r, body); said.refused() {
		s.answer(w, to.Kind, said)
		return
	}
	if fault.after != nil && fault.after(w, r) {
		return
	}
	s.answer(w, to.Kind, verdict{})
}

// find returns the robot of a request, and the kind of its address.
func (s *Server) find(r *http.Request) (to Robot, kind robot.Kind, found bool) {
	key := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case r.URL.Path == "/cgi-bin/webhook/send":
		kind, key = robot.WeCom, r.URL.Query().Get("key")
	case r.URL.Path == "/robot/send":
		kind, key = robot.DingTalk, r.URL.Query().Get("access_token")
	case strings.HasPrefix(r.URL.Path, "/open-apis/bot/v2/hook/"):
		kind = robot.Feishu
	default:
		kind, key = robot.Slack, strings.TrimPrefix(r.URL.Path, "/services/")
	}
	for _, to := range s.robots {
		if to.Kind == kind && to.Key == key {
			return to, kind, true
		}
	}
	return Robot{}, kind, false
}

// verdict is a robot's reason to refuse a message; the zero value accepts it.
type verdict struct {
	status  int // of Slack, which answers the message as text
	code    int
	message string
}

func (v verdict) refused() bool { return v.code != 0 || v.status != 0 }

func unknownRobot(kind robot.Kind) verdict {
	return map[robot.Kind]verdict{
		robot.WeCom:    {code: 93000, message: "invalid webhook url"},
		robot.DingTalk: {code: 300005, message: "token is not exist"},
		robot.Feishu:   {code: 19001, message: "param invalid: incoming webhook access token invalid"},
		robot.Slack:    {status: 404, message: "no_team"},
	}[kind]
}

// answer responds as the kind does: with HTTP 200 in any case, except for Slack.
func (s *Server) answer(w http.ResponseWriter, kind robot.Kind, v verdict) {
	var body any
	switch kind {
	case robot.Slack:
		w.Header().Set("Content-Type", "text/html")
		if v.refused() {
			w.WriteHeader(v.status)
			io.WriteString(w, v.message)
			return
		}
		io.WriteString(w, "ok")
		return
	case robot.Feishu:
		body = map[string]any{"code": v.code, "msg": orOK(v.message, "success"), "data": map[string]any{}}
	default:
		body = map[string]any{"errcode": v.code, "errmsg": orOK(v.message, "ok")}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body)
}

func orOK(message, ok string) string {
	if message == "" {
		return ok
	}
	return message
}

// sent is the body of any kind.
type sent struct {
	MsgType  string `json:"msgtype"` // WeCom, DingTalk
	Markdown struct{ Content, Title, Text string }
	Type     string `json:"msg_type"` // Feishu
	Content  struct{ Text string }
	Text     string `json:"text"` // Slack

	Timestamp, Sign string // Feishu
}

// take checks and records a message.
func (s *Server) take(to Robot, r *http.Request, raw []byte) verdict {
	var body sent
	if json.Unmarshal(raw, &body) != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return malformed(to.Kind, "no JSON")
	}
	m := Message{Robot: to.Name, Kind: to.Kind, At: s.now()}
	switch to.Kind {
	case robot.WeCom:
		m.Text = body.Markdown.Content
	case robot.DingTalk:
		m.Title, m.Text = body.Markdown.Title, body.Markdown.Text
	case robot.Feishu:
		m.Text = body.Content.Text
	case robot.Slack:
		m.Text = body.Text
	}
	if v := s.check(to, r, m, body); v.refused() {
		return v
	}
	if v := tooLarge(to.Kind, m, raw); v.refused() {
		return v
	}
	if v := s.keep(to, m); v.refused() {
		return v
	}
	s.onMessage(m)
	return verdict{}
}

func (s *Server) keep(to Robot, m Message) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.tooMany(to)
	if !v.refused() {
		s.messages = append(s.messages, m)
	}
	return v
}

func malformed(kind robot.Kind, why string) verdict {
	return map[robot.Kind]verdict{
		robot.WeCom:    {code: 44004, message: "empty content: " + why},
		robot.DingTalk: {code: 400105, message: "unsupported msgtype: " + why},
		robot.Feishu:   {code: 9499, message: "Bad Request: " + why},
		robot.Slack:    {status: 400, message: "invalid_payload"},
	}[kind]
}

// check checks a message's content and signature.
func (s *Server) check(to Robot, r *http.Request, m Message, body sent) verdict {
	isMarkdown := to.Kind == robot.WeCom || to.Kind == robot.DingTalk
	switch {
	case m.Text == "" || !utf8.ValidString(m.Text):
		return malformed(to.Kind, "no text")
	case isMarkdown && body.MsgType != "markdown", to.Kind == robot.Feishu && body.Type != "text", to.Kind == robot.DingTalk && m.Title == "":
		return malformed(to.Kind, "no type, or no title")
	case to.Kind == robot.DingTalk && to.Secret != "" && !s.signedForDingTalk(to, r.URL.Query()):
		return verdict{code: 310000, message: "sign not match"}
	case to.Kind == robot.Feishu && to.Secret != "" && !s.signedForFeishu(to, body):
		return verdict{code: 19021, message: "sign match fail or timestamp is not within one hour from current time"}
	case !strings.Contains(m.Text, to.Keyword) && to.Kind == robot.DingTalk:
		return verdict{code: 310000, message: "keywords not in content"}
	case !strings.Contains(m.Text, to.Keyword):
		return verdict{code: 19024, message: "Key Words Not Found", status: http.StatusForbidden}
	}
	return verdict{}
}

func tooLarge(kind robot.Kind, m Message, raw []byte) verdict {
	switch {
	case kind == robot.WeCom && len(m.Text) > 4096:
		return verdict{code: 40058, message: "markdown.content exceed max length 4096"}
	case kind == robot.DingTalk && len(raw) > 20_000:
		return verdict{code: 460101, message: "message too long"}
	case kind == robot.Feishu && len(raw) > 20<<10:
		return verdict{code: 9499, message: "Bad Request: body too large"}
	case kind == robot.Slack && utf8.RuneCountInString(m.Text) > 40_000:
		return verdict{status: http.StatusBadRequest, message: "msg_too_long"}
	}
	return verdict{}
}
