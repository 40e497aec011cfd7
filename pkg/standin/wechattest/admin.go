package wechattest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const adminPrefix = "/_sim/"

// Admin serves the controls of a simulated WeChat, for curl or a console. [Server.ServeHTTP]
// mounts it under /_sim/. It has no access control, so the server belongs on a loopback address.
//
// Bodies are JSON objects; unknown keys are refused. A bad request gets 400 with {"error"}.
//
//	GET    /_sim/state         drafts, templates, accounts, tokens without their values, ticket, faults, pushes
//	POST   /_sim/drafts        a draft in WeChat's field names: uploads it, answers {"draft_id"}
//	DELETE /_sim/drafts/{draft_id} takes a draft out of the box, as its deletion on the platform's page does
//	POST   /_sim/accounts      {"appid", "name", "secret", "refresh_token", "authorized", "granted", "mini_program", "open"}:
//	                           adds or replaces an account
//	POST   /_sim/article-drafts {"appid", "media_id", "update_time", "articles": [{"title", "author", "digest", "url", "content"}]}:
//	                           adds an article draft to an account's, answers {"media_id"}
//	POST   /_sim/retire-switch {"status", "errcode"}: retires the switch, by errcode 48009 or by HTTP status
//	POST   /_sim/faults        {"path", "kind", ...}: the next request to path meets the fault; an empty path is any
//	                           kind    refuse (errcode, errmsg), status (status, body), raw (body), drop, reset, hang, redirect (to),
//	                                   pass, late (every), bom, gbk, half, cut-short, drip (every), huge
//	                           times   how many requests meet it (1; -1: all until DELETE)
//	                           after   true: the request is processed first
//	                           delay   waits first, such as "2s"
//	                           appid   only requests with a token of this account
//	                           host    only requests to this host, such as localhost:8081
//	                           only    "open" or "check": only such requests to the switch
//	DELETE /_sim/faults[?path=] takes away those of a path, or all
//	POST   /_sim/tokens        {"appid"}: somebody else fetches a token of that account (empty: the platform's);
//	                           answers {"access_token"}, the only answer that shows one
//	POST   /_sim/tokens/expire ends the life of all tokens
//	POST   /_sim/callback      {"url"}: where pushes go
//	POST   /_sim/ticket        makes a ticket and pushes it where there is a callback
//	POST   /_sim/authorize     {"appid"}: lets the account authorise the platform and pushes the code
//	POST   /_sim/register      {"appid", "name"}: registers a mini program, which authorises the platform, and pushes that
//	POST   /_sim/unauthorize   {"appid"}: ends its authorisation and pushes that
//	POST   /_sim/whitelist     {"refused_ip"}: refuses calls as from this address; empty: no longer
//	GET    /_sim/results       {"calls"}: how many calls of which path were answered how, by minute, in the last hour
//	GET    /_sim/requests[?path=] the newest requests, with secret values shown as REDACTED
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	s.adminRequestPaths(mux)
	s.adminBoxPaths(mux)
	s.adminAccountPaths(mux)
	s.adminPushPaths(mux)
	return mux
}

// adminRequestPaths serves requests, results and faults.
func (s *Server) adminRequestPaths(mux *http.ServeMux) {
	mux.HandleFunc("GET /_sim/state", s.adminState)
	mux.HandleFunc("GET /_sim/requests", s.adminRequests)
	mux.HandleFunc("GET /_sim/results", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string][]Result{"calls": s.Results()})
	})
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, r *http.Request) {
		s.Heal(r.URL.Query().Get("path"))
		writeJSON(w, http.StatusOK, struct{}{})
	})
	handle(mux, "POST /_sim/faults", func(_ *http.Request, f adminFault) (any, error) {
		fault, err := f.fault()
		if err != nil {
			return nil, err
		}
		s.Fail(f.Path, fault)
		return struct{}{}, nil
	})
	handle(mux, "POST /_sim/whitelist", func(_ *http.Request, in struct {
		RefusedIP string `json:"refused_ip"`
	}) (any, error) {
		s.RefuseAddress(in.RefusedIP)
		return struct{}{}, nil
	})
}

