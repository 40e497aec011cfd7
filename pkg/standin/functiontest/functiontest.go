// Package functiontest runs a function in a test: its own wiring, with the real SDK clients and HTTP client, against a
// simulated WeChat and a stand-in for AWS.
//
// Each test also scans for leaks: at its end, no response, error, log line or event may contain a secret of the
// simulated WeChat. With -v, a test prints them all.
package functiontest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// World is a function's surroundings: WeChat, AWS, environment, clock.
type World struct {
	WeChat *wechattest.Server
	AWS    *awstest.Server
	Env    map[string]string // to be changed before [World.Start]
	Clock  *Clock
	Log    *Log
	// Secrets are the test's own, in addition to WeChat's; no output may contain them.
	Secrets []string

	t      *testing.T
	awsURL string
	mu     sync.Mutex
	seen   []string // answers and errors
	tasks  []string // of events
}

// The tables, by their default names.
const (
	StateTable = "wechat-draftbox-state"
	TokenTable = "wechat-draftbox-tokens"
)

// SetAccount stores an account's item with these attributes, such as status and draft_switch.
func (w *World) SetAccount(appID string, attributes map[string]any) {
	item := map[string]any{"pk": "account", "sk": appID, "appid": appID}
	maps.Copy(item, attributes)
	w.AWS.SetItem(StateTable, item)
}

// Account returns an account's item without its keys, or nil.
func (w *World) Account(appID string) map[string]any {
	item, _ := w.AWS.Item(StateTable, "account", appID)
	delete(item, "pk")
	delete(item, "sk")
	return item
}

// Clock is a clock that a test moves.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the real time plus how far the clock was moved.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Forward moves the clock.
func (c *Clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// Log is everything that functions logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// Lines returns the lines that contain the text.
func (l *Log) Lines(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// New makes a world with the simulated WeChat's example platform. Both stand-ins use the world's clock.
func New(t *testing.T, options ...wechattest.Option) *World {
	t.Helper()
	clock := &Clock{}
	w := &World{
		WeChat: wechattest.New(append([]wechattest.Option{wechattest.WithExample(), wechattest.WithClock(clock.Now)}, options...)...),
		AWS:    awstest.New(awstest.WithClock(clock.Now)),
		Clock:  clock, Log: &Log{}, t: t,
	}
	w.AWS.CreateTable(StateTable, "pk", "sk")
	w.AWS.CreateTable(TokenTable, "appid", "")
	wechatServer, awsServer := httptest.NewServer(w.WeChat), httptest.NewServer(w.AWS)
	w.awsURL = awsServer.URL
	w.Env = map[string]string{"WECHAT_API_BASE_URL": wechatServer.URL, "LOG_LEVEL": "debug"}
	t.Cleanup(func() {
		wechatServer.CloseClientConnections() // a handler may hang on purpose
		awsServer.CloseClientConnections()
		wechatServer.Close()
		awsServer.Close()
		w.scan()
		w.recordCalls()
	})
	return w
}

// StoreComponentToken has WeChat issue a component token, stores it as the operator's token server would, and returns
// it.
func (w *World) StoreComponentToken() string {
	token := w.WeChat.IssueComponentToken()
	w.store("wechat/draftbox/component-token", token)
	return token
}

// StoreAccountToken does the same for an account.
func (w *World) StoreAccountToken(appID string) string {
	token := w.WeChat.IssueAccountToken(appID)
	w.store("wechat/draftbox/accounts/"+appID, token)
	return token
}

func (w *World) store(name, token string) {
	text, _ := json.Marshal(map[string]string{
		"access_token": token, "expires_at": w.Clock.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339),
	})
	w.AWS.SetSecret(name, string(text))
}

func (w *World) saw(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, text)
}

// scan looks for secrets in all output.
func (w *World) scan() {
	for _, event := range w.AWS.Events() {
		w.saw(string(event.Detail))
	}
	w.saw(w.Log.text.String())
	if testing.Verbose() {
		fmt.Fprintln(w.t.Output(), strings.Join(w.seen, "\n"))
	}
	for _, s := range append(w.WeChat.Secrets(), w.Secrets...) {
		for _, text := range w.seen {
			if strings.Contains(text, s) || strings.Contains(text, url.QueryEscape(s)) {
				w.t.Errorf("the secret %.6s… can be seen in: %s", s, text)
			}
		}
	}
}

// Function is a running function: one warm instance.
type Function struct {
	t       *testing.T
	world   *World
	handler lambda.Handler
	front   Front
}

// Start wires a function with the world's environment, as a cold start does.
func (w *World) Start(wire func(bootstrap.Deps) trigger.Router) *Function {
	w.t.Helper()
	s, err := bootstrap.ReadSettings(func(name string) string { return w.Env[name] })
	if err != nil {
		w.t.Fatal(err)
	}
	log := telemetry.LogTo(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug}), s.LogLevel)
	deps := bootstrap.New(s, w.AWS.Config(w.awsURL), log, telemetry.NewRecorder(w.Log, "function", w.Clock.Now),
		wechat.WithBackoff(func(int) time.Duration { return time.Millisecond }))
	deps.Now = w.Clock.Now
	w.t.Cleanup(deps.WeChat.CloseIdleConnections)
	return &Function{t: w.t, world: w, handler: deps.Handler(wire(deps))}
}

// Invoke invokes the function with an event, JSON or a value to encode, and returns its result as JSON.
func (f *Function) Invoke(ctx context.Context, event any) (json.RawMessage, error) {
	raw, ok := event.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(event); err != nil {
			f.t.Error(err)
		}
	}
	f.world.invoked(raw)
	result, err := f.handler.Invoke(ctx, raw)
	if err != nil {
		f.world.saw(err.Error())
		return nil, err
	}
	f.world.saw(string(result))
	return result, nil
}

// Response is a function's answer to an HTTP request.
type Response struct {
	Status int
	Header map[string]string
	Body   string
}

// Decode decodes the body into v.
func (r Response) Decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), v); err != nil {
		t.Fatalf("status %d, body %q: %v", r.Status, r.Body, err)
	}
}

// Problem decodes the body of a problem and returns its slug and the body.
func (r Response) Problem(t *testing.T) (slug string, body map[string]any) {
	t.Helper()
	if got := r.Header["Content-Type"]; got != "application/problem+json" {
		t.Errorf("status %d, Content-Type %q, body %s", r.Status, got, r.Body)
	}
	r.Decode(t, &body)
	kind, _ := body["type"].(string)
	if body["status"] != float64(r.Status) {
		t.Errorf("status %d, but in the body %v", r.Status, body["status"])
	}
	return strings.TrimPrefix(kind, "urn:wechat-draftbox:"), body
}

// StorePlatform stores the platform's secret as the operator does.
func (w *World) StorePlatform() {
	p := w.WeChat.Platform()
	text, _ := json.Marshal(map[string]string{
		"component_appid": p.AppID, "component_appsecret": p.AppSecret,
		"message_token": p.MessageToken, "encoding_aes_key": p.EncodingAESKey,
	})
	w.AWS.SetSecret("wechat/draftbox/platform", string(text))
}
