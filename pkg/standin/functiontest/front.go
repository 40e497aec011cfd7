package functiontest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"wechat-draftbox/pkg/standin/apitest"
	"wechat-draftbox/pkg/standin/gateway"
)

// A Front is what invokes a function with HTTP requests. The zero value is an HTTP API of API Gateway with the stage
// $default.
type Front struct {
	BasePath string // of an own domain, "/box"
	Stage    string // empty: $default
	REST     bool   // payload format 1.0
	Slash    bool   // the caller put a slash at the path's end
}

// Fronts returns the fronts that the functions must support, by name.
func Fronts() map[string]Front {
	return map[string]Front{
		"HTTP API":                              {},
		"own domain with a base path":           {BasePath: "/box"},
		"named stage":                           {Stage: "prod"},
		"base path and named stage":             {BasePath: "/box", Stage: "prod"},
		"slash at the end":                      {Slash: true},
		"REST API":                              {REST: true, Stage: "prod"},
		"REST API, base path, slash at the end": {REST: true, Stage: "prod", BasePath: "/box", Slash: true},
	}
}

// Behind returns the function behind a front.
func (f *Function) Behind(front Front) *Function {
	behind := *f
	behind.front = front
	return &behind
}

// HTTP sends a request, such as "GET", "/drafts?limit=1", as the event that the function's front makes of it. header
// holds pairs. The route is that of the OpenAPI document, or else a catch-all route. The response must conform to the
// document.
func (f *Function) HTTP(ctx context.Context, method, target, body string, header ...string) Response {
	f.t.Helper()
	routes, err := apitest.Routes()
	if err != nil {
		f.t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r := request{method: method, path: path, query: query, body: body, headers: map[string]string{"host": "example.execute-api.us-east-1.amazonaws.com"}}
	for i := 0; i+1 < len(header); i += 2 {
		r.headers[header[i]] = header[i+1]
	}
	var route gateway.Route
	if route, r.parameters, r.found = gateway.Find(routes, method, path); r.found {
		r.route = route.Path
	}
	event := f.front.httpAPI(r)
	if f.front.REST {
		event = f.front.restAPI(r)
	}
	result, err := f.Invoke(ctx, event)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, target, err)
	}
	var reply struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	if err := json.Unmarshal(result, &reply); err != nil {
		f.t.Fatal(err)
	}
	answered := http.Header{}
	for name, value := range reply.Headers {
		answered.Set(name, value)
	}
	if err := apitest.CheckAnswer(context.WithoutCancel(ctx), method, path, reply.StatusCode, answered, reply.Body); err != nil {
		f.t.Errorf("%s %s: the answer is not what the OpenAPI document promises: %v", method, target, err)
	}
	return Response{reply.StatusCode, reply.Headers, reply.Body}
}

// request is a request to a front.
type request struct {
	method, path, query, body string
	headers                   map[string]string
	found                     bool
	route                     string            // the path of the route that was found, "/drafts/{draft_id}"
	parameters                map[string]string // decoded
}

const callerARN = "arn:aws:iam::123456789012:user/ci"

// seenPath is the path in the front's event.
func (front Front) seenPath(path, stage string) string {
	if front.Slash {
		path += "/"
	}
	return front.BasePath + stage + path
}

// httpAPI makes an event of payload format 2.0.
func (front Front) httpAPI(r request) map[string]any {
	key, stage, prefix := "$default", "$default", ""
	if r.found {
		key = r.method + " " + r.route
	}
	if front.Stage != "" {
		stage, prefix = front.Stage, "/"+front.Stage
	}
	path := front.seenPath(r.path, prefix)
	return map[string]any{
		"version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": r.query, "headers": r.headers, "pathParameters": r.parameters,
		"requestContext": map[string]any{
			"requestId": "request-1", "stage": stage, "routeKey": key,
			"http":       map[string]string{"method": r.method, "path": path, "sourceIp": "192.0.2.1"},
			"authorizer": map[string]any{"iam": map[string]string{"userArn": callerARN}},
		},
		"body": r.body, "isBase64Encoded": false,
	}
}

// restAPI makes an event of payload format 1.0, whose path holds no stage.
func (front Front) restAPI(r request) map[string]any {
	resource, parameters := r.route, r.parameters
	if !r.found {
		resource, parameters = "/{proxy+}", map[string]string{"proxy": strings.TrimPrefix(r.path, "/")}
	}
	query, _ := url.ParseQuery(r.query) // what can't be read of it, API Gateway leaves out
	path := front.seenPath(r.path, "")
	return map[string]any{
		"version": "1.0", "resource": resource, "path": path, "httpMethod": r.method, "headers": r.headers,
		"pathParameters": parameters, "multiValueQueryStringParameters": query,
		"requestContext": map[string]any{
			"requestId": "request-1", "stage": front.Stage, "resourcePath": resource, "path": "/" + front.Stage + path,
			"identity": map[string]string{"sourceIp": "192.0.2.1", "userArn": callerARN},
		},
		"body": r.body, "isBase64Encoded": false,
	}
}
