package wechattest

import (
	"slices"
	"time"
)

// Account is an Official Account or mini program that authorised the platform or, with a Secret, is the operator's
// own.
type Account struct {
	AppID        string
	Name         string
	Secret       string // app secret of an own account
	RefreshToken string // an authorizer's; empty: nobody has exchanged its authorization code yet, so WeChat's list has none
	Authorized   bool   // the authorisation is in force
	Granted      bool   // permission set 11 is part of it, which the switch needs
	MiniProgram  bool   // has no draft box switch
	Open         bool   // the draft box switch is open
}

type account struct {
	Account
	authorizedAt time.Time
	former       []formerRefreshToken
	lag          int // so many checks still say that the switch is closed

	articleDrafts []ArticleDraft // in the order of their additions
}

type formerRefreshToken struct {
	value string
	until time.Time
}

// permissionSet is the permission set of the draft box switch.
const permissionSet = 11

// AddAccount adds or replaces an account; tokens and article drafts of the same appid stay.
func (s *Server) AddAccount(a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addAccount(a)
}

func (s *Server) addAccount(a Account) *account {
	s.remember(a.Secret, a.RefreshToken)
	added := &account{Account: a, authorizedAt: s.now()}
	if old := s.accountByID[a.AppID]; old != nil {
		added.articleDrafts = old.articleDrafts
		*old = *added
		return old
	}
	s.accounts = append(s.accounts, added)
	s.accountByID[a.AppID] = added
	return added
}

// Account returns a copy of an account. Its Open is the actual state, which checks may lag behind.
func (s *Server) Account(appid string) (Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accountByID[appid]
	if a == nil {
		return Account{}, false
	}
	return a.Account, true
}

// code is an authorization code, valid once and for an hour.
type code struct {
	account *account
	expires time.Time
	used    bool
}

const codeLife = time.Hour

// NewCode has an account authorise the platform and returns the authorization code, without a push. An unknown appid
// becomes an Official Account that grants permission set 11.
func (s *Server) NewCode(appid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, _ := s.authorize(appid)
	return value
}

// authorize returns the code, and whether the account was already authorised. A new authorisation gets a new refresh
// token, which is first revealed in exchange for the code.
func (s *Server) authorize(appid string) (value string, stood bool) {
	a := s.accountByID[appid]
	if a == nil {
		a = s.addAccount(Account{AppID: appid, Name: appid, Granted: true})
	}
	if stood = a.Authorized; !stood {
		a.Authorized, a.RefreshToken, a.former, a.authorizedAt = true, "", nil, s.now()
		s.revoke(owner{authorizerToken, appid})
	}
	value = s.secret("queryauthcode@@@", 64)
	s.codes[value] = &code{account: a, expires: s.now().Add(codeLife)}
	return value, stood
}

// withdraw ends an authorisation. Its refresh token and codes become invalid; its tokens get 61003 until it authorises
// again, which doesn't restore them.
func (s *Server) withdraw(a *account) {
	a.Authorized, a.RefreshToken, a.former = false, "", nil
}

func (a *account) takesRefreshToken(v string, now time.Time) bool {
	if v == "" {
		return false
	}
	return v == a.RefreshToken || slices.ContainsFunc(a.former, func(f formerRefreshToken) bool {
		return f.value == v && now.Before(f.until)
	})
}

func (s *Server) changeRefreshToken(a *account) {
	now := s.now()
	a.former = slices.DeleteFunc(a.former, func(f formerRefreshToken) bool { return !now.Before(f.until) })
	if a.RefreshToken != "" {
		a.former = append(a.former, formerRefreshToken{a.RefreshToken, now.Add(overlap)})
	}
	a.RefreshToken = s.secret("refreshtoken@@@", 43)
}

// checkComponent checks the component_appid repeated in the body of calls with a component token.
func (s *Server) checkComponent(appid string) *refusal {
	switch appid {
	case s.platform.AppID:
		return nil
	case "":
		return refused(41018)
	default:
		return refused(61011)
	}
}

// authorizer finds an authorised account.
func (s *Server) authorizer(component, appid string) (*account, *refusal) {
	if refusal := s.checkComponent(component); refusal != nil {
		return nil, refusal
	}
	if appid == "" {
		return nil, refused(41002)
	}
	a := s.accountByID[appid]
	if a == nil || !a.Authorized {
		return nil, refused(61003)
	}
	return a, nil
}

