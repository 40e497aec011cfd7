package wechattest

import (
	"bytes"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Fault is an injected failure. [Refuse], [Status], [Raw], [Drop], [Reset], [Hang] and [Redirect] replace the
// processing, or follow it with [Fault.After]. [Pass], [Late], [Rewrite], [CutShort], [Drip] and [Huge] deliver the
// genuine response in their own way. Methods return a changed copy.
type Fault struct {
	name    string
	times   int
	process bool
	delay   time.Duration
	when    func(Request) bool
	deliver func(exchange)
}

// exchange is a request, and the genuine response if it was processed.
type exchange struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	answer reply
}

// Times applies the fault to the next n requests instead of one.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Always applies the fault to every request until [Server.Heal].
func (f Fault) Always() Fault { return f.Times(-1) }

// After processes the request before the fault replaces the response.
func (f Fault) After() Fault { f.process = true; f.name += "-after"; return f }

// Delayed waits for d first. If the client leaves meanwhile, the request is not processed.
func (f Fault) Delayed(d time.Duration) Fault { f.delay = d; return f }

// When limits the fault to requests for which the condition holds, such as [Request.Opens]. Several conditions must
// all hold.
func (f Fault) When(meets func(Request) bool) Fault {
	if before := f.when; before != nil {
		f.when = func(r Request) bool { return before(r) && meets(r) }
		return f
	}
	f.when = meets
	return f
}

// For limits the fault to requests with a token of the account.
func (f Fault) For(appid string) Fault {
	return f.When(func(r Request) bool { return r.AppID == appid })
}

// ForHost limits the fault to requests sent to this host, such as "sh.api.weixin.qq.com".
func (f Fault) ForHost(host string) Fault {
	return f.When(func(r Request) bool { return r.Host == host })
}

// Refuse responds with an errcode and its usual errmsg, or the given one, followed by a rid.
func Refuse(errcode int, errmsg ...string) Fault {
	refusal := refusal{code: errcode}
	if len(errmsg) > 0 {
		refusal.msg = errmsg[0]
	}
	return Fault{name: "refuse", deliver: func(x exchange) {
		x.s.mu.Lock()
		answer := x.s.refuse(refusal)
		x.s.mu.Unlock()
		answer.write(x.w)
	}}
}

// Status responds with an HTTP status and a body; empty means a gateway's usual HTML page.
func Status(status int, body string) Fault {
	answer := reply{status, "text/html", []byte(body)}
	if body == "" {
		answer.body = htmlPage(status)
	}
	return Fault{name: "status", deliver: func(x exchange) { answer.write(x.w) }}
}

// Raw responds 200 with these bytes: nothing, HTML, half a JSON.
func Raw(body string) Fault {
	return Fault{name: "raw", deliver: func(x exchange) { reply{http.StatusOK, x.s.contentType, []byte(body)}.write(x.w) }}
}

// Drop closes the connection without a response.
func Drop() Fault { return Fault{name: "drop", deliver: func(x exchange) { x.hangUp(-1) }} }

// Reset closes the connection with a TCP reset.
func Reset() Fault { return Fault{name: "reset", deliver: func(x exchange) { x.hangUp(0) }} }

// Hang never responds. It ends when the client gives up.
func Hang() Fault { return Fault{name: "hang", deliver: func(x exchange) { <-x.r.Context().Done() }} }

// Redirect responds 302 to another place, with the request's query, which holds the token.
func Redirect(to string) Fault {
	return Fault{name: "redirect", deliver: func(x exchange) {
		http.Redirect(x.w, x.r, to+"?"+x.r.URL.RawQuery, http.StatusFound)
	}}
}

// Late processes the request at once and responds d later. To wait before processing, use [Pass] with [Fault.Delayed].
func Late(d time.Duration) Fault {
	return genuine("late", func(x exchange) {
		if wait(x.r.Context(), d) {
			x.answer.write(x.w)
		}
	})
}

// Rewrite changes the bytes of the genuine response, as [WithBOM] does.
func Rewrite(change func(body []byte) []byte) Fault {
	return genuine("rewrite", func(x exchange) {
		x.answer.body = change(x.answer.body)
		x.answer.write(x.w)
	})
}

