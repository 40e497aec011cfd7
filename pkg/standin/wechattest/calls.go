package wechattest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// bearer is the kind of token that a call takes.
type bearer int

const (
	nobody         bearer = iota // the call carries secrets in its body instead
	anybody                      // any token will do
	componentOnly                // the platform's, at /cgi-bin/component/
	componentOfWxa               // the platform's, at /wxa/, which has a code of its own for an account's own token
	accountOnly                  // an authorizer's or an account's own
)

// call is one of WeChat's calls.
type call struct {
	method     string
	token      bearer
	storesText bool // refuses \uXXXX in the body
	handle     func(*Server, *request) (any, *refusal)
}

// request is a handler's input. The token has been checked.
type request struct {
	path  string
	query string // raw
	body  []byte
	token *token // nil where the call takes none
}

var calls map[string]call

func init() { // not in the declaration: the quota call looks into the table itself
	calls = map[string]call{
		PathDraftList:       {method: http.MethodGet, token: componentOfWxa, handle: (*Server).listDrafts},
		PathAddToTemplate:   {method: http.MethodPost, token: componentOfWxa, storesText: true, handle: (*Server).addToTemplate},
		PathTemplateList:    {method: http.MethodGet, token: componentOfWxa, handle: (*Server).listTemplates},
		PathDeleteTemplate:  {method: http.MethodPost, token: componentOfWxa, storesText: true, handle: (*Server).deleteTemplate},
		PathSwitch:          {method: http.MethodPost, token: accountOnly, handle: (*Server).draftSwitch},
		PathComponentToken:  {method: http.MethodPost, token: nobody, handle: (*Server).componentToken},
		PathAuthorizerToken: {method: http.MethodPost, token: componentOnly, handle: (*Server).authorizerToken},
		PathStableToken:     {method: http.MethodPost, token: nobody, handle: (*Server).stableToken},
		PathStartPushTicket: {method: http.MethodPost, token: nobody, handle: (*Server).startPushTicket},
		PathQueryAuth:       {method: http.MethodPost, token: componentOnly, handle: (*Server).queryAuth},
		PathAuthorizerList:  {method: http.MethodPost, token: componentOnly, handle: (*Server).authorizerList},
		PathAuthorizerInfo:  {method: http.MethodPost, token: componentOnly, handle: (*Server).authorizerInfo},
		PathDraftCount:      {method: http.MethodGet, token: accountOnly, handle: (*Server).draftCount},
		PathDraftBatchGet:   {method: http.MethodPost, token: accountOnly, handle: (*Server).batchGetDrafts},
		PathQuota:           {method: http.MethodPost, token: anybody, handle: (*Server).quota},
	}
}

// done is the body of a call without a result, and the head of most others.
type done struct {
	ErrCode int    `json:"errcode"`
	ErrMsg  string `json:"errmsg"`
}

var ok = done{0, "ok"}

// answer checks a request in the order method, token, address, authorisation, quota, body, then runs the call's
// handler. WeChat does not publish its order; the bundle must not depend on it.
func (s *Server) answer(r *http.Request, body []byte) (any, *refusal) {
	c, known := calls[r.URL.Path]
	if !known {
		return nil, notFound
	}
	if r.URL.Path == PathSwitch && s.retired != nil {
		return nil, s.retired
	}
	if r.Method != c.method {
		if c.method == http.MethodGet {
			return nil, refused(43001)
		}
		return nil, refused(43002)
	}
	req := &request{path: r.URL.Path, query: r.URL.RawQuery, body: body}
	if c.token != nobody {
		t, refusal := s.admit(r.URL.Query().Get("access_token"), c.token)
		if refusal != nil {
			return nil, refusal
		}
		req.token = t
	}
	if refusal := s.checkAddress(req); refusal != nil {
		return nil, refusal
	}
	if t := req.token; t != nil {
		if t.owner.kind == authorizerToken && !s.accountByID[t.owner.appid].Authorized {
			return nil, refused(61003)
		}
		if refusal := s.spend(t.owner.appid, req.path); refusal != nil {
			return nil, refusal
		}
	}
	if c.storesText && hasUnicodeEscape(body) {
		return nil, refused(47002)
	}
	return c.handle(s, req)
}

