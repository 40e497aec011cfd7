// Package gateway is an HTTP API of API Gateway: it turns each request into an event of payload format 2.0, invokes
// the route's function and turns the result into an HTTP response. See
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// The limits of an HTTP API.
const (
	maxBody            = 10 << 20 // bytes
	integrationTimeout = 30 * time.Second
)

// A Route is a method and a path with parameters, "/drafts/{draft_id}", and the function that serves it.
type Route struct {
	Function string
	Method   string // "ANY": every one
	Path     string
	Guarded  bool // it has an authorizer

	segments []string
}

// NewRoute makes a route without an authorizer.
func NewRoute(function, method, path string) Route {
	return Route{Function: function, Method: method, Path: path, segments: strings.Split(path, "/")}
}

// Key is the route's key, "GET /drafts/{draft_id}".
func (r Route) Key() string { return r.Method + " " + r.Path }

// match reports whether the route serves a path, given as escaped segments, and returns its parameters, decoded once.
func (r Route) match(method string, given []string) (parameters map[string]string, ok bool) {
	if r.Method != method && r.Method != "ANY" {
		return nil, false
	}
	for at, segment := range r.segments {
		name, variable := parameter(segment)
		switch {
		case at >= len(given), !variable && segment != unescape(given[at]), variable && given[at] == "":
			return nil, false
		case variable:
			if parameters == nil {
				parameters = map[string]string{}
			}
			if greedy, ok := strings.CutSuffix(name, "+"); ok {
				parameters[greedy] = unescape(strings.Join(given[at:], "/"))
				return parameters, true
			}
			parameters[name] = unescape(given[at])
		}
	}
	return parameters, len(given) == len(r.segments)
}

// unescape decodes a part of a path. net/http has rejected invalid escapes.
func unescape(segment string) string {
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		return segment
	}
	return decoded
}

func parameter(segment string) (name string, ok bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// byPrecedence orders routes as API Gateway tries them: a literal segment before a parameter, a parameter before a
// greedy one, a method before ANY.
func byPrecedence(a, b Route) int {
	if c := slices.CompareFunc(a.segments, b.segments, func(a, b string) int { return cmp.Compare(vagueness(a), vagueness(b)) }); c != 0 {
		return c // also by length, as else the order would have circles
	}
	if a.Method != b.Method && (a.Method == "ANY" || b.Method == "ANY") {
		if a.Method == "ANY" {
			return 1
		}
		return -1
	}
	return cmp.Compare(a.Key(), b.Key())
}

func vagueness(segment string) int {
	name, variable := parameter(segment)
	switch {
	case !variable:
		return 0
	case strings.HasSuffix(name, "+"):
		return 2
	}
	return 1
}

// Invoke invokes a function with an event and returns its result; a failed function is an error.
type Invoke func(ctx context.Context, function string, event []byte) ([]byte, error)

// A Gateway is a [http.Handler].
type Gateway struct {
	// BasePath is the path of a custom domain's API mapping, such as "/box". Functions see it in the path, but not in
	// the route key or parameters.
	BasePath string
	// Caller is the caller on routes with an authorizer. Signatures are not checked.
	Caller Caller

	routes []Route
	invoke Invoke
	now    func() time.Time
	newID  func() string // of a request
}

// A Caller is an IAM principal.
type Caller struct{ AccountID, AccessKey, UserARN, UserID string }

// New makes a gateway.
func New(routes []Route, invoke Invoke) *Gateway {
	return &Gateway{
		routes: slices.SortedFunc(slices.Values(routes), byPrecedence),
		invoke: invoke,
		now:    time.Now,
		newID: func() string {
			var b [11]byte
			rand.Read(b[:])
			return base64.StdEncoding.EncodeToString(b[:])
		},
	}
}

// ServeHTTP implements [http.Handler]. As in an HTTP API, a trailing slash is a segment.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := g.newID()
	w.Header().Set("Apigw-Requestid", id)
	path, below := strings.CutPrefix(r.URL.EscapedPath(), g.BasePath)
	route, parameters, found := find(g.routes, r.Method, path)
	if !below || !found {
		say(w, http.StatusNotFound, "Not Found")
		return
	}
	g.serve(w, r, matched{route, parameters, id})
}

// Find returns the route for a method and an escaped path, with its parameters.
func Find(routes []Route, method, path string) (route Route, parameters map[string]string, found bool) {
	return find(slices.SortedFunc(slices.Values(routes), byPrecedence), method, path)
}

func find(routes []Route, method, path string) (Route, map[string]string, bool) {
	segments := strings.Split(path, "/")
	for _, route := range routes {
		if parameters, ok := route.match(method, segments); ok {
			return route, parameters, true
		}
	}
	return Route{}, nil, false
}