// adminBoxPaths serves draft boxes and their switch.
func (s *Server) adminBoxPaths(mux *http.ServeMux) {
	handle(mux, "POST /_sim/drafts", func(_ *http.Request, d Draft) (any, error) {
		return map[string]int64{"draft_id": s.UploadDraft(d)}, nil
	})
	handle(mux, "DELETE /_sim/drafts/{draft_id}", func(r *http.Request, _ struct{}) (any, error) {
		id, err := strconv.ParseInt(r.PathValue("draft_id"), 10, 64)
		if err != nil || !s.RemoveDraft(id) {
			return nil, fmt.Errorf("no such draft: %s", r.PathValue("draft_id"))
		}
		return struct{}{}, nil
	})
	handle(mux, "POST /_sim/article-drafts", func(_ *http.Request, in adminArticleDraft) (any, error) {
		if _, known := s.Account(in.AppID); !known {
			return nil, fmt.Errorf("no such account: %s", in.AppID)
		}
		return map[string]string{"media_id": s.AddArticleDraft(in.AppID, ArticleDraft{in.MediaID, in.UpdateTime, in.Articles})}, nil
	})
	handle(mux, "POST /_sim/retire-switch", func(_ *http.Request, in struct{ Status, ErrCode int }) (any, error) {
		if in.Status == 0 {
			in.Status = http.StatusOK
		}
		if in.ErrCode == 0 {
			in.ErrCode = 48009
		}
		s.RetireSwitch(in.Status, in.ErrCode)
		return struct{}{}, nil
	})
}

// adminAccountPaths serves accounts and tokens.
func (s *Server) adminAccountPaths(mux *http.ServeMux) {
	handle(mux, "POST /_sim/accounts", func(_ *http.Request, a adminAccount) (any, error) {
		if a.AppID == "" {
			return nil, errors.New("appid is missing")
		}
		s.AddAccount(Account(a))
		return struct{}{}, nil
	})
	handle(mux, "POST /_sim/tokens", func(_ *http.Request, in adminAppID) (any, error) {
		if _, known := s.Account(in.AppID); !known && in.AppID != "" {
			return nil, fmt.Errorf("no such account: %s", in.AppID)
		}
		return map[string]string{"access_token": s.KickToken(in.AppID)}, nil
	})
	handle(mux, "POST /_sim/tokens/expire", func(*http.Request, struct{}) (any, error) {
		s.ExpireTokens()
		return struct{}{}, nil
	})
}

// adminPushPaths serves what triggers pushes.
func (s *Server) adminPushPaths(mux *http.ServeMux) {
	handle(mux, "POST /_sim/callback", func(_ *http.Request, in struct{ URL string }) (any, error) {
		s.PushTo(in.URL)
		return struct{}{}, nil
	})
	handle(mux, "POST /_sim/ticket", func(r *http.Request, _ struct{}) (any, error) {
		return pushed(s.SendTicket(r.Context()))
	})
	handle(mux, "POST /_sim/authorize", func(r *http.Request, in adminAppID) (any, error) {
		if in.AppID == "" {
			return nil, errors.New("appid is missing")
		}
		return pushed(s.Authorize(r.Context(), in.AppID))
	})
	handle(mux, "POST /_sim/register", func(r *http.Request, in struct{ AppID, Name string }) (any, error) {
		if in.AppID == "" {
			return nil, errors.New("appid is missing")
		}
		return pushed(s.Register(r.Context(), in.AppID, in.Name))
	})
	handle(mux, "POST /_sim/unauthorize", func(r *http.Request, in adminAppID) (any, error) {
		return pushed(s.Unauthorize(r.Context(), in.AppID))
	})
}

// handle serves a path whose body decodes into an In. An empty body is an empty object.
func handle[In any](mux *http.ServeMux, pattern string, do func(*http.Request, In) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(io.LimitReader(r.Body, maxBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil && !errors.Is(err, io.EOF) {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "body: " + err.Error()})
			return
		}
		out, err := do(r, in)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, out)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	reply{status, "application/json", encode(v)}.write(w)
}

type adminAppID struct {
	AppID string `json:"appid"`
}