var unicodeEscape = regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*\\u[0-9a-fA-F]{4}`)

func hasUnicodeEscape(body []byte) bool { return unicodeEscape.Match(body) }

// decode parses a body, which must be one JSON object with the right types.
func (r *request) decode(into any) *refusal {
	if !strings.HasPrefix(strings.TrimSpace(string(r.body)), "{") || json.Unmarshal(r.body, into) != nil {
		return refused(47001)
	}
	return nil
}

// RefuseAddress treats every request as coming from ip, which is not whitelisted: 61004 for the platform's calls,
// 40164 for an own account's. An empty ip ends that.
func (s *Server) RefuseAddress(ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusedIP = ip
}

// WithRefusedAddress is [Server.RefuseAddress] from the start.
func WithRefusedAddress(ip string) Option { return func(s *Server) { s.refusedIP = ip } }

func (s *Server) checkAddress(r *request) *refusal {
	switch ip := s.refusedIP; {
	case ip == "":
		return nil
	case r.path == PathStableToken || r.token != nil && r.token.owner.kind == ownToken:
		return &refusal{code: 40164, msg: fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", ip, ip)}
	default:
		return &refusal{code: 61004, msg: "access clientip is not registered requestIP: " + ip}
	}
}

// refusal is a response with an errcode, or a page with a status other than 200.
type refusal struct {
	code int
	msg  string // without rid; empty: the usual one of the code
	page int    // HTTP status of an HTML page that is sent instead
}

var notFound = &refusal{page: http.StatusNotFound}

func refused(code int) *refusal { return &refusal{code: code} }

// refuse writes a refusal. The caller holds the lock.
func (s *Server) refuse(f refusal) reply {
	if f.page != 0 {
		return reply{f.page, "text/html", htmlPage(f.page)}
	}
	if f.msg == "" {
		f.msg = messages[f.code]
	}
	return reply{http.StatusOK, s.contentType, encode(done{f.code, f.msg + " rid: " + s.rid()})}
}

// rid makes the id at the end of an errmsg: Unix seconds and two random-looking numbers.
func (s *Server) rid() string {
	s.answers++
	return fmt.Sprintf("%08x-%08x-%08x", uint32(s.now().Unix()), s.answers*2654435761, s.answers*2246822519)
}

func htmlPage(status int) []byte {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return fmt.Appendf(nil, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n", title, title)
}

// messages are the usual errmsgs, from real responses or WeChat's pages.
var messages = map[int]string{
	-1:    "system error",
	40001: "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	40002: "invalid grant_type",
	40013: "invalid appid",
	40014: "invalid access_token",
	40066: "invalid url",
	40090: "invalid request source (bad client ip)",
	40091: "invalid component ticket",
	40094: "invalid component credential",
	40125: "invalid appsecret",
	40164: "invalid ip 198.51.100.30 ipv6 ::ffff:198.51.100.30, not in whitelist",
	40243: "AppSecret is frozen",
	44002: "empty post data",
	40170: "args count exceed count limit",
	41001: "access_token missing",
	41002: "appid missing",
	41004: "appsecret missing",
	41018: "component_appid missing",
	41021: "component_access_token missing",
	42001: "access_token expired",
	42002: "refresh_token expired",
	42003: "code expired",
	42006: "component_access_token expired",
	42007: "access_token and refresh_token exception",
	43001: "require GET method",
	43002: "require POST method",
	43003: "require https",
	43007: "require bizuser authorize",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit",
	45035: "access clientip is not registered, not in ip-white-list",
	47001: "data format error",
	47002: "do NOT use json unicode encode, use utf8",
	48001: "api unauthorized",
	48004: "api forbidden for irregularities",
	48006: "forbid to clear quota because of reaching the limit",
	48009: "this api is expired",
	50001: "user unauthorized api",
	50002: "user limited",
	61000: "invalid component type",
	61001: "component type and component appid do not match",
	61003: "component is not authorized by this account",
	61004: "access clientip is not registered requestIP: 198.51.100.154",
	61005: "component ticket is expired",
	61006: "component ticket is invalid",
	61007: " api is unauthorized to component", // the blank is WeChat's
	61009: "code is invalid",
	61010: "code is expired",
	61011: "invalid component",
	61014: "must use component token for component api",
	61015: "must use biz token, not component token",
	61017: "function category of API need be authorized by this account",
	61020: "err parameter",
	61023: "refresh_token is invalid",
	61024: "must use api_component_token to get token for component acct",
	61028: "component is unpublished",
	76003: "cgi_path badly formed",
	76021: "cgi_path not found",
	76022: "cgi_path does not fit this token",
	85064: "template not found",
	85065: "template list is full",
	86000: "should be called only from third party",
	89501: "公众号有未处理的确认请求，请稍候重试",
	89502: "waiting for the admin's confirmation",
	89503: "此次调用需要管理员确认，请耐心等候",
	89504: "waiting for the admin's confirmation",
	89505: "waiting for the admin's confirmation",
	89506: "refused twice by the admin, 24 h",
	89507: "refused once by the admin, 1 h",
}