// matched is a request before its body is read.
type matched struct {
	route      Route
	parameters map[string]string
	id         string
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, m matched) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event, err := json.Marshal(g.event(r, m, body))
	if err != nil {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), integrationTimeout)
	defer cancel()
	payload, err := g.invoke(ctx, m.route.Function, event)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		say(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil || !answer(w, payload):
		say(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// An Event is a request in payload format 2.0.
type Event struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	Context        requestContext    `json:"requestContext"`
	Body           string            `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	Authorizer   *authorizer `json:"authorizer,omitempty"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         struct {
		Method    string `json:"method"`
		Path      string `json:"path"`
		Protocol  string `json:"protocol"`
		SourceIP  string `json:"sourceIp"`
		UserAgent string `json:"userAgent"`
	} `json:"http"`
	RequestID string `json:"requestId"`
	RouteKey  string `json:"routeKey"`
	Stage     string `json:"stage"`
	Time      string `json:"time"`
	TimeEpoch int64  `json:"timeEpoch"` // milliseconds
}

type authorizer struct {
	IAM struct {
		AccessKey string  `json:"accessKey"`
		AccountID string  `json:"accountId"`
		CallerID  string  `json:"callerId"`
		Cognito   *string `json:"cognitoIdentity"`
		OrgID     *string `json:"principalOrgId"`
		UserARN   string  `json:"userArn"`
		UserID    string  `json:"userId"`
	} `json:"iam"`
}

// authorizer is the caller as a function sees it.
func (c Caller) authorizer() *authorizer {
	a := new(authorizer)
	a.IAM.AccessKey = c.AccessKey
	a.IAM.AccountID = c.AccountID
	a.IAM.CallerID = c.UserID
	a.IAM.UserARN = c.UserARN
	a.IAM.UserID = c.UserID
	return a
}

func (g *Gateway) event(r *http.Request, m matched, body []byte) Event {
	now := g.now().UTC()
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	prefix, _, _ := strings.Cut(host, ".")
	sourceIP, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		sourceIP = r.RemoteAddr
	}
	e := Event{
		Version:        "2.0",
		RouteKey:       m.route.Key(),
		RawPath:        r.URL.Path, // an HTTP API hands it on decoded
		RawQuery:       r.URL.RawQuery,
		Cookies:        cookies(r.Header),
		Headers:        headers(r, sourceIP, now),
		Query:          query(r.URL.RawQuery),
		PathParameters: m.parameters,
		Context: requestContext{
			AccountID:    g.Caller.AccountID,
			APIID:        "local",
			DomainName:   host,
			DomainPrefix: prefix,
			RequestID:    m.id,
			RouteKey:     m.route.Key(),
			Stage:        "$default",
			Time:         now.Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch:    now.UnixMilli(),
		},
		Body: string(body),
	}
	e.Context.HTTP.Method = r.Method
	e.Context.HTTP.Path = r.URL.Path
	e.Context.HTTP.Protocol = r.Proto
	e.Context.HTTP.SourceIP = sourceIP
	e.Context.HTTP.UserAgent = r.UserAgent()
	if m.route.Guarded {
		e.Context.Authorizer = g.Caller.authorizer()
	}
	if len(body) > 0 && !readsAsText(r.Header.Get("Content-Type"), body) {
		e.Body, e.Base64 = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

func cookies(h http.Header) []string {
	var all []string
	for _, line := range h["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// headers returns the request's headers in lower case, several values joined by commas, and those that API Gateway
// adds.
func headers(r *http.Request, sourceIP string, now time.Time) map[string]string {
	all := map[string]string{"host": r.Host}
	for name, values := range r.Header {
		if name != "Cookie" {
			all[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	if r.ContentLength >= 0 && r.Body != http.NoBody {
		all["content-length"] = fmt.Sprint(r.ContentLength)
	}
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "80"
	}
	all["x-forwarded-for"] = strings.Join(append(r.Header["X-Forwarded-For"], sourceIP), ", ")
	all["x-forwarded-port"] = port
	all["x-forwarded-proto"] = "http"
	if all["x-amzn-trace-id"] == "" {
		all["x-amzn-trace-id"] = fmt.Sprintf("Root=1-%08x-%024x", now.Unix(), now.Nanosecond())
	}
	return all
}

// query returns the decoded parameters, several values joined by commas.
func query(raw string) map[string]string {
	parsed, _ := url.ParseQuery(raw)
	all := make(map[string]string, len(parsed))
	for name, values := range parsed {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// readsAsText reports whether the event holds the body as it is. Forms, which curl -d sends, and bodies without a
// Content-Type are encoded in base64.
func readsAsText(contentType string, body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = strings.ToLower(contentType)
	}
	switch kind {
	case "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json")
}

// answer writes a function's result as HTTP. JSON that is not in format 2.0 becomes the body of a 200.
func answer(w http.ResponseWriter, payload []byte) bool {
	var shape struct {
		StatusCode *int `json:"statusCode"`
	}
	if !json.Valid(payload) {
		return false
	}
	if json.Unmarshal(payload, &shape) != nil || shape.StatusCode == nil {
		var text string
		if json.Unmarshal(payload, &text) == nil {
			payload = []byte(text)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(payload)
		return true
	}
	var response events.APIGatewayV2HTTPResponse
	if json.Unmarshal(payload, &response) != nil || response.StatusCode < 200 || response.StatusCode > 599 {
		return false
	}
	body := []byte(response.Body)
	if response.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(response.Body); err != nil {
			return false
		}
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range response.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	if w.Header().Get("Content-Type") == "" && len(body) > 0 {
		w.Header().Set("Content-Type", "text/plain;charset=utf-8")
	}
	w.WriteHeader(response.StatusCode)
	w.Write(body)
	return true
}

// say responds with a message of API Gateway.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}
