// Package wechattest is a simulated WeChat: a stateful and strict stand-in for the part of api.weixin.qq.com that
// concerns a third-party platform's draft box, the draft box switch of its accounts, and the tokens of both.
//
// A [Server] is an [http.Handler]. Tests mount it through httptest.NewServer, the local run on a loopback port. It
// keeps WeChat's state (drafts, templates, accounts, tokens and their expiry, quotas), refuses what WeChat
// refuses, pushes what WeChat pushes, and can inject faults ([Server.Fail]). Where WeChat's own pages are
// silent it takes the stricter reading, and a comment says so.
package wechattest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The supported paths. Any other gets status 404 with an HTML page.
const (
	PathDraftList       = "/wxa/gettemplatedraftlist"
	PathAddToTemplate   = "/wxa/addtotemplate"
	PathTemplateList    = "/wxa/gettemplatelist"
	PathDeleteTemplate  = "/wxa/deletetemplate"
	PathSwitch          = "/cgi-bin/draft/switch"
	PathComponentToken  = "/cgi-bin/component/api_component_token"
	PathAuthorizerToken = "/cgi-bin/component/api_authorizer_token"
	PathStableToken     = "/cgi-bin/stable_token"
	PathStartPushTicket = "/cgi-bin/component/api_start_push_ticket"
	PathQueryAuth       = "/cgi-bin/component/api_query_auth"
	PathAuthorizerList  = "/cgi-bin/component/api_get_authorizer_list"
	PathAuthorizerInfo  = "/cgi-bin/component/api_get_authorizer_info"
	PathQuota           = "/cgi-bin/openapi/quota/get"
	PathDraftCount      = "/cgi-bin/draft/count"
	PathDraftBatchGet   = "/cgi-bin/draft/batchget"
)

// Platform is a third-party platform's settings.
type Platform struct {
	AppID          string // component_appid
	AppSecret      string // component_appsecret
	MessageToken   string // signs the pushes
	EncodingAESKey string // 43 characters of base64, encrypts the pushes
}

// Server is a simulated WeChat. Make one with [New]; it is safe for concurrent use and starts no goroutine.
type Server struct {
	platform Platform
	now      func() time.Time
	admin    http.Handler

	// Set by options, and read-only after New.
	latency         time.Duration
	contentType     string
	example         bool
	dailyLimits     map[string]int
	templateLimit   int
	templateDraftID bool
	titlesOut       bool
	emptyListsOut   bool
	rotateRefresh   bool
	openingLag      int

	mu            sync.Mutex
	drafts        []draft
	nextDraft     int64
	templates     []Template
	nextTemplate  int64
	accounts      []*account
	accountByID   map[string]*account
	tokens        map[string]*token
	tokensOf      map[owner][]*token
	tickets       []ticket
	codes         map[string]*code
	nextMedia     int
	secrets       []string
	retired       *refusal
	refusedIP     string
	usage         map[usageKey]usage
	faults        map[string][]*Fault
	requests      ring[Request]
	calls         map[string]int
	results       map[Result]int // the key's Count is 0
	opens         int
	answers       uint32
	callback      string
	pushing       bool
	pushingBegins chan struct{}
	pushes        ring[Push]
}

// Option changes how a [Server] behaves.
type Option func(*Server)

// WithClock sets the clock for the lifetimes of tokens, tickets and codes and the days of quotas. The default is
// [time.Now]. Latency, delays and push time-outs are always in real time.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithPlatform sets the platform whose calls are served. The default is [ExamplePlatform].
func WithPlatform(p Platform) Option { return func(s *Server) { s.platform = p } }

// WithLatency delays the processing of every call by d, except on the admin paths. A call whose client leaves
// meanwhile is not processed.
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// WithContentType sets the Content-Type of successful responses. The default is text/plain, which WeChat often sends
// with JSON.
func WithContentType(t string) Option { return func(s *Server) { s.contentType = t } }

// WithRecordedRequests sets how many requests [Server.Requests] retains. The default is 10,000.
func WithRecordedRequests(n int) Option {
	return func(s *Server) { s.requests = newRing[Request](n) }
}

