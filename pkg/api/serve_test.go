package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/telemetry"
)

// response is what API Gateway gets.
type response struct {
	StatusCode      int
	Headers         map[string]string
	Body            string
	IsBase64Encoded bool
}

// serve serves an event. Whatever the event, the answer has a form that API Gateway understands.
func serve(ctx context.Context, t *testing.T, routes api.Routes, event string) response {
	t.Helper()
	encoded := routes.Serve(ctx, slog.New(slog.DiscardHandler), []byte(event))
	var r response
	if err := json.Unmarshal(encoded, &r); err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	return r
}

// slug is the slug of a problem, whose other members it checks.
func (r response) slug(t *testing.T) string {
	t.Helper()
	var p struct {
		Type, Title, Detail, Action string
		Status                      int
		RequestID                   string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("%q: %v", r.Body, err)
	}
	if r.Headers["Content-Type"] != "application/problem+json" || p.Status != r.StatusCode || p.Title == "" || p.Detail == "" ||
		p.Action == "" || p.RequestID != r.Headers["X-Request-Id"] || r.Headers["Cache-Control"] != "no-store" {
		t.Errorf("an odd problem: %+v", r)
	}
	return strings.TrimPrefix(p.Type, "urn:wechat-draftbox:")
}

// inLambda is a context as Lambda makes it.
func inLambda(ctx context.Context) context.Context {
	return lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: "of-lambda"})
}

// request is an event of payload format 2.0.
func request(method, path, query string, header map[string]string) string {
	event, _ := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": path, "rawQueryString": query, "headers": header,
		"requestContext": map[string]any{"requestId": "of-gateway", "stage": "$default", "http": map[string]string{"method": method, "path": path}},
	})
	return string(event)
}

// jsonBody is v as a body; nil where it can't be encoded.
func jsonBody(v any) *api.Body {
	body, _ := api.JSON(v)
	return body
}

// keep is a route that keeps the request.
func keep(got **api.Request) api.Routes {
	handle := func(_ context.Context, r *api.Request) (*api.Response, error) {
		*got = r
		return &api.Response{Body: jsonBody(struct{}{})}, nil
	}
	return api.Routes{{Method: "GET", Path: "/things/{id}", Handle: handle}, {Method: "POST", Path: "/things/{id}", Handle: handle}}
}

func TestRequestsOfBothPayloadFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event string
		want        api.Request
	}{
		{"2.0 with IAM", `{"version":"2.0","rawPath":"/things/7","rawQueryString":"a=1&a=2&b=x%20y+z","headers":{"If-None-Match":"x"},
			"queryStringParameters":{"a":"1,2","b":"x y z"},"body":"hello","isBase64Encoded":false,
			"requestContext":{"requestId":"r","stage":"$default","http":{"method":"GET","path":"/things/7","sourceIp":"192.0.2.1"},"authorizer":{"iam":{"userArn":"arn:aws:iam::1:user/u"}}}}`,
			api.Request{Method: "GET", Path: "/things/7", Query: url.Values{"a": {"1", "2"}, "b": {"x y z"}}, Header: map[string]string{"if-none-match": "x"},
				Body: []byte("hello"), Caller: "arn:aws:iam::1:user/u", Source: "192.0.2.1"}},
		{"2.0 with JWT", `{"version":"2.0","rawPath":"/things/7","rawQueryString":"","requestContext":{"requestId":"r","http":{"method":"GET"},"authorizer":{"jwt":{"claims":{"sub":"me"},"scopes":null}}}}`,
			api.Request{Method: "GET", Path: "/things/7", Caller: "me"}},
		{"2.0 without authorizer", `{"version":"2.0","rawPath":"/things/7","requestContext":{"requestId":"r","http":{"method":"GET"},"authorizer":null}}`,
			api.Request{Method: "GET", Path: "/things/7"}},
		{"2.0 under a named stage", `{"version":"2.0","rawPath":"/prod/things/7","requestContext":{"requestId":"r","stage":"prod","http":{"method":"GET","path":"/prod/things/7"}}}`,
			api.Request{Method: "GET", Path: "/things/7"}},
		{"2.0 under a stage with a name like the path", `{"version":"2.0","rawPath":"/things/things/7","requestContext":{"requestId":"r","stage":"things","http":{"method":"GET"}}}`,
			api.Request{Method: "GET", Path: "/things/7"}},
		{"2.0 in base64", `{"version":"2.0","rawPath":"/things/7","body":"aGVsbG8=","isBase64Encoded":true,"requestContext":{"requestId":"r","http":{"method":"POST"}}}`,
			api.Request{Method: "POST", Path: "/things/7", Body: []byte("hello")}},
		{"1.0 with IAM", `{"version":"1.0","httpMethod":"GET","path":"/things/7","headers":{"X":"y"},"queryStringParameters":{"a":"2"},"multiValueQueryStringParameters":{"a":["1","2"],"b":["x y"]},
			"requestContext":{"requestId":"r","stage":"Prod","path":"/Prod/things/7","authorizer":null,"identity":{"sourceIp":"192.0.2.1","userArn":"arn:aws:iam::1:user/u"}},"body":null,"isBase64Encoded":false}`,
			api.Request{Method: "GET", Path: "/things/7", Query: url.Values{"a": {"1", "2"}, "b": {"x y"}}, Header: map[string]string{"x": "y"},
				Caller: "arn:aws:iam::1:user/u", Source: "192.0.2.1"}},
		{"1.0 with JWT", `{"version":"1.0","httpMethod":"GET","path":"/things/7","requestContext":{"requestId":"r","authorizer":{"claims":{"sub":"me"},"scopes":["a"]},"identity":{"userArn":null}}}`,
			api.Request{Method: "GET", Path: "/things/7", Caller: "me"}},
		{"1.0 with a query of single values", `{"httpMethod":"GET","path":"/things/7","queryStringParameters":{"a":"1"},"multiValueQueryStringParameters":null,"requestContext":{"requestId":"r"}}`,
			api.Request{Method: "GET", Path: "/things/7", Query: url.Values{"a": {"1"}}}},
		{"1.0 in base64", `{"httpMethod":"POST","path":"/things/7","body":"aGVsbG8=","isBase64Encoded":true,"requestContext":{"requestId":"r"}}`,
			api.Request{Method: "POST", Path: "/things/7", Body: []byte("hello")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got *api.Request
			if r := serve(t.Context(), t, keep(&got), c.event); r.StatusCode != 200 || r.Headers["X-Request-Id"] != "r" || r.Body != "{}" {
				t.Fatalf("answered %+v", r)
			}
			c.want.ID, c.want.Params = "r", map[string]string{"id": "7"}
			if c.want.Query == nil {
				c.want.Query = url.Values{}
			}
			if c.want.Header == nil {
				c.want.Header = map[string]string{}
			}
			if c.want.Body == nil {
				c.want.Body = []byte{}
			}
			if diff := cmp.Diff(c.want, *got, cmpopts.IgnoreUnexported(api.Request{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRouteKeys: the route is the one that API Gateway matched, whatever the path looks like, and its parameters are decoded
// already.
func TestRouteKeys(t *testing.T) {
	t.Parallel()
	const v2 = `{"version":"2.0","routeKey":%q,"rawPath":%q,"pathParameters":{"id":%q},"requestContext":{"requestId":"r","stage":%q,"http":{"method":"GET"}}}`
	const v1 = `{"version":"1.0","httpMethod":"GET","resource":%q,"path":%q,"pathParameters":{"id":%q},"requestContext":{"requestId":"r","stage":%q}}`
	for _, c := range []struct{ name, event, id string }{
		{"base path of an own domain", fmt.Sprintf(v2, "GET /things/{id}", "/box/things/7", "7", "$default"), "7"},
		{"named stage below a base path", fmt.Sprintf(v2, "GET /things/{id}", "/box/prod/things/7", "7", "prod"), "7"},
		{"slash at the end", fmt.Sprintf(v2, "GET /things/{id}", "/things/7/", "7", "$default"), "7"},
		{"decoded once", fmt.Sprintf(v2, "GET /things/{id}", "/things/%2531", "%31", "$default"), "%31"},
		{"route key of another function", fmt.Sprintf(v2, "GET /other/{id}", "/things/7", "8", "$default"), "7"},
		{"no route key of a route", fmt.Sprintf(v2, "$default", "/things/%2531", "", "$default"), "%31"},
		{"REST resource", fmt.Sprintf(v1, "/things/{id}", "/box/things/7", "7", "prod"), "7"},
		{"REST proxy resource", fmt.Sprintf(v1, "/{proxy+}", "/things/7", "", "prod"), "7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got *api.Request
			if r := serve(t.Context(), t, keep(&got), c.event); r.StatusCode != 200 || got.Params["id"] != c.id {
				t.Errorf("answered %+v for %+v", r, got)
			}
		})
	}
}

func TestHostileEvents(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]string{
		`null`: "404 not-found",
		`{}`:   "404 not-found",
		`[]`:   "400 invalid-request",
		`7`:    "400 invalid-request",
		`{"requestContext":null,"headers":null,"body":null}`:                                                       "404 not-found",
		`{"requestContext":{"http":null,"authorizer":{"iam":null,"jwt":null}},"rawPath":null}`:                     "404 not-found",
		`{"requestContext":{"http":"GET"},"rawPath":"/things/7"}`:                                                  "400 invalid-request",
		`{"requestContext":{},"rawPath":["/things/7"]}`:                                                            "400 invalid-request",
		`{"requestContext":{},"headers":{"a":["b"]},"httpMethod":"GET","path":"/things/7"}`:                        "400 invalid-request",
		`{"requestContext":{},"headers":{"a":null},"httpMethod":"GET","path":"/things/7"}`:                         "200 ",
		`{"requestContext":{},"httpMethod":"GET","path":"/things/7","multiValueQueryStringParameters":{"a":null}}`: "200 ",
		`{"requestContext":{},"httpMethod":"GET","path":"/things/7","body":"%%","isBase64Encoded":true}`:           "400 invalid-request",
		`{"requestContext":{},"httpMethod":"GET","path":"/things/7","rawQueryString":"a=%zz"}`:                     "400 invalid-request",
		`{"requestContext":{},"httpMethod":"GET","path":"/things/7","rawQueryString":"a=1;b=2"}`:                   "400 invalid-request",
	} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			var got *api.Request
			r := serve(inLambda(t.Context()), t, keep(&got), event)
			status, slug, _ := strings.Cut(want, " ")
			if got := r.StatusCode; status != map[int]string{200: "200", 400: "400", 404: "404"}[got] {
				t.Errorf("status %d: %s", got, r.Body)
			}
			if slug != "" && r.slug(t) != slug {
				t.Errorf("got %s", r.Body)
			}
			if r.Headers["X-Request-Id"] != "of-lambda" {
				t.Errorf("headers %v", r.Headers)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	say := func(what string) api.Handler {
		return func(_ context.Context, r *api.Request) (*api.Response, error) {
			return &api.Response{Body: api.Text(what + " " + r.Params["id"])}, nil
		}
	}
	routes := api.Routes{
		{Method: "GET", Path: "/things", Handle: say("list")},
		{Method: "GET", Path: "/things/{id}", Handle: say("get")},
		{Method: "DELETE", Path: "/things/{id}", Handle: say("delete")},
		{Method: "POST", Path: "/things/latest/part", Handle: say("latest")},
		{Method: "POST", Path: "/things/{id}/part", Handle: say("part")},
	}
	for _, c := range []struct{ request, want string }{
		{"GET /things", "list "},
		{"GET /things/7", "get 7"},
		{"GET /things/-1", "get -1"},
		{"GET /things/%37", "get 7"},
		{"GET /things/a%2Fb", "get a/b"},
		{"GET /things/50%", "get 50%"},
		{"DELETE /things/7", "delete 7"},
		{"POST /things/latest/part", "latest "},
		{"POST /things/7/part", "part 7"},
		{"GET /", "404"},
		{"GET ", "404"},
		{"GET /things/", "404"},
		{"GET //things", "404"},
		{"GET /things/7/", "404"},
		{"POST /things//part", "404"},
		{"GET /Things", "404"},
		{"GET /prod/things", "404"},
		{"POST /things", "405 GET"},
		{"HEAD /things", "405 GET"},
		{"OPTIONS /things/7", "405 DELETE, GET"},
		{"get /things/7", "405 DELETE, GET"},
		{"PUT /things/latest/part", "405 POST"},
		{" /things", "405 GET"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r := serve(t.Context(), t, routes, request(method, path, "", nil))
		got := r.Body
		switch r.StatusCode {
		case 404:
			if got = "404"; r.slug(t) != "not-found" || r.Headers["Allow"] != "" {
				t.Errorf("%s: %+v", c.request, r)
			}
		case 405:
			if got = "405 " + r.Headers["Allow"]; r.slug(t) != "method-not-allowed" {
				t.Errorf("%s: %s", c.request, r.Body)
			}
		case 200:
			if r.Headers["Content-Type"] != "text/plain" {
				t.Errorf("%s: %v", c.request, r.Headers)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.request, got, c.want)
		}
		if r.Headers["X-Request-Id"] != "of-gateway" {
			t.Errorf("%s: headers %v", c.request, r.Headers)
		}
	}
}

func TestTheRequestIDIsTheOneOfTheLog(t *testing.T) {
	t.Parallel()
	var got *api.Request
	r := serve(inLambda(t.Context()), t, keep(&got), request("GET", "/things/7", "", nil))
	if r.Headers["X-Request-Id"] != "of-lambda" || got.ID != "of-lambda" {
		t.Errorf("headers %v, id %q", r.Headers, got.ID)
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	content, maxAge, fetched := "v1", 30*time.Second, 0
	routes := api.Routes{{Method: "GET", Path: "/things", Handle: func(_ context.Context, r *api.Request) (*api.Response, error) {
		fetched++
		body := fmt.Appendf(nil, `{"content":%q,"fetched":%d}`, content, fetched)
		return &api.Response{Body: api.Tagged(r, body, []byte(content)), Cache: &api.Cache{MaxAge: maxAge, Age: 7*time.Second + 1, HasAge: true}}, nil
	}}}
	ask := func(query, ifNoneMatch string) response {
		t.Helper()
		return serve(t.Context(), t, routes, request("GET", "/things", query, map[string]string{"If-None-Match": ifNoneMatch}))
	}
	first := ask("a=1&b=2", "")
	etag := first.Headers["ETag"]
	if first.StatusCode != 200 || len(etag) < 10 || first.Headers["Cache-Control"] != "private, max-age=30" {
		t.Errorf("got %+v", first)
	}
	for ifNoneMatch, want := range map[string]int{
		etag:                        304,
		"W/" + etag:                 304,
		`"x", ` + etag + `,"y"`:     304,
		`"x",W/` + etag:             304,
		"*":                         304,
		" * ":                       304,
		"":                          200,
		`"x"`:                       200,
		strings.Trim(etag, `"`):     200,
		`"` + etag + `"`:            200,
		strings.ToUpper(etag) + "x": 200,
	} {
		r := ask("b=2&a=1", ifNoneMatch) // the same query
		if r.StatusCode != want || r.Headers["ETag"] != etag || r.Headers["Cache-Control"] != "private, max-age=30" || r.Headers["X-Request-Id"] == "" || r.Headers["Age"] != "7" {
			t.Errorf("%q: %+v", ifNoneMatch, r)
		}
		if (r.Body == "") != (want == 304) {
			t.Errorf("%q: body %q", ifNoneMatch, r.Body)
		}
	}
	if r := ask("a=2", etag); r.StatusCode != 200 || r.Headers["ETag"] == etag {
		t.Errorf("another query has the same ETag: %+v", r)
	}
	content = "v2"
	if r := ask("a=1&b=2", etag); r.StatusCode != 200 || r.Headers["ETag"] == etag {
		t.Errorf("other content has the same ETag: %+v", r)
	}
	for _, d := range []time.Duration{0, -time.Second, time.Second / 2} {
		maxAge = d
		if r := ask("", ""); r.Headers["Cache-Control"] != "private, no-cache" || r.Headers["ETag"] == "" {
			t.Errorf("%v: %v", d, r.Headers)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	answer := func(a *api.Response, err error) response {
		return serve(t.Context(), t, api.Routes{{Method: "GET", Path: "/", Handle: func(context.Context, *api.Request) (*api.Response, error) { return a, err }}},
			request("GET", "/", "", nil))
	}
	if r := answer(&api.Response{Body: jsonBody(map[string]string{"a": "<&>\u2028草"})}, nil); r.Body != `{"a":"<&>\u2028草"}` || r.Headers["Content-Type"] != "application/json; charset=utf-8" || r.Headers["Cache-Control"] != "no-store" {
		t.Errorf("got %+v", r)
	}
	if r := answer(&api.Response{Status: 201, Header: map[string]string{"Location": "/x"}, Body: jsonBody(struct{}{})}, nil); r.StatusCode != 201 || r.Headers["Location"] != "/x" {
		t.Errorf("got %+v", r)
	}
	if r := answer(&api.Response{Status: 204}, nil); r.StatusCode != 204 || r.Body != "" || r.Headers["Content-Type"] != "" || r.Headers["X-Request-Id"] == "" {
		t.Errorf("got %+v", r)
	}
	if _, err := api.JSON(func() {}); err == nil {
		t.Error("a function was encoded")
	}
	if r := answer(nil, errors.New("84_hidden")); r.slug(t) != "internal-error" || strings.Contains(r.Body, "84_hidden") {
		t.Errorf("got %+v", r)
	}

	// Quotes are what grows most on the way: each is two bytes in the body and four in what encloses it.
	for size, want := range map[int]string{1_300_000: "", 1_400_000: "bad-upstream-answer"} {
		r := answer(&api.Response{Body: jsonBody([]string{strings.Repeat(`"`, size)})}, nil)
		switch {
		case want == "" && (r.StatusCode != 200 || len(r.Body) < size):
			t.Errorf("%d quotes: status %d", size, r.StatusCode)
		case want != "" && (r.slug(t) != want || !strings.Contains(r.Body, "limit") || r.StatusCode != 502):
			t.Errorf("%d quotes: %.300s", size, r.Body)
		}
	}
}

// TestCompression: an answer of 16 KB and more is compressed for who accepts it, and says that it depends on that.
func TestCompression(t *testing.T) {
	t.Parallel()
	body := map[int]*api.Body{}
	for _, size := range []int{compressFrom - 1, compressFrom} {
		body[size] = jsonBody(strings.Repeat("x", size-2))
	}
	for _, c := range []struct {
		size     int
		accepted string
		gzip     bool
	}{
		{compressFrom - 1, "gzip", false},
		{compressFrom, "gzip", true},
		{compressFrom, "br, GZIP;q=0.5", true},
		{compressFrom, "*", true},
		{compressFrom, "", false},
		{compressFrom, "br", false},
		{compressFrom, "gzip;q=0, *", false},
		{compressFrom, "identity;q=1, *;q=0", false},
		{compressFrom, "gzip; q = 0.000", false},
	} {
		routes := api.Routes{{Method: "GET", Path: "/", Handle: func(context.Context, *api.Request) (*api.Response, error) {
			return &api.Response{Body: body[c.size]}, nil
		}}}
		r := serve(t.Context(), t, routes, request("GET", "/", "", map[string]string{"Accept-Encoding": c.accepted}))
		text := r.Body
		if r.IsBase64Encoded {
			text = gunzip(t, r.Body)
		}
		if r.IsBase64Encoded != c.gzip || (r.Headers["Content-Encoding"] == "gzip") != c.gzip || len(text) != c.size ||
			(r.Headers["Vary"] == "Accept-Encoding") != (c.size >= compressFrom) {
			t.Errorf("%d bytes to %q: %v, %d bytes", c.size, c.accepted, r.Headers, len(text))
		}
	}
}

const compressFrom = 16 << 10

func gunzip(t *testing.T, body string) string {
	t.Helper()
	compressed, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ lambda, want time.Duration }{
		"none of Lambda's": {0, 28 * time.Second},
		"a long one":       {15 * time.Minute, 28 * time.Second},
		"a shorter one":    {27 * time.Second, 27 * time.Second},
		"past":             {-time.Second, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, began := t.Context(), time.Now()
			if c.lambda != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.lambda)
				defer cancel()
			}
			routes := api.Routes{{Method: "GET", Path: "/", Handle: func(ctx context.Context, _ *api.Request) (*api.Response, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}}}
			r := serve(ctx, t, routes, request("GET", "/", "", nil))
			if took := time.Since(began); took != c.want {
				t.Errorf("%s: the handler had %v, want %v", name, took, c.want)
			}
			if got := r.slug(t); got != "wechat-timeout" || r.StatusCode != 504 {
				t.Errorf("%s: %s", name, got)
			}
		})
	}
}

func TestDecodeBody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{`{"n":1}`: 1, "": 9, " \r\n": 9, `null`: 9, `{}`: 9, `{"n":1}x`: -1, `[]`: -1, `{"n":"1"}`: -1, `n=1`: -1} {
		for _, encoded := range []bool{false, true} {
			r := &api.Request{Body: []byte(body)}
			if encoded { // as curl -d sends it through an HTTP API
				var got *api.Request
				event, _ := json.Marshal(map[string]any{"httpMethod": "POST", "path": "/things/1", "requestContext": map[string]any{},
					"body": base64.StdEncoding.EncodeToString([]byte(body)), "isBase64Encoded": true})
				serve(inLambda(t.Context()), t, keep(&got), string(event))
				r = got
			}
			v := struct{ N int }{9}
			err := r.DecodeBody(&v)
			var problem *fault.Error
			if want < 0 && (!errors.As(err, &problem) || problem.Meaning.Kind != fault.InvalidRequest) || want >= 0 && (err != nil || v.N != want) {
				t.Errorf("%q: %+v, %v", body, v, err)
			}
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := telemetry.LogTo(slog.NewJSONHandler(&out, nil), slog.LevelError)
	r := &api.Request{ID: "r", Caller: "arn:aws:iam::1:user/u", Source: "192.0.2.1"}
	r.Audit(t.Context(), log, "thing-delete", "deleted", slog.Int("thing_id", 7))
	var got map[string]any
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "INFO", "msg": "thing-delete", "audit": "thing-delete", "thing_id": 7.0, "outcome": "deleted",
		"caller": "arn:aws:iam::1:user/u", "source_ip": "192.0.2.1", "request_id": "r"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzServe(f *testing.F) {
	f.Add(request("GET", "/things/7", "a=1", map[string]string{"if-none-match": "*"}))
	f.Add(`{"version":"1.0","httpMethod":"POST","path":"/things/%2e","multiValueQueryStringParameters":{"a":["1",null]},"body":"aGVsbG8=","isBase64Encoded":true,"requestContext":{"stage":"x","authorizer":{"claims":{"sub":"me"}}}}`)
	f.Add(`{"requestContext":{"http":{"method":"\u0000"}},"rawPath":"/%zz"}`)
	f.Fuzz(func(t *testing.T, event string) {
		var got *api.Request
		switch r := serve(inLambda(t.Context()), t, keep(&got), event); r.StatusCode {
		case 200:
			if got == nil || got.Params["id"] == "" {
				t.Error("200 without a request")
			}
		case 400, 404, 405:
			r.slug(t)
		default:
			t.Errorf("status %d", r.StatusCode)
		}
	})
}