type authorizationInfo struct {
	AppID        string     `json:"authorizer_appid"`
	Token        string     `json:"authorizer_access_token,omitempty"`
	ExpiresIn    int        `json:"expires_in,omitempty"`
	RefreshToken string     `json:"authorizer_refresh_token,omitempty"`
	Functions    []function `json:"func_info"`
}

type function struct {
	Category number `json:"funcscope_category"`
}

type number struct {
	ID int `json:"id"`
}

func (a *account) functions() []function {
	granted := []function{{number{1}}}
	if a.Granted {
		granted = append(granted, function{number{permissionSet}})
	}
	return granted
}

func (s *Server) queryAuth(r *request) (any, *refusal) {
	var in struct {
		AppID string `json:"component_appid"`
		Code  string `json:"authorization_code"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	if refusal := s.checkComponent(in.AppID); refusal != nil {
		return nil, refusal
	}
	c := s.codes[in.Code]
	switch {
	case c == nil || c.used || !c.account.Authorized:
		return nil, refused(61009)
	case !s.now().Before(c.expires):
		return nil, refused(61010)
	}
	c.used = true
	if c.account.RefreshToken == "" {
		s.changeRefreshToken(c.account)
	}
	t := s.issue(owner{authorizerToken, c.account.AppID})
	return struct { // the real answer has no errcode
		Info authorizationInfo `json:"authorization_info"`
	}{authorizationInfo{c.account.AppID, t.value, t.secondsLeft(s.now()), c.account.RefreshToken, c.account.functions()}}, nil
}

// maxListCount is the maximum page size of api_get_authorizer_list.
const maxListCount = 500

type authorizerEntry struct {
	AppID        string `json:"authorizer_appid"`
	RefreshToken string `json:"refresh_token,omitempty"`
	AuthTime     int64  `json:"auth_time"`
}

func (s *Server) authorizerList(r *request) (any, *refusal) {
	var in struct {
		AppID  string `json:"component_appid"`
		Offset int    `json:"offset"`
		Count  int    `json:"count"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	if refusal := s.checkComponent(in.AppID); refusal != nil {
		return nil, refusal
	}
	switch {
	case in.Count > maxListCount:
		return nil, refused(40170)
	case in.Count < 1 || in.Offset < 0:
		return nil, refused(61020)
	}
	var all []authorizerEntry
	for _, a := range s.accounts {
		if a.Authorized {
			all = append(all, authorizerEntry{a.AppID, a.RefreshToken, a.authorizedAt.Unix()})
		}
	}
	from := min(in.Offset, len(all))
	page := all[from:min(from+in.Count, len(all))]
	return struct { // the real answer has no errcode
		Total int               `json:"total_count"`
		List  []authorizerEntry `json:"list"`
	}{len(all), append([]authorizerEntry{}, page...)}, nil
}

type authorizerInfo struct {
	Name        string       `json:"nick_name"`
	ServiceType number       `json:"service_type_info"`
	VerifyType  number       `json:"verify_type_info"`
	UserName    string       `json:"user_name"`
	Principal   string       `json:"principal_name"`
	MiniProgram *miniProgram `json:"MiniProgramInfo,omitempty"`
	Status      int          `json:"account_status"`
}

type miniProgram struct {
	VisitStatus int   `json:"visit_status"`
	Categories  []any `json:"categories"`
}

func (s *Server) authorizerInfo(r *request) (any, *refusal) {
	var in struct {
		AppID      string `json:"component_appid"`
		Authorizer string `json:"authorizer_appid"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	a, refusal := s.authorizer(in.AppID, in.Authorizer)
	if refusal != nil {
		return nil, refusal
	}
	info := authorizerInfo{Name: a.Name, ServiceType: number{2}, UserName: "gh_" + a.AppID, Principal: a.Name, Status: 1}
	if a.MiniProgram {
		info.ServiceType, info.MiniProgram = number{0}, &miniProgram{Categories: []any{}}
	}
	return struct { // the real answer has no errcode
		Account authorizerInfo    `json:"authorizer_info"`
		Info    authorizationInfo `json:"authorization_info"`
	}{info, authorizationInfo{AppID: a.AppID, RefreshToken: a.RefreshToken, Functions: a.functions()}}, nil
}
