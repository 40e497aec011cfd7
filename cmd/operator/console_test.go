package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/gateway"
)

// lambdas is a Lambda API whose functions echo the event of a request and return the name of a task.
type lambdas struct {
	mu     sync.Mutex
	events map[string][]string // by the function's name
}

func (l *lambdas) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, _ := io.ReadAll(r.Body)
	if bytes.Contains(event, []byte("Action=GetCallerIdentity")) {
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>AIDAME</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/invocations")
	l.mu.Lock()
	l.events[name] = append(l.events[name], string(event))
	l.mu.Unlock()
	var task struct{ Task string }
	json.Unmarshal(event, &task)
	switch {
	case name == "prod-templates":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message": "not authorized"}`)
	case task.Task == "":
		json.NewEncoder(w).Encode(map[string]any{"statusCode": 200, "headers": map[string]string{"Content-Type": "application/json"}, "body": string(event)})
	case task.Task == "fail":
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		fmt.Fprint(w, `{"errorMessage": "no"}`)
	default:
		json.NewEncoder(w).Encode(task)
	}
}

func (l *lambdas) invoked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, events := range l.events {
		n += len(events)
	}
	return n
}

const key = "KEYOFTHEPAGE"

// startPage serves the page of the stack prod.
func startPage(t *testing.T) (*lambdas, *httptest.Server, *bytes.Buffer) {
	t.Helper()
	functions := &lambdas{events: map[string][]string{}}
	aws := httptest.NewServer(functions)
	t.Cleanup(aws.Close)
	cfg := awstest.New().Config(aws.URL)
	cfg.RetryMaxAttempts = 1
	caller, err := identify(t.Context(), sts.NewFromConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &stack{name: "prod", region: "eu-central-1", lambda: lambda.NewFromConfig(cfg), out: &out}
	server := httptest.NewUnstartedServer(nil)
	server.Config.Handler = page(s, caller, key, server.Listener.Addr().String())
	server.Start()
	t.Cleanup(server.Close)
	return functions, server, &out
}

// asks sends a request to the page's server.
type asks struct {
	method, path, body string
	header             []string // pairs
}

func (a asks) send(t *testing.T, server *httptest.Server) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), a.method, server.URL+a.path, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(a.header); i += 2 {
		if a.header[i] == "Host" {
			request.Host = a.header[i+1]
		}
		request.Header.Set(a.header[i], a.header[i+1])
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(body)
}

var own = []string{"X-Draftbox-Console", "1"}

func TestConsoleOfAStack(t *testing.T) {
	t.Parallel()
	functions, server, out := startPage(t)
	_, header, body := asks{"GET", "/" + key + "/", "", nil}.send(t, server)
	if !strings.Contains(body, `"./_local/console/console.js"`) || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the page: %v %.300s", header, body)
	}
	for path, want := range map[string]string{"/_local/console/console.js": "EventSource", "/_local/openapi.json": `"openapi"`, "/_local/api": "api.js"} {
		if status, _, body := (asks{"GET", "/" + key + path, "", nil}).send(t, server); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %.200s", path, status, body)
		}
	}

	_, _, body = asks{"POST", "/" + key + "/accounts/wx%2531/draft-switch?a=1", `{"confirm": "wx"}`,
		append(own, "Content-Type", "application/json", "Origin", server.URL, "Referer", server.URL+"/"+key+"/")}.send(t, server)
	var event gateway.Event
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if event.RouteKey != "POST /accounts/{appid}/draft-switch" || event.RawPath != "/accounts/wx%31/draft-switch" || event.PathParameters["appid"] != "wx%31" ||
		event.RawQuery != "a=1" || event.Body != `{"confirm": "wx"}` || event.Context.Authorizer.IAM.UserARN != "arn:aws:iam::123456789012:user/me" {
		t.Errorf("the event: %s", body)
	}
	if strings.Contains(body, key) {
		t.Error("the function sees the page's key")
	}
	if len(functions.events["prod-switch"]) != 1 {
		t.Errorf("invoked %v", functions.events)
	}

	for _, test := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/_local/invoke/tokens", `{"task": "doctor"}`, 200, `"doctor"`},
		{"/_local/invoke/tokens", `{"task": "fail"}`, 500, `"errorMessage": "no"`},
		{"/_local/invoke/callback", `{"task": "x"}`, 404, "no function"},
		{"/_local/invoke/switch", `{"routeKey": "POST /accounts/{appid}/draft-switch"}`, 500, "must be a task"},
		{"/_local/tokens/expire", ``, 404, "Not Found"},
		{"/_sim/drafts", `{}`, 404, "Not Found"},
		{"/wechat/callback", `<xml/>`, 404, "Not Found"},
		{"/drafts/4/template", ``, 500, "Internal Server Error"},
	} {
		if status, _, body := (asks{"POST", "/" + key + test.path, test.body, own}).send(t, server); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("POST %s with %s: %d %s, want %d %s", test.path, test.body, status, body, test.status, test.want)
		}
	}
	if !strings.Contains(out.String(), "invoke prod-templates") {
		t.Errorf("the terminal doesn't say why: %s", out)
	}
}

