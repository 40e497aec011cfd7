package robottest

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"wechat-draftbox/pkg/robot"
)

// A Fault is an injected failure of one message.
type Fault struct {
	before func(http.ResponseWriter, *http.Request) bool // in place of taking the message; false: it is taken
	after  func(http.ResponseWriter, *http.Request) bool // in place of the answer
	sticky bool
}

// Sticky repeats the fault until [Server.Heal].
func (f Fault) Sticky() Fault {
	f.sticky = true
	return f
}

// Answer refuses with any response.
func Answer(status int, body string, header ...string) Fault {
	return Fault{before: func(w http.ResponseWriter, _ *http.Request) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
		return true
	}}
}

// Refuse responds as WeCom, DingTalk and Feishu refuse a message, with HTTP 200.
func Refuse(code int, message string) Fault {
	field, text := strconv.Itoa(code), strconv.Quote(message)
	return Answer(http.StatusOK, `{"errcode":`+field+`,"errmsg":`+text+`,"code":`+field+`,"msg":`+text+`}`)
}

// TooMany responds as a robot of the kind above its rate limit.
func TooMany(kind robot.Kind) Fault {
	switch kind {
	case robot.WeCom:
		return Refuse(45009, "api freq out of limit")
	case robot.DingTalk:
		return Refuse(130101, "send too fast")
	case robot.Feishu:
		return Refuse(11232, "frequency limited")
	}
	return Answer(http.StatusTooManyRequests, "rate_limited", "Retry-After", "30")
}

// HTML responds with a page, as a proxy or a portal does.
func HTML() Fault {
	return Answer(http.StatusOK, "<html><body>Welcome</body></html>", "Content-Type", "text/html")
}

// Hang never responds; it ends when the client gives up.
func Hang() Fault {
	return Fault{before: func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}}
}

// Drop closes the connection without accepting the message.
func Drop() Fault { return Fault{before: drop} }

// DropAfter accepts the message and closes the connection without a response.
func DropAfter() Fault { return Fault{after: drop} }

func drop(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

// After accepts the message, calls f, and closes the connection without a response, to simulate a crash at that
// moment.
func After(f func()) Fault {
	return Fault{after: func(w http.ResponseWriter, r *http.Request) bool { f(); return drop(w, r) }}
}

// Fail injects faults into the next messages to the named robot, one each and in this order.
func (s *Server) Fail(name string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[name] = append(s.faults[name], faults...)
}

// Heal removes a robot's faults.
func (s *Server) Heal(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.faults, name)
}

// next removes and returns the fault for a message, and counts the request.
func (s *Server) next(name string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[name]++
	if len(s.faults[name]) == 0 {
		return Fault{}
	}
	fault := s.faults[name][0]
	if !fault.sticky {
		s.faults[name] = s.faults[name][1:]
	}
	return fault
}

// limit is a kind's rate limit.
type limit struct {
	messages int
	in       time.Duration
	silence  time.Duration // after one too many
	verdict  verdict
}

func limitOf(kind robot.Kind) limit {
	return map[robot.Kind]limit{
		robot.WeCom:    {20, time.Minute, 0, verdict{code: 45009, message: "api freq out of limit"}},
		robot.DingTalk: {20, time.Minute, 10 * time.Minute, verdict{code: 130101, message: "send too fast, exceed 20 times per minute"}},
		robot.Feishu:   {5, time.Second, 0, verdict{code: 11232, message: "frequency limited"}},
		robot.Slack:    {1, time.Second, 0, verdict{status: http.StatusTooManyRequests, message: "rate_limited"}},
	}[kind]
}

// tooMany counts a message. The caller holds the lock.
func (s *Server) tooMany(to Robot) verdict {
	if !s.limited {
		return verdict{}
	}
	now, limit := s.now(), limitOf(to.Kind)
	recent := 0
	for _, at := range s.accepted[to.Name] {
		if now.Sub(at) < limit.in {
			recent++
		}
	}
	if now.Before(s.silent[to.Name]) {
		return limit.verdict
	}
	if recent >= limit.messages {
		s.silent[to.Name] = now.Add(limit.silence)
		return limit.verdict
	}
	s.accepted[to.Name] = append(s.accepted[to.Name], now)
	return verdict{}
}
