package main

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

	"wechat-draftbox/pkg/standin/runtimeapi"
)

// The limits of an HTTP API.
const (
	maxBody            = 10 << 20 // bytes
	integrationTimeout = 30 * time.Second
)

// A route is a method and a path with parameters, "/drafts/{draft_id}", and the
// function that serves it.
type route struct {
	Function string
	Method   string // "ANY": every one
	Path     string
	Guarded  bool // it has an authorizer

	segments []string
}

func newRoute(function, method, path string) route {
	return route{Function: function, Method: method, Path: path, segments: strings.Split(path, "/")}
}

// Key is the route's key, "GET /drafts/{draft_id}".
func (r route) Key() string { return r.Method + " " + r.Path }

// match says whether the route serves the path, and with which parameters.
func (r route) match(method, path string) (parameters map[string]string, ok bool) {
	if r.Method != method && r.Method != "ANY" {
		return nil, false
	}
	given := strings.Split(path, "/")
	for at, segment := range r.segments {
		name, variable := parameter(segment)
		switch {
		case at >= len(given), !variable && segment != given[at], variable && given[at] == "":
			return nil, false
		case variable:
			if parameters == nil {
				parameters = map[string]string{}
			}
			if greedy, ok := strings.CutSuffix(name, "+"); ok {
				parameters[greedy] = strings.Join(given[at:], "/")
				return parameters, true
			}
			parameters[name] = given[at]
		}
	}
	return parameters, len(given) == len(r.segments)
}

func parameter(segment string) (name string, ok bool) {
	if len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}' {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

// byPrecedence orders routes as API Gateway tries them: a written segment
// before a parameter, a parameter before a greedy one, a method before ANY.
func byPrecedence(a, b route) int {
	for at := range min(len(a.segments), len(b.segments)) {
		if c := cmp.Compare(vagueness(a.segments[at]), vagueness(b.segments[at])); c != 0 {
			return c
		}
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

// A gateway does what an HTTP API of API Gateway does: it makes each request an
// event of payload format 2.0, hands it to the function of its route and makes
// the answer HTTP again. See
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
type gateway struct {
	routes []route
	invoke func(ctx context.Context, function string, event []byte) (runtimeapi.Result, error)
	now    func() time.Time
	newID  func() string // of a request
}

func newGateway(routes []route, invoke func(context.Context, string, []byte) (runtimeapi.Result, error)) *gateway {
	return &gateway{
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

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := g.newID()
	w.Header().Set("Apigw-Requestid", id)
	for _, route := range g.routes {
		if parameters, ok := route.match(r.Method, r.URL.Path); ok {
			g.serve(w, r, route, parameters, id)
			return
		}
	}
	say(w, http.StatusNotFound, "Not Found")
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request, route route, parameters map[string]string, id string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		say(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		say(w, http.StatusBadRequest, "Bad Request")
		return
	}
	event, err := json.Marshal(g.event(r, route, parameters, id, body))
	if err != nil {
		say(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), integrationTimeout)
	defer cancel()
	result, err := g.invoke(ctx, route.Function, event)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		say(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil || result.Error || !answer(w, result.Payload):
		say(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// An event is a request in payload format 2.0.
type event struct {
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

// localCaller is who calls a guarded route: signatures are not checked here.
func localCaller() *authorizer {
	a := new(authorizer)
	a.IAM.AccessKey = "AKIALOCAL"
	a.IAM.AccountID = account
	a.IAM.CallerID = "AIDALOCAL"
	a.IAM.UserARN = "arn:aws:iam::" + account + ":user/local"
	a.IAM.UserID = "AIDALOCAL"
	return a
}

func (g *gateway) event(r *http.Request, route route, parameters map[string]string, id string, body []byte) event {
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
	e := event{
		Version:        "2.0",
		RouteKey:       route.Key(),
		RawPath:        r.URL.Path, // an HTTP API hands it on decoded
		RawQuery:       r.URL.RawQuery,
		Cookies:        cookies(r.Header),
		Headers:        headers(r, sourceIP, now),
		Query:          query(r.URL.RawQuery),
		PathParameters: parameters,
		Context: requestContext{
			AccountID:    account,
			APIID:        "local",
			DomainName:   host,
			DomainPrefix: prefix,
			RequestID:    id,
			RouteKey:     route.Key(),
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
	if route.Guarded {
		e.Context.Authorizer = localCaller()
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

// headers are the request's in lower case, one of several values joined by
// commas, and those that API Gateway adds.
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

// query holds the decoded parameters, one of several values joined by commas.
func query(raw string) map[string]string {
	parsed, _ := url.ParseQuery(raw)
	all := make(map[string]string, len(parsed))
	for name, values := range parsed {
		all[name] = strings.Join(values, ",")
	}
	return all
}

// readsAsText says whether a body stands in the event as it is.
func readsAsText(contentType string, body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = strings.ToLower(contentType)
	}
	switch kind {
	case "", "application/json", "application/javascript", "application/xml":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json")
}

// answer makes a function's answer HTTP. What is no answer in format 2.0 is the
// body of a 200, if it is JSON at all.
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

// say answers in API Gateway's own words.
func say(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}
