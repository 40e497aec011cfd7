package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"wechat-draftbox/cmd/internal/console"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/standin/wechattest"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, url string
		header      []string
		status      int
	}{
		"curl":                   {"POST", "http://127.0.0.1:3000/_sim/drafts", nil, 200},
		"by name":                {"POST", "http://localhost:3000/_sim/drafts", nil, 200},
		"by IPv6":                {"POST", "http://[::1]:3000/_local/invoke/drafts", nil, 200},
		"without a port":         {"GET", "http://127.0.0.1/", nil, 200},
		"its own page":           {"POST", "http://127.0.0.1:3000/_sim/drafts", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:3000"}, 200},
		"an older browser":       {"DELETE", "http://127.0.0.1:3000/templates/0", []string{"Origin", "http://127.0.0.1:3000"}, 200},
		"another site":           {"POST", "http://127.0.0.1:3000/_sim/drafts", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://example.com"}, 403},
		"another local server":   {"POST", "http://127.0.0.1:3000/_local/invoke/drafts", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:8080"}, 403},
		"another site, older":    {"DELETE", "http://127.0.0.1:3000/_sim/faults", []string{"Origin", "https://example.com"}, 403},
		"a sandboxed page":       {"POST", "http://127.0.0.1:3000/_sim/drafts", []string{"Origin", "null"}, 403},
		"another site opens":     {"POST", "http://127.0.0.1:3000/accounts/wx0000000000000001/draft-switch", []string{"Origin", "https://example.com"}, 403},
		"a rebound name":         {"POST", "http://evil.example:3000/_sim/drafts", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example:3000"}, 421},
		"a rebound name reads":   {"GET", "http://evil.example:3000/drafts", nil, 421},
		"a name that looks well": {"GET", "http://127.0.0.1.evil.example/", nil, 421},
		"WeChat by a tunnel":     {"POST", "http://tunnel.example/wechat/callback?nonce=1", nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := false
			request := httptest.NewRequest(test.method, test.url, nil)
			for i := 0; i < len(test.header); i += 2 {
				request.Header.Set(test.header[i], test.header[i+1])
			}
			w := httptest.NewRecorder()
			guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), callbackPath).ServeHTTP(w, request)
			if w.Code != test.status || reached != (test.status == 200) {
				t.Errorf("%d %s, reached: %v, want %d", w.Code, w.Body, reached, test.status)
			}
		})
	}
}

// The guard protects everything that is served, the stand-ins too.
func TestGuarded(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	for _, url := range []string{l.url + "/_sim/drafts", l.url + "/_local/invoke/echo", l.url + "/echo", l.world.wechatURL + "/_sim/drafts", l.world.awsURL + "/"} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", "https://example.com")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d to a page of another site, want 403", url, answer.StatusCode)
		}
	}
	if n := len(l.world.wechat.Drafts()); n != 2 {
		t.Errorf("there are %d drafts", n)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	for path, want := range map[string]struct{ kind, text string }{
		"/":                           {"text/html", "/_local/console/console.js"},
		"/_local/api":                 {"text/html", "/_local/console/api.js"},
		"/_local/console/console.css": {"text/css", "prefers-color-scheme"},
		"/_local/console/console.js":  {"text/javascript", "EventSource"},
		"/_local/openapi.yaml":        {"application/yaml", "openapi: 3.1.0"},
		"/_local/openapi.json":        {"application/json", `"openapi":"3.1.0"`},
		"/_sim/state":                 {"application/json", wechattest.ExampleClosed},
	} {
		status, header, body := call(t, "GET", l.url+path, "")
		if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), want.kind) || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s %.200s", path, status, header.Get("Content-Type"), body)
		}
		if policy := header.Get("Content-Security-Policy"); want.kind == "text/html" && policy != console.ContentPolicy {
			t.Errorf("%s: Content-Security-Policy %q", path, policy)
		}
		if path == "/_local/openapi.yaml" && body != api.OpenAPI() {
			t.Errorf("%s is not the document", path)
		}
	}
}

// readStream reads states until one holds.
func readStream(t *testing.T, url string, holds func(console.State) bool) console.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", url+"/_local/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	var s console.State
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if holds(s) {
			return s
		}
	}
	t.Fatalf("the stream ended (%v) with %+v", lines.Err(), s)
	return s
}

