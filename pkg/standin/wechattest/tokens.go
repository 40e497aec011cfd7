package wechattest

import (
	"crypto/rand"
	"regexp"
	"slices"
	"time"
)

const (
	tokenLife  = 2 * time.Hour
	overlap    = 5 * time.Minute // how long a superseded token still works
	ticketLife = 12 * time.Hour
	// stable_token issues a new token if the last one expires within this time.
	stableRenewal = 5 * time.Minute
	// forceRefreshes is the daily limit of forced refreshes for an own account.
	forceRefreshes = 20
)

// Kinds of tokens, as [Server.TokenState] names them.
const (
	componentToken  = "component"
	authorizerToken = "authorizer"
	ownToken        = "own"
)

// owner is a token's owner. The platform's appid is empty.
type owner struct{ kind, appid string }

type token struct {
	owner      owner
	value      string
	expires    time.Time
	superseded time.Time // when the next one was issued; zero while it is the newest
}

func (t *token) live(now time.Time) bool { return now.Before(t.expires) && !t.isSuperseded(now) }

// isSuperseded reports whether a newer token has ended this one.
func (t *token) isSuperseded(now time.Time) bool {
	return !t.superseded.IsZero() && !now.Before(t.superseded.Add(overlap))
}

// issue issues a new token; the previous one remains valid for five minutes. The caller holds the lock.
func (s *Server) issue(h owner) *token {
	now := s.now()
	if newest := s.newest(h); newest != nil {
		newest.superseded = now
	}
	t := &token{owner: h, value: s.secret("92_", 138), expires: now.Add(tokenLife)}
	// Drop tokens that expired over a day ago, so that a long run with a fast clock doesn't grow.
	s.tokensOf[h] = slices.DeleteFunc(s.tokensOf[h], func(old *token) bool {
		if now.Sub(old.expires) < 24*time.Hour {
			return false
		}
		delete(s.tokens, old.value)
		return true
	})
	s.tokensOf[h] = append(s.tokensOf[h], t)
	s.tokens[t.value] = t
	return t
}

// revoke ends all tokens of an owner at once.
func (s *Server) revoke(h owner) {
	for _, t := range s.tokensOf[h] {
		t.superseded = s.now().Add(-overlap)
	}
}

func (s *Server) newest(h owner) *token {
	if held := s.tokensOf[h]; len(held) > 0 {
		return held[len(held)-1]
	}
	return nil
}

// secret makes an unguessable value and records it for [Server.Secrets].
func (s *Server) secret(prefix string, n int) string {
	v := prefix
	for len(v) < len(prefix)+n {
		v += rand.Text()
	}
	v = v[:len(prefix)+n]
	s.remember(v)
	return v
}

// secondsLeft is the value of expires_in.
func (t *token) secondsLeft(now time.Time) int { return int(t.expires.Sub(now) / time.Second) }

var tokenShape = regexp.MustCompile(`^[A-Za-z0-9_-]{32,512}$`)

// admit finds the token of a request and checks that the call accepts its kind.
func (s *Server) admit(value string, by bearer) (*token, *refusal) {
	if value == "" {
		return nil, refused(41001)
	}
	t := s.tokens[value]
	switch {
	case t == nil && !tokenShape.MatchString(value):
		return nil, refused(40014)
	case t == nil:
		return nil, refused(40001)
	case !s.now().Before(t.expires):
		return nil, refused(42001)
	case t.isSuperseded(s.now()):
		return nil, refused(40001)
	}
	switch kind := t.owner.kind; {
	case by == componentOfWxa && kind == ownToken:
		return nil, refused(86000)
	case (by == componentOnly || by == componentOfWxa) && kind != componentToken:
		return nil, refused(61014)
	case by == accountOnly && kind == componentToken:
		return nil, refused(61015)
	}
	return t, nil
}

// IssueComponentToken issues a component token as api_component_token would, without a ticket. The previous one
// remains valid for five minutes.
func (s *Server) IssueComponentToken() string { return s.KickToken("") }

// IssueAccountToken issues an account's token: an own account's if it has a Secret, else an authorizer's. It panics on
// an unknown appid.
func (s *Server) IssueAccountToken(appid string) string {
	if appid == "" {
		panic("wechattest: IssueAccountToken: no appid")
	}
	return s.KickToken(appid)
}

// KickToken simulates another system fetching a token of the account, or of the platform for an empty appid, and
// returns it. The previous token remains valid for five minutes.
func (s *Server) KickToken(appid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(s.ownerOf(appid)).value
}

func (s *Server) ownerOf(appid string) owner {
	if appid == "" {
		return owner{kind: componentToken}
	}
	a := s.accountByID[appid]
	switch {
	case a == nil:
		panic("wechattest: no such account: " + appid)
	case a.Secret != "":
		return owner{ownToken, appid}
	default:
		return owner{authorizerToken, appid}
	}
}

// ExpireTokens expires all tokens.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, t := range s.tokens {
		if now.Before(t.expires) {
			t.expires = now
		}
	}
}