// WithBOM prepends a UTF-8 byte order mark, for [Rewrite].
func WithBOM(body []byte) []byte { return append([]byte("\xef\xbb\xbf"), body...) }

// InGBK encodes a response in GBK, as WeChat does with text of accounts with old names, for [Rewrite]. Characters
// outside GBK become four bytes of GB18030.
func InGBK(body []byte) []byte {
	encoded, err := simplifiedchinese.GB18030.NewEncoder().Bytes(body)
	if err != nil {
		panic("wechattest: encode an answer in GBK: " + err.Error()) // every UTF-8 text can be
	}
	return encoded
}

// HalfOf keeps the first half of a response, for [Rewrite]: truncated JSON in a complete HTTP response.
func HalfOf(body []byte) []byte { return body[:len(body)/2] }

// CutShort sends half of the genuine response with the full Content-Length, and closes the connection.
func CutShort() Fault {
	return genuine("cut-short", func(x exchange) {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(x.answer.body)))
		half := x.answer
		half.body = HalfOf(half.body)
		half.write(x.w)
		x.flush()
		panic(http.ErrAbortHandler) // net/http's way to break off an answer
	})
}

// Drip sends the genuine response byte by byte, one after each interval.
func Drip(interval time.Duration) Fault {
	return genuine("drip", func(x exchange) {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(x.answer.body)))
		rest := x.answer.body
		x.answer.body = nil
		x.answer.write(x.w)
		x.flush()
		for ; len(rest) > 0 && wait(x.r.Context(), interval); rest = rest[1:] {
			_, _ = x.w.Write(rest[:1])
			x.flush()
		}
	})
}

// Huge sends the genuine response after 9 MiB of white space: valid JSON above 8 MB.
func Huge() Fault {
	return genuine("huge", func(x exchange) {
		padding, body := bytes.Repeat([]byte(" "), 64<<10), x.answer.body
		x.answer.body = nil
		x.answer.write(x.w)
		for range 9 << 20 / len(padding) {
			if _, err := x.w.Write(padding); err != nil {
				return // the client had enough
			}
		}
		_, _ = x.w.Write(body)
	})
}

// Pass is no fault: it lets requests through before a later fault of the same [Server.Fail].
func Pass() Fault { return genuine("pass", func(x exchange) { x.answer.write(x.w) }) }

func genuine(name string, deliver func(exchange)) Fault {
	return Fault{name: name, process: true, deliver: deliver}
}

// Fail adds faults for the next requests to path, one each and in this order, after pending ones. An empty path
// applies to every path without faults of its own.
func (s *Server) Fail(path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.times == 0 {
			f.times = 1
		}
		s.faults[path] = append(s.faults[path], &f)
	}
}

// Heal removes the faults of path, or all faults for an empty path.
func (s *Server) Heal(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if path == "" {
		clear(s.faults)
		return
	}
	delete(s.faults, path)
}

// nextFault removes and returns the fault for a request. The caller holds the lock.
func (s *Server) nextFault(r Request) *Fault {
	for _, path := range []string{r.Path, ""} {
		waiting := s.faults[path]
		at := slices.IndexFunc(waiting, func(f *Fault) bool { return f.when == nil || f.when(r) })
		if at < 0 {
			continue
		}
		f := waiting[at]
		if f.times > 0 {
			if f.times--; f.times == 0 {
				s.faults[path] = slices.Delete(waiting, at, at+1)
			}
		}
		return f
	}
	return nil
}

// meet serves a request with the fault.
func (f *Fault) meet(s *Server, w http.ResponseWriter, r *http.Request, body []byte) {
	if !wait(r.Context(), f.delay) {
		return
	}
	x := exchange{s: s, w: w, r: r}
	if f.process {
		x.answer = s.process(r, body)
	}
	f.deliver(x)
}

func (x exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// hangUp closes the connection; a linger of 0 resets it.
func (x exchange) hangUp(linger int) {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 has no connection to give away: break off the stream
	}
	defer conn.Close()
	inner := conn
	if t, secure := conn.(interface{ NetConn() net.Conn }); secure {
		inner = t.NetConn()
	}
	if t, tcp := inner.(*net.TCPConn); tcp {
		_ = t.SetLinger(linger)
	}
}
