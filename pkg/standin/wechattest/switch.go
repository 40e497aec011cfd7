package wechattest

import (
	"net/http"
	"net/url"
)

// OpenCalls returns how many requests tried to open a switch: those to [PathSwitch] without checkonly=1 in their
// query, whatever their result.
func (s *Server) OpenCalls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opens
}

// WithOpeningLag makes the first checks after an opening still return 0.
func WithOpeningLag(checks int) Option { return func(s *Server) { s.openingLag = checks } }

// WithRetiredSwitch retires the switch's interface, as WeChat's newest page announces: with an errcode such as 48009
// for status 200, else with a page of that status, such as 404.
func WithRetiredSwitch(status, errcode int) Option {
	return func(s *Server) { s.retireSwitch(status, errcode) }
}

// RetireSwitch is [WithRetiredSwitch] for a running server.
func (s *Server) RetireSwitch(status, errcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retireSwitch(status, errcode)
}

func (s *Server) retireSwitch(status, errcode int) {
	if status == http.StatusOK {
		s.retired = refused(errcode)
		return
	}
	s.retired = &refusal{page: status}
}

// checksOnly reports whether a query makes the call a check. WeChat's reading of checkonly=0, of an empty value or of
// several is not known; here all of them open the switch, the harmful reading, so that no test passes by luck.
func checksOnly(rawQuery string) bool {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return false
	}
	v := query["checkonly"]
	return len(v) == 1 && v[0] == "1"
}

func (s *Server) draftSwitch(r *request) (any, *refusal) {
	a := s.accountByID[r.token.owner.appid]
	switch {
	case a.MiniProgram: // the switch is for Official Accounts
		return nil, refused(48001)
	case r.token.owner.kind == authorizerToken && !a.Granted:
		return nil, refused(61007)
	}
	if !checksOnly(r.query) { // the body is never looked at: a checkonly there opens as well
		if !a.Open {
			a.Open, a.lag = true, s.openingLag
		}
		return ok, nil
	}
	isOpen := 0
	switch {
	case a.lag > 0:
		a.lag--
	case a.Open:
		isOpen = 1
	}
	return struct {
		done
		IsOpen int `json:"is_open"`
	}{ok, isOpen}, nil
}