// adminAccount is an Account in JSON.
type adminAccount struct {
	AppID        string `json:"appid"`
	Name         string `json:"name"`
	Secret       string `json:"secret"`
	RefreshToken string `json:"refresh_token"`
	Authorized   bool   `json:"authorized"`
	Granted      bool   `json:"granted"`
	MiniProgram  bool   `json:"mini_program"`
	Open         bool   `json:"open"`
}

// adminArticleDraft is an account's ArticleDraft in JSON.
type adminArticleDraft struct {
	AppID      string    `json:"appid"`
	MediaID    string    `json:"media_id"`
	UpdateTime int64     `json:"update_time"`
	Articles   []Article `json:"articles"`
}

type adminFault struct {
	Path, Kind          string
	ErrCode             int
	ErrMsg              string
	Status              int
	Body, To            string
	Times               int
	After               bool
	Delay, Every, AppID string
	Only, Host          string
	delay, every        time.Duration
}

// faultKinds are the faults by name.
var faultKinds = map[string]func(adminFault) Fault{
	"refuse": func(f adminFault) Fault {
		if f.ErrMsg == "" {
			return Refuse(f.ErrCode)
		}
		return Refuse(f.ErrCode, f.ErrMsg)
	},
	"status":    func(f adminFault) Fault { return Status(f.Status, f.Body) },
	"raw":       func(f adminFault) Fault { return Raw(f.Body) },
	"drop":      func(adminFault) Fault { return Drop() },
	"reset":     func(adminFault) Fault { return Reset() },
	"hang":      func(adminFault) Fault { return Hang() },
	"redirect":  func(f adminFault) Fault { return Redirect(f.To) },
	"pass":      func(adminFault) Fault { return Pass() },
	"late":      func(f adminFault) Fault { return Late(f.every) },
	"bom":       func(adminFault) Fault { return Rewrite(WithBOM) },
	"gbk":       func(adminFault) Fault { return Rewrite(InGBK) },
	"half":      func(adminFault) Fault { return Rewrite(HalfOf) },
	"cut-short": func(adminFault) Fault { return CutShort() },
	"drip":      func(f adminFault) Fault { return Drip(f.every) },
	"huge":      func(adminFault) Fault { return Huge() },
}