func TestStream(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	first := readStream(t, l.url, func(s console.State) bool { return len(s.Tokens) == 7 })
	if !first.WeChat.Simulated || !first.AWS.Simulated || first.Names[wechattest.ExampleClosed] != "Lantern Street" || len(first.Drafts) != 2 {
		t.Errorf("state: %+v", first)
	}
	kinds := map[string]int{}
	for _, token := range first.Tokens {
		kinds[token.Kind]++
		if token.StoredAt.IsZero() || token.ExpiresAt == "" {
			t.Errorf("token: %+v", token)
		}
	}
	if kinds["component"] != 1 || kinds["authorizer"] != 5 || kinds["own"] != 1 {
		t.Errorf("kinds of tokens: %v", kinds)
	}

	w := l.world
	w.wechat.UploadDraft(wechattest.Draft{UserVersion: "3"})
	w.wechat.RefuseAddress("198.51.100.9")
	bus := eventbridge.NewFromConfig(w.aws.Config(w.awsURL))
	for _, kind := range []string{"First", "Second"} {
		if _, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
			Source: aws.String("test"), DetailType: aws.String(kind), Detail: aws.String(`{"a": 1}`),
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	w.aws.SetSecureParameter("/wechat/draftbox/component-verify-ticket", `{"ticket": "x", "create_time": 1700000000}`)
	w.aws.SetItem("local-State", map[string]any{"pk": "account", "sk": wechattest.ExampleClosed, "draft_switch": "open"})
	readStream(t, l.url, func(s console.State) bool {
		return len(s.Drafts) == 3 && s.RefusedIP == "198.51.100.9" && len(s.Events) == 2 && s.Events[0].Type == "Second" &&
			string(s.Events[0].Detail) == `{"a":1}` && s.TicketFrom != nil && s.TicketFrom.Unix() == 1700000000 && s.Accounts != first.Accounts
	})
}

// Account tokens in DynamoDB are shown, expired and renewed there.
func TestTokensInATable(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	l, _ := startLocal(t, "../../template.yaml", func(o *options) {
		o.parameters = map[string]string{"AccountTokenStore": "dynamodb", "ExistingTokenTable": "adopted", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a"}
	})
	lives := func(s console.State) bool {
		n := 0
		for _, token := range s.Tokens {
			if ends, err := time.Parse(time.RFC3339, token.ExpiresAt); err == nil && time.Until(ends) > time.Hour && !token.StoredAt.IsZero() {
				n++
			}
		}
		return n == 6 // the platform's, four authorizers' and the own account's
	}
	readStream(t, l.url, lives)
	if item, ok := l.world.aws.Item("adopted", wechattest.ExampleClosed, ""); !ok || item["access_token"] != l.world.wechat.LiveToken(wechattest.ExampleClosed) {
		t.Error("the account's token is not in the table")
	}
	if _, _, ok := l.world.aws.Secret("wechat/draftbox/accounts/" + wechattest.ExampleClosed); ok {
		t.Error("the account's token is in Secrets Manager too")
	}
	if status, _, body := call(t, "POST", l.url+"/_local/tokens/expire", ""); status != http.StatusOK || !strings.Contains(body, `"ended": 6`) {
		t.Errorf("POST /_local/tokens/expire: %d %s", status, body)
	}
	readStream(t, l.url, func(s console.State) bool { return len(s.Tokens) == 6 && !lives(s) })
	if status, _, body := call(t, "POST", l.url+"/_local/invoke/tokens", `{"task": "refresh-tokens"}`); status != http.StatusOK || !strings.Contains(body, `"refreshed":6`) {
		t.Errorf("refresh-tokens: %d %s", status, body)
	}
	readStream(t, l.url, lives)
}

// With the real WeChat and AWS, the state says so and contains none of their data.
func TestStreamWithoutStandins(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, func(o *options) {
		o.realAWS = true
		o.environ = []string{"WECHAT_API_BASE_URL=http://wechat.test", "AWS_ENDPOINT_URL=http://aws.test", "HOME=/nowhere"}
	})
	s := readStream(t, l.url, func(console.State) bool { return true })
	if s.WeChat != (console.Place{URL: "http://wechat.test"}) || s.AWS != (console.Place{URL: "http://aws.test"}) || len(s.Tokens)+len(s.Events)+len(s.Names) > 0 {
		t.Errorf("state: %+v", s)
	}
	if status, _, _ := call(t, "GET", l.url+"/_sim/state", ""); status != http.StatusNotFound {
		t.Errorf("GET /_sim/state: %d without a simulated WeChat", status)
	}
}
