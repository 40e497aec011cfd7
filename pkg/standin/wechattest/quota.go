package wechattest

import (
	"strings"
	"time"
)

// dailyLimit is the limit of calls without [WithDailyLimit].
const dailyLimit = 1_000_000

// usageKey identifies a quota, by path and appid (empty for the platform).
type usageKey struct{ appid, path string }

// usage is the use of a quota on one day.
type usage struct {
	day  string
	used int
}

// WithDailyLimit sets how often an appid may call a path in a day (Beijing time) before 45009.
func WithDailyLimit(path string, calls int) Option {
	return func(s *Server) { s.dailyLimits[path] = calls }
}

var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

func (s *Server) limit(path string) int {
	if n, set := s.dailyLimits[path]; set {
		return n
	}
	return dailyLimit
}

// used returns today's usage.
func (s *Server) used(k usageKey) usage {
	today := s.now().In(beijing).Format(time.DateOnly)
	if u := s.usage[k]; u.day == today {
		return u
	}
	return usage{day: today}
}

func (s *Server) spend(appid, path string) *refusal {
	if !s.spendOf(usageKey{appid, path}, s.limit(path)) {
		return refused(45009)
	}
	return nil
}

func (s *Server) spendOf(k usageKey, limit int) bool {
	u := s.used(k)
	if u.used >= limit {
		return false
	}
	u.used++
	s.usage[k] = u
	return true
}

func (s *Server) quota(r *request) (any, *refusal) {
	var in struct {
		Path string `json:"cgi_path"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	asked, known := calls[in.Path]
	platform := r.token.owner.kind == componentToken
	switch {
	case !strings.HasPrefix(in.Path, "/"):
		return nil, refused(76003)
	case !known:
		return nil, refused(76021)
	case platform == (asked.token == accountOnly):
		return nil, refused(76022)
	}
	limit, used := s.limit(in.Path), s.used(usageKey{r.token.owner.appid, in.Path}).used
	type quota struct {
		DailyLimit int `json:"daily_limit"`
		Used       int `json:"used"`
		Remain     int `json:"remain"`
	}
	return struct {
		done
		Quota quota `json:"quota"`
	}{ok, quota{limit, used, limit - used}}, nil
}