// LiveToken returns the newest token of an account, or of the platform for an empty appid; empty if none was issued.
func (s *Server) LiveToken(appid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if appid != "" && s.accountByID[appid] == nil {
		return ""
	}
	if t := s.newest(s.ownerOf(appid)); t != nil {
		return t.value
	}
	return ""
}

// TokenState returns a token's kind ("component" with an empty appid, "authorizer" or "own") and owner, whether a
// newer one was issued since, and in ok whether this server issued it.
func (s *Server) TokenState(token string) (kind, appid string, superseded, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token]
	if t == nil {
		return "", "", false, false
	}
	return t.owner.kind, t.owner.appid, !t.superseded.IsZero(), true
}

// ticket is a component_verify_ticket. It is valid for 12 hours; newer ones don't end it.
type ticket struct {
	value  string
	issued time.Time
}

// Ticket returns the newest component_verify_ticket, or empty.
func (s *Server) Ticket() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.tickets); n > 0 {
		return s.tickets[n-1].value
	}
	return ""
}

// NewTicket makes and returns a ticket without pushing it.
func (s *Server) NewTicket() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newTicket().value
}

func (s *Server) newTicket() ticket {
	now := s.now()
	s.tickets = slices.DeleteFunc(s.tickets, func(t ticket) bool { return now.Sub(t.issued) > 2*ticketLife })
	t := ticket{s.secret("ticket@@@", 86), now}
	s.tickets = append(s.tickets, t)
	return t
}

func (s *Server) componentToken(r *request) (any, *refusal) {
	var in struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_appsecret"`
		Ticket string `json:"component_verify_ticket"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	if refusal := s.checkPlatform(in.AppID, in.Secret); refusal != nil {
		return nil, refusal
	}
	at := slices.IndexFunc(s.tickets, func(t ticket) bool { return t.value == in.Ticket })
	switch {
	case at < 0:
		return nil, refused(61006)
	case s.now().Sub(s.tickets[at].issued) >= ticketLife:
		return nil, refused(61005)
	}
	if refusal := s.spend("", r.path); refusal != nil {
		return nil, refusal
	}
	t := s.issue(owner{kind: componentToken})
	return struct { // the real answer has no errcode
		Token     string `json:"component_access_token"`
		ExpiresIn int    `json:"expires_in"`
	}{t.value, t.secondsLeft(s.now())}, nil
}

func (s *Server) checkPlatform(appid, secret string) *refusal {
	switch {
	case appid == "":
		return refused(41018)
	case appid != s.platform.AppID:
		return refused(40013)
	case secret == "":
		return refused(41004)
	case secret != s.platform.AppSecret:
		return refused(40125)
	}
	return nil
}

// WithRotatingRefreshTokens changes an account's refresh token at each refresh. The previous one remains valid for
// five minutes.
func WithRotatingRefreshTokens() Option { return func(s *Server) { s.rotateRefresh = true } }

func (s *Server) authorizerToken(r *request) (any, *refusal) {
	var in struct {
		AppID        string `json:"component_appid"`
		Authorizer   string `json:"authorizer_appid"`
		RefreshToken string `json:"authorizer_refresh_token"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	a, refusal := s.authorizer(in.AppID, in.Authorizer)
	switch {
	case refusal != nil:
		return nil, refusal
	case !a.takesRefreshToken(in.RefreshToken, s.now()):
		return nil, refused(61023)
	}
	if s.rotateRefresh {
		s.changeRefreshToken(a)
	}
	t := s.issue(owner{authorizerToken, a.AppID})
	return struct { // the real answer has no errcode
		Token        string `json:"authorizer_access_token"`
		ExpiresIn    int    `json:"expires_in"`
		RefreshToken string `json:"authorizer_refresh_token"`
	}{t.value, t.secondsLeft(s.now()), a.RefreshToken}, nil
}

func (s *Server) stableToken(r *request) (any, *refusal) {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	a := s.accountByID[in.AppID]
	switch {
	case in.GrantType != "client_credential":
		return nil, refused(40002)
	case in.AppID == "":
		return nil, refused(41002)
	case in.AppID == s.platform.AppID:
		return nil, refused(61024)
	case a == nil:
		return nil, refused(40013)
	case in.Secret == "":
		return nil, refused(41004)
	case in.Secret != a.Secret:
		return nil, refused(40125)
	}
	if refusal := s.spend(a.AppID, r.path); refusal != nil {
		return nil, refusal
	}
	now, h := s.now(), owner{ownToken, a.AppID}
	t := s.newest(h)
	switch {
	case in.Force:
		if !s.spendOf(usageKey{a.AppID, r.path + " forced"}, forceRefreshes) {
			return nil, refused(45009)
		}
		t = s.issue(h)
	case t == nil || !t.live(now) || t.expires.Sub(now) <= stableRenewal:
		t = s.issue(h)
	}
	return struct { // the real answer has no errcode
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}{t.value, t.secondsLeft(now)}, nil
}