// Another page in the same browser, or another user of the machine, can't do anything.
func TestConsoleIsNobodyElses(t *testing.T) {
	t.Parallel()
	functions, server, _ := startPage(t)
	host := server.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(host)
	at := "/" + key
	for name, test := range map[string]struct {
		asks
		status int
	}{
		"without the key":        {asks{"GET", "/drafts", "", own}, 404},
		"another key":            {asks{"GET", "/" + strings.ToLower(key) + "/drafts", "", own}, 404},
		"a part of the key":      {asks{"GET", "/" + key[:5] + "/drafts", "", own}, 404},
		"the key alone":          {asks{"GET", at, "", own}, 404},
		"a rebound name":         {asks{"GET", at + "/drafts", "", []string{"Host", "evil.example:" + port}}, 403},
		"another port's name":    {asks{"GET", at + "/drafts", "", []string{"Host", "127.0.0.1:1"}}, 403},
		"another site reads":     {asks{"GET", at + "/drafts", "", []string{"Origin", "https://evil.example"}}, 403},
		"another site, embedded": {asks{"GET", at + "/drafts", "", []string{"Sec-Fetch-Site", "cross-site"}}, 403},
		"another local server":   {asks{"GET", at + "/drafts", "", []string{"Sec-Fetch-Site", "same-site"}}, 403},
		"a sandboxed page":       {asks{"POST", at + "/_local/invoke/tokens", `{"task": "doctor"}`, append(own, "Origin", "null")}, 403},
		"a form":                 {asks{"POST", at + "/_local/invoke/tokens", `{"task": "doctor"}`, nil}, 403},
		"a form deletes":         {asks{"DELETE", at + "/templates/1", "", nil}, 403},
	} {
		if status, _, body := test.send(t, server); status != test.status {
			t.Errorf("%s: %d %.200s, want %d", name, status, body, test.status)
		}
	}
	if n := functions.invoked(); n > 0 {
		t.Errorf("functions were invoked %d times", n)
	}
	if status, _, body := (asks{"GET", at + "/drafts", "", []string{"Host", "localhost:" + port, "Sec-Fetch-Site", "none"}}).send(t, server); status != 200 {
		t.Errorf("by the name localhost: %d %s", status, body)
	}
}

// The page's routes are the template's, except for WeChat's callback.
func TestConsoleHasTheTemplatesRoutes(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(content, &template); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, resource := range template.Resources {
		var function struct {
			CodeURI string `yaml:"CodeUri"`
			Events  map[string]struct {
				Type       string    `yaml:"Type"`
				Properties yaml.Node `yaml:"Properties"`
			} `yaml:"Events"`
		}
		if resource.Type != "AWS::Serverless::Function" {
			continue
		}
		if err := resource.Properties.Decode(&function); err != nil {
			t.Fatal(err)
		}
		for _, event := range function.Events {
			var route struct {
				Method string `yaml:"Method"`
				Path   string `yaml:"Path"`
			}
			if event.Type != "HttpApi" {
				continue
			}
			if err := event.Properties.Decode(&route); err != nil {
				t.Fatal(err)
			}
			want[route.Method+" "+route.Path] = path.Base(function.CodeURI)
		}
	}
	got := map[string]string{}
	for _, route := range routes() {
		got[route.Key()] = route.Function
	}
	delete(want, "POST /wechat/callback")
	if !maps.Equal(got, want) {
		t.Errorf("routes %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// The command prints the address with the key, and stops when its context ends.
func TestConsoleStops(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := &stack{name: "prod"}
	go func() { done <- serve(ctx, listener, page(s, gateway.Caller{}, key, listener.Addr().String())) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/" + key + "/_local/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, 400)
	n, _ := answer.Body.Read(first)
	if text := string(first[:n]); !strings.Contains(text, `"stack":"prod"`) || !strings.Contains(text, `"simulated":false`) {
		t.Errorf("the state: %s", text)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}