func (f adminFault) fault() (Fault, error) {
	kind, known := faultKinds[f.Kind]
	if !known {
		return Fault{}, fmt.Errorf("no such kind: %q", f.Kind)
	}
	if f.Kind == "status" && (f.Status < 200 || f.Status > 599) {
		return Fault{}, errors.New("status has to be 200 to 599")
	}
	for name, d := range map[string]struct {
		text string
		into *time.Duration
	}{"delay": {f.Delay, &f.delay}, "every": {f.Every, &f.every}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return Fault{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	fault := kind(f).Times(f.Times).Delayed(f.delay)
	if f.After {
		fault = fault.After()
	}
	if f.AppID != "" {
		fault = fault.For(f.AppID)
	}
	if f.Host != "" {
		fault = fault.ForHost(f.Host)
	}
	switch f.Only {
	case "":
		return fault, nil
	case "open":
		return fault.When(Request.Opens), nil
	case "check":
		return fault.When(Request.Checks), nil
	default:
		return Fault{}, fmt.Errorf("only has to be open or check, not %q", f.Only)
	}
}

type adminPush struct {
	Time     time.Time `json:"time"`
	InfoType string    `json:"info_type"`
	Status   int       `json:"status"`
	Body     string    `json:"answer"`
	Err      string    `json:"error,omitempty"`
}

// pushed is the result of a push. An unanswered push is no error of the admin request.
func pushed(p Push, err error) (any, error) {
	if p.Time.IsZero() {
		return nil, err // it was not even tried
	}
	return adminPush(p), nil
}

func (s *Server) adminState(w http.ResponseWriter, _ *http.Request) {
	reply{http.StatusOK, "application/json", s.state()}.write(w)
}

// state encodes GET /_sim/state.
func (s *Server) state() []byte {
	type accountState struct {
		AppID       string `json:"appid"`
		Name        string `json:"name"`
		Own         bool   `json:"own"`
		Authorized  bool   `json:"authorized"`
		Granted     bool   `json:"granted"`
		MiniProgram bool   `json:"mini_program"`
		Open        bool   `json:"open"`
	}
	type tokenState struct {
		Kind       string    `json:"kind"`
		AppID      string    `json:"appid"`
		ExpiresAt  time.Time `json:"expires_at"`
		Superseded bool      `json:"superseded"`
	}
	type faultState struct {
		Path  string `json:"path"`
		Kind  string `json:"kind"`
		Times int    `json:"times"`
	}
	type state struct {
		Time             time.Time      `json:"time"`
		AppID            string         `json:"component_appid"`
		Drafts           []Draft        `json:"drafts"`
		Templates        []Template     `json:"templates"`
		TemplateLimit    int            `json:"template_limit"`
		Accounts         []accountState `json:"accounts"`
		Tokens           []tokenState   `json:"tokens"` // those that still work
		TicketAgeSeconds *int64         `json:"ticket_age_seconds"`
		Pushing          bool           `json:"pushing"`
		Callback         bool           `json:"callback"` // whether one is set; its URL may hold a secret
		Pushes           []adminPush    `json:"pushes"`
		Faults           []faultState   `json:"faults"`
		RefusedIP        string         `json:"refused_ip,omitempty"`
		OpenCalls        int            `json:"open_calls"`
		Calls            map[string]int `json:"calls"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := state{
		Time: now.UTC(), AppID: s.platform.AppID, Drafts: s.allDrafts(), Templates: append([]Template{}, s.templates...), TemplateLimit: s.templateLimit,
		Accounts: []accountState{}, Tokens: []tokenState{}, Pushing: s.pushing, Callback: s.callback != "", Pushes: []adminPush{},
		Faults: []faultState{}, RefusedIP: s.refusedIP, OpenCalls: s.opens, Calls: s.calls,
	}
	for _, a := range s.accounts {
		out.Accounts = append(out.Accounts, accountState{a.AppID, a.Name, a.Secret != "", a.Authorized, a.Granted, a.MiniProgram, a.Open})
	}
	for _, t := range s.tokens {
		if t.live(now) {
			out.Tokens = append(out.Tokens, tokenState{t.owner.kind, t.owner.appid, t.expires.UTC(), !t.superseded.IsZero()})
		}
	}
	slices.SortFunc(out.Tokens, func(a, b tokenState) int {
		if c := strings.Compare(a.AppID, b.AppID); c != 0 {
			return c
		}
		return a.ExpiresAt.Compare(b.ExpiresAt)
	})
	if n := len(s.tickets); n > 0 {
		age := int64(now.Sub(s.tickets[n-1].issued) / time.Second)
		out.TicketAgeSeconds = &age
	}
	for _, p := range s.pushes.all() {
		out.Pushes = append(out.Pushes, adminPush(p))
	}
	for path, waiting := range s.faults {
		for _, f := range waiting {
			out.Faults = append(out.Faults, faultState{path, f.name, f.times})
		}
	}
	slices.SortStableFunc(out.Faults, func(a, b faultState) int { return strings.Compare(a.Path, b.Path) })
	return encode(out) // under the lock, which the client's pace must not hold up
}

func (s *Server) adminRequests(w http.ResponseWriter, r *http.Request) {
	type request struct {
		Time   time.Time `json:"time"`
		Method string    `json:"method"`
		Path   string    `json:"path"`
		Query  string    `json:"query"`
		Body   string    `json:"body"`
		AppID  string    `json:"appid"`
	}
	out := []request{}
	for _, q := range s.Requests(r.URL.Query().Get("path")) {
		out = append(out, request{q.Time.UTC(), q.Method, q.Path, redactQuery(q.RawQuery), redactBody(q.Body), q.AppID})
	}
	writeJSON(w, http.StatusOK, out)
}

const redacted = "REDACTED"

func redactQuery(raw string) string {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return redacted
	}
	if query.Has("access_token") {
		query["access_token"] = []string{redacted}
	}
	return query.Encode()
}

var secretKey = regexp.MustCompile(`(?i)secret|token|ticket|code`)

// redactBody hides the values of secret keys, and any body that is not a JSON object.
func redactBody(body string) string {
	if body == "" {
		return ""
	}
	var m map[string]any
	if json.Unmarshal([]byte(body), &m) != nil {
		return redacted
	}
	for k := range m {
		if secretKey.MatchString(k) {
			m[k] = redacted
		}
	}
	return string(encode(m))
}