// New makes a simulated WeChat with an empty draft box, no templates, no accounts, no ticket and no token.
func New(opts ...Option) *Server {
	s := &Server{
		platform:      ExamplePlatform(),
		now:           time.Now,
		contentType:   "text/plain",
		dailyLimits:   map[string]int{},
		templateLimit: 200,
		accountByID:   map[string]*account{},
		tokens:        map[string]*token{},
		tokensOf:      map[owner][]*token{},
		codes:         map[string]*code{},
		usage:         map[usageKey]usage{},
		faults:        map[string][]*Fault{},
		requests:      newRing[Request](10_000),
		calls:         map[string]int{},
		results:       map[Result]int{},
		pushingBegins: make(chan struct{}),
		pushes:        newRing[Push](100),
	}
	for _, o := range opts {
		o(s)
	}
	s.admin = s.Admin()
	s.remember(s.platform.AppSecret, s.platform.MessageToken, s.platform.EncodingAESKey)
	if s.example {
		s.loadExample()
	}
	return s
}

// Platform returns the platform's settings.
func (s *Server) Platform() Platform { return s.platform }

// Request is one request as it arrived.
type Request struct {
	Time     time.Time // by the server's clock
	Method   string
	Path     string
	Host     string // the host that was asked, with its port if there was one
	RawQuery string // holds the token
	Body     string
	AppID    string // the appid its token belongs to; empty where it bore none that is known
}

// Checks reports whether the request reads the state of a switch: its query has checkonly=1.
func (r Request) Checks() bool { return r.Path == PathSwitch && checksOnly(r.RawQuery) }

// Opens reports whether the request tries to open a switch.
func (r Request) Opens() bool { return r.Path == PathSwitch && !checksOnly(r.RawQuery) }

// Requests returns the newest requests to path, or to all paths if it is empty, oldest first. See
// [WithRecordedRequests] for how many.
func (s *Server) Requests(path string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, r := range s.requests.all() {
		if path == "" || r.Path == path {
			found = append(found, r)
		}
	}
	return found
}

// Calls returns the number of requests to path, or to all paths if it is empty, since New.
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path != "" {
		return s.calls[path]
	}
	total := 0
	for _, n := range s.calls {
		total += n
	}
	return total
}

// maxBody is the read limit for a request.
const maxBody = 1 << 20

// ServeHTTP serves WeChat's calls, and the admin paths under /_sim/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, adminPrefix) {
		s.admin.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return // the client went away in the middle of its request
	}
	fault := s.arrive(r, body)
	seen := &responseRecorder{to: w}
	defer s.countResult(r.URL.Path, seen)
	if !wait(r.Context(), s.latency) {
		return
	}
	if fault == nil {
		s.process(r, body).write(seen)
		return
	}
	fault.meet(s, seen, r, body)
}

// arrive records a request and returns its fault, if any.
func (s *Server) arrive(r *http.Request, body []byte) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := Request{Time: s.now(), Method: r.Method, Path: r.URL.Path, Host: r.Host, RawQuery: r.URL.RawQuery, Body: string(body)}
	if t := s.tokens[r.URL.Query().Get("access_token")]; t != nil {
		req.AppID = t.owner.appid
	}
	s.requests.add(req)
	s.calls[req.Path]++
	if req.Opens() {
		s.opens++
	}
	return s.nextFault(req)
}

// process performs a request and returns WeChat's reply.
func (s *Server) process(r *http.Request, body []byte) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, refused := s.answer(r, body)
	if refused != nil {
		return s.refuse(*refused)
	}
	return reply{status: http.StatusOK, contentType: s.contentType, body: encode(answer)}
}

// reply is a response before it is sent.
type reply struct {
	status      int
	contentType string
	body        []byte
}

func (p reply) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.contentType)
	w.WriteHeader(p.status)
	_, _ = w.Write(p.body) // a client that went away is its own affair
}

// encode writes JSON as WeChat does, without escapes for HTML.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("wechattest: encode an answer: " + err.Error()) // only a Draft.Extra that is no JSON gets here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// wait sleeps for d and reports whether the client is still there.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ring keeps the newest entries up to its capacity.
type ring[T any] struct {
	size    int
	entries []T
	next    int // where the next entry goes once entries is full
}

func newRing[T any](size int) ring[T] { return ring[T]{size: max(size, 1)} }

func (r *ring[T]) add(v T) {
	if len(r.entries) < r.size {
		r.entries = append(r.entries, v)
		return
	}
	r.entries[r.next] = v
	r.next = (r.next + 1) % r.size
}

// all returns a copy, oldest first.
func (r *ring[T]) all() []T {
	return append(append([]T(nil), r.entries[r.next:]...), r.entries[:r.next]...)
}
