package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// Each request in testdata becomes the event next to it. The one named documented is the sample in API Gateway's
// documentation.
func TestEvents(t *testing.T) {
	t.Parallel()
	routes := []Route{
		NewRoute("f", "POST", "/my/path"),
		NewRoute("f", "GET", "/drafts"),
		NewRoute("f", "GET", "/drafts/{draft_id+}"),
		NewRoute("f", "POST", "/wechat/callback"),
		NewRoute("f", "GET", "/accounts/{appid}/draft-switch"),
		NewRoute("f", "POST", "/accounts/{appid}/draft-switch"),
	}
	routes[len(routes)-1].Guarded = true
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			request.RemoteAddr = "192.0.2.1:54321"
			var got []byte
			g := New(routes, func(_ context.Context, function string, event []byte) ([]byte, error) {
				if function != "f" {
					t.Errorf("invoked %q", function)
				}
				got = event
				return []byte(`{"statusCode":204}`), nil
			})
			g.now = func() time.Time { return time.Date(2020, 3, 12, 19, 3, 58, 390e6, time.UTC) }
			g.Caller = Caller{"123456789012", "AKIALOCAL", "arn:aws:iam::123456789012:user/local", "AIDALOCAL"}
			g.newID = func() string { return "id" }
			if strings.HasPrefix(request.URL.Path, "/box/") {
				g.BasePath = "/box"
			}
			w := httptest.NewRecorder()
			g.ServeHTTP(w, request)
			if w.Code != http.StatusNoContent {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			golden := strings.TrimSuffix(file, ".http") + ".json"
			if *update {
				var indented bytes.Buffer
				json.Indent(&indented, got, "", "  ")
				if err := os.WriteFile(golden, append(indented.Bytes(), '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decoded(t, want), decoded(t, got)); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func decoded(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestRouting(t *testing.T) {
	t.Parallel()
	var routes []Route
	for _, key := range []string{
		"GET /drafts/{draft_id}", "GET /drafts", "POST /drafts/{draft_id}/template",
		"POST /drafts/latest/template", "ANY /any", "PUT /any", "GET /files/{path+}", "GET /files/{path+}",
	} {
		method, path, _ := strings.Cut(key, " ")
		routes = append(routes, NewRoute(key, method, path))
	}
	var invoked string
	g := New(routes, func(_ context.Context, function string, _ []byte) ([]byte, error) {
		invoked = function
		return []byte(`{"statusCode":200}`), nil
	})
	for request, want := range map[string]string{
		"GET /drafts":                  "GET /drafts",
		"GET /drafts/":                 "",
		"GET /drafts/4":                "GET /drafts/{draft_id}",
		"GET /drafts/4/":               "",
		"GET /drafts/4/5":              "",
		"POST /drafts/4/template":      "POST /drafts/{draft_id}/template",
		"POST /drafts/latest/template": "POST /drafts/latest/template",
		"GET /drafts/latest/template":  "",
		"POST /drafts":                 "",
		"HEAD /drafts":                 "",
		"DELETE /any":                  "ANY /any",
		"PUT /any":                     "PUT /any",
		"GET /files/a/b":               "GET /files/{path+}",
		"GET /files/":                  "",
		"GET /":                        "",
		"GET /%64rafts":                "GET /drafts",
		"POST /drafts/4%2F5/template":  "POST /drafts/{draft_id}/template",
		"POST /drafts/4%2Ftemplate":    "",
	} {
		invoked = ""
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if invoked != want {
			t.Errorf("%s invoked %q, want %q", request, invoked, want)
		}
		if want == "" && (w.Code != http.StatusNotFound || strings.TrimSpace(w.Body.String()) != `{"message":"Not Found"}`) {
			t.Errorf("%s answered %d %s, want 404 in API Gateway's words", request, w.Code, w.Body)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result []byte
		err    error
		status int
		kind   string
		body   string
	}{
		"answer":        {[]byte(`{"statusCode":404,"headers":{"Content-Type":"application/problem+json"},"body":"{}"}`), nil, 404, "application/problem+json", "{}"},
		"base64":        {[]byte(`{"statusCode":200,"headers":{"content-type":"image/png"},"body":"AAEC","isBase64Encoded":true}`), nil, 200, "image/png", "\x00\x01\x02"},
		"no status":     {[]byte(`{"drafts":[]}`), nil, 200, "application/json", `{"drafts":[]}`},
		"text":          {[]byte(`"success"`), nil, 200, "application/json", "success"},
		"no JSON":       {[]byte(`oops`), nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		"no such code":  {[]byte(`{"statusCode":42}`), nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		"not base64":    {[]byte(`{"statusCode":200,"body":"%","isBase64Encoded":true}`), nil, 500, "application/json", `{"message":"Internal Server Error"}`},
		"handler error": {nil, errors.New("no"), 500, "application/json", `{"message":"Internal Server Error"}`},
		"crash":         {nil, io.ErrUnexpectedEOF, 500, "application/json", `{"message":"Internal Server Error"}`},
		"too slow":      {nil, context.DeadlineExceeded, 503, "application/json", `{"message":"Service Unavailable"}`},
	} {
		g := New([]Route{NewRoute("f", "GET", "/")}, func(ctx context.Context, _ string, _ []byte) ([]byte, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > integrationTimeout {
				t.Errorf("%s: the invocation has no deadline of 30 seconds", name)
			}
			return test.result, test.err
		})
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != test.status || w.Header().Get("Content-Type") != test.kind || strings.TrimSpace(w.Body.String()) != test.body {
			t.Errorf("%s: %d %s %q, want %d %s %q", name, w.Code, w.Header().Get("Content-Type"), w.Body, test.status, test.kind, test.body)
		}
		if w.Header().Get("Apigw-Requestid") == "" {
			t.Errorf("%s: no request id", name)
		}
	}
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	var size int
	g := New([]Route{NewRoute("f", "POST", "/")}, func(_ context.Context, _ string, event []byte) ([]byte, error) {
		size = len(event)
		return []byte(`{"statusCode":200}`), nil
	})
	for length, want := range map[int]int{maxBody: http.StatusOK, maxBody + 1: http.StatusRequestEntityTooLarge} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", length))))
		if w.Code != want {
			t.Errorf("body of %d bytes: %d, want %d", length, w.Code, want)
		}
	}
	if size < maxBody {
		t.Errorf("the event has %d bytes", size)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("x"), broken{})))
	if w.Code != http.StatusBadRequest {
		t.Errorf("a body cut short: %d, want 400", w.Code)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut short") }

// The order of the given routes doesn't matter, whatever other routes there are.
func TestRoutesInAnyOrder(t *testing.T) {
	t.Parallel()
	var routes []Route
	for _, key := range []string{
		"GET /drafts", "GET /drafts/history", "GET /drafts/{draft_id}", "POST /drafts/{draft_id}/template", "POST /drafts/latest/template",
		"GET /templates", "DELETE /templates/{template_id}", "GET /accounts", "GET /accounts/{appid}/drafts",
		"GET /accounts/{appid}/draft-switch", "POST /accounts/{appid}/draft-switch", "POST /wechat/callback",
	} {
		method, path, _ := strings.Cut(key, " ")
		routes = append(routes, NewRoute("", method, path))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		random.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		if route, _, _ := Find(routes, "GET", "/drafts/history"); route.Path != "/drafts/history" {
			t.Fatalf("found %s among %v", route.Path, routes)
		}
	}
}
