package wechat

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

// writeCalls are the calls that are sent once.
var writeCalls = map[string]struct {
	path string
	send func(context.Context, *Client, secret.Value) error
}{
	"open": {wechattest.PathSwitch, func(ctx context.Context, c *Client, s secret.Value) error {
		return NewSwitchOpener(c).OpenDraftSwitch(ctx, s)
	}},
	"add": {wechattest.PathAddToTemplate, func(ctx context.Context, c *Client, s secret.Value) error {
		return c.AddToTemplate(ctx, s, 4, 0)
	}},
	"delete": {wechattest.PathDeleteTemplate, func(ctx context.Context, c *Client, s secret.Value) error {
		return c.DeleteTemplate(ctx, s, 47)
	}},
}

// TestBytesSent checks the bytes on the wire: they decide whether a switch is checked or opened.
func TestBytesSent(t *testing.T) {
	t.Parallel()
	const token = "84_tok%2Ben%2Fa%3Db%26c+d%25e%E4%B8%AD"
	for _, c := range []struct {
		name       string
		call       func(context.Context, *Client) error
		line, body string
	}{
		{"list drafts", func(ctx context.Context, c *Client) error { _, err := c.DraftList(ctx, awkward); return err },
			"GET /wxa/gettemplatedraftlist?access_token=" + token + " HTTP/1.1", ""},
		{"check", func(ctx context.Context, c *Client) error { _, err := c.CheckDraftSwitch(ctx, awkward); return err },
			"POST /cgi-bin/draft/switch?access_token=" + token + "&checkonly=1 HTTP/1.1", "{}"},
		{"open", func(ctx context.Context, c *Client) error { return NewSwitchOpener(c).OpenDraftSwitch(ctx, awkward) },
			"POST /cgi-bin/draft/switch?access_token=" + token + " HTTP/1.1", "{}"},
		{"add", func(ctx context.Context, c *Client) error { return c.AddToTemplate(ctx, awkward, 0, 0) },
			"POST /wxa/addtotemplate?access_token=" + token + " HTTP/1.1", `{"draft_id":0,"template_type":0}`},
		{"delete", func(ctx context.Context, c *Client) error { return c.DeleteTemplate(ctx, awkward, 47) },
			"POST /wxa/deletetemplate?access_token=" + token + " HTTP/1.1", `{"template_id":47}`},
		{"text in a body", func(ctx context.Context, c *Client) error {
			_, err := c.StableToken(ctx, "wx<&>中", awkward, false)
			return err
		}, "POST /cgi-bin/stable_token HTTP/1.1", `{"appid":"wx<&>中","force_refresh":false,"grant_type":"client_credential","secret":"84_tok+en/a=b&c d%e中"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base, sent := wiretap(t, `{"errcode":0,"is_open":0,"draft_list":[],"access_token":"t","expires_in":7200}`)
			client := newClient(t, []string{base})
			if err := c.call(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			client.CloseIdleConnections()
			head, body, _ := strings.Cut(<-sent, "\r\n\r\n")
			line, header, _ := strings.Cut(head, "\r\n")
			if line != c.line || body != c.body {
				t.Errorf("sent %q and %q", line, body)
			}
			if rest := strings.ToLower(header + body); strings.Contains(rest, "checkonly") {
				t.Errorf("checkonly stands outside the query: %s", rest)
			}
			if length := fmt.Sprintf("Content-Length: %d\r\n", len(c.body)); strings.HasPrefix(line, "POST") && !strings.Contains(header+"\r\n", length) {
				t.Errorf("no %q in %q", length, header)
			}
		})
	}
}

// wiretap is a server for one request. It gives all bytes of its connection once that is closed.
func wiretap(t *testing.T, answer string) (base string, sent <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	all := make(chan string, 1)
	go func() {
		var seen bytes.Buffer
		defer func() { all <- seen.String() }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := io.TeeReader(conn, &seen)
		request, err := http.ReadRequest(bufio.NewReader(r))
		if err != nil {
			return
		}
		io.Copy(io.Discard, request.Body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		io.Copy(io.Discard, r)
	}()
	return "http://" + l.Addr().String(), all
}

func TestTokenArrivesAsItIs(t *testing.T) {
	t.Parallel()
	c := newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if got := query["access_token"]; err != nil || len(got) != 1 || got[0] != awkward.Reveal() {
			t.Errorf("the server reads %q, %v", got, err)
		}
		io.WriteString(w, `{"errcode":0,"is_open":0}`)
	}))})
	c.DraftList(t.Context(), awkward)
	c.CheckDraftSwitch(t.Context(), awkward)
	NewSwitchOpener(c).OpenDraftSwitch(t.Context(), awkward)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other+"/?"+r.URL.RawQuery, status)
		}))})
		_, err := c.DraftList(t.Context(), awkward)
		var failure *TransportError
		if !errors.As(err, &failure) || failure.Status != status || failure.Cause != Unusable {
			t.Errorf("%d: %v", status, err)
		}
		checkSilent(t, err, awkward)
		if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), awkward); !IsOutcomeUnknown(err) {
			t.Errorf("%d: %v", status, err)
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the token reached another server %d times", n)
	}
}

func TestALaterBaseURLIsUsedWhileAnEarlierOneCantBeConnectedTo(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"refused":    nowhere(t),
		"unresolved": "http://wechat.invalid",
		"hanging":    unaccepting(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wechat, _, _, account := simulated(t)
			var attempts atomic.Int32
			c := newClient(t, []string{first, serve(t, wechat)}, WithObserver(func(Attempt) { attempts.Add(1) }))
			var calls sync.WaitGroup
			calls.Go(func() {
				if state, err := c.CheckDraftSwitch(t.Context(), account); state == "" || err != nil {
					t.Errorf("check: %q, %v", state, err)
				}
			})
			calls.Go(func() {
				if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), account); err != nil || wechat.OpenCalls() != 1 {
					t.Errorf("open: %v, %d calls", err, wechat.OpenCalls())
				}
			})
			calls.Wait()
			if n := attempts.Load(); n != 2 {
				t.Errorf("%d attempts, want one for each call", n)
			}
		})
	}

	t.Run("not after it was connected to", func(t *testing.T) {
		t.Parallel()
		for _, fault := range []wechattest.Fault{wechattest.Drop(), wechattest.Status(500, ""), wechattest.Status(502, `{"errcode":-1}`), wechattest.Raw(""), wechattest.Refuse(-1), wechattest.Refuse(40001)} {
			first, _, _, account := simulated(t)
			first.Fail("", fault.Always())
			second := wechattest.New(wechattest.WithExample())
			c := newClient(t, []string{serve(t, first), serve(t, second)})
			NewSwitchOpener(c).OpenDraftSwitch(t.Context(), account)
			c.CheckDraftSwitch(t.Context(), account)
			if second.Calls("") != 0 || first.OpenCalls() != 1 {
				t.Errorf("%d calls reached the second, %d openings the first", second.Calls(""), first.OpenCalls())
			}
		}
	})

	t.Run("none", func(t *testing.T) {
		t.Parallel()
		tries := 0
		c := newClient(t, []string{nowhere(t), "http://wechat.invalid"}, WithObserver(func(Attempt) { tries++ }))
		_, err := c.DraftList(t.Context(), awkward)
		var failure *TransportError
		if !errors.As(err, &failure) || failure.Cause != Unreachable || failure.Sent || tries != 3 {
			t.Errorf("%v after %d tries", err, tries)
		}
		if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), awkward); err == nil || IsOutcomeUnknown(err) || tries != 4 {
			t.Errorf("a write that was never sent is not lost: %v", err)
		}
	})
}

// unaccepting is a base URL where connections are neither made nor refused: a listener whose queue is full.
func unaccepting(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	for {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return "http://" + address
		}
		t.Cleanup(func() { conn.Close() })
	}
}

const timedOut = "no answer in time"

// faults are what can happen to a call, and what a client has to make of it.
var faults = []struct {
	name   string
	fault  wechattest.Fault
	repeat bool   // a read is sent again
	lost   bool   // a write is
	want   string // in the error's text
}{
	{"busy", wechattest.Refuse(-1), true, true, "errcode -1: "},
	{"status 500", wechattest.Status(500, ""), true, true, "HTTP status 500"},
	{"status 502", wechattest.Status(502, `{"errcode":0}`), true, true, "HTTP status 502"},
	{"status 503", wechattest.Status(503, ""), true, true, "HTTP status 503"},
	{"drop", wechattest.Drop(), true, true, "the connection broke"},
	{"drop after", wechattest.Drop().After(), true, true, "the connection broke"},
	{"reset", wechattest.Reset(), true, true, "the connection broke"},
	{"reset after", wechattest.Reset().After(), true, true, "the connection broke"},
	{"cut short", wechattest.CutShort(), true, true, "the answer was cut short"},
	{"hang", wechattest.Hang(), true, true, timedOut},
	{"hang after", wechattest.Hang().After(), true, true, timedOut},
	{"drip", wechattest.Drip(100 * time.Millisecond), true, true, timedOut},
	{"status 404", wechattest.Status(404, ""), false, true, "HTTP status 404"},
	{"status 403", wechattest.Status(403, `{"errcode":0}`), false, true, "HTTP status 403"},
	{"status 201", wechattest.Status(201, `{"errcode":0}`), false, true, "HTTP status 201"},
	{"status 204", wechattest.Status(204, ""), false, true, "HTTP status 204"},
	{"empty", wechattest.Raw(""), false, true, "the answer of 0 bytes is no JSON object"},
	{"HTML", wechattest.Raw("<html>busy</html>"), false, true, "the answer of 17 bytes is no JSON object"},
	{"half", wechattest.Rewrite(wechattest.HalfOf), false, true, "is no JSON object"},
	{"huge", wechattest.Huge(), false, true, "larger than 8 MB"},
	{"token refused", wechattest.Refuse(40001), false, false, "errcode 40001: "},
	{"day quota", wechattest.Refuse(45009), false, false, "errcode 45009: "},
	{"minute quota", wechattest.Refuse(45011), false, false, "errcode 45011: "},
	{"whitelist", wechattest.Refuse(61004), false, false, "errcode 61004: "},
	{"unknown code", wechattest.Refuse(99999), false, false, "errcode 99999: "},
}

func TestReadsRepeatWhereThatHelps(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, read := range []struct {
				path string
				send func(context.Context, *Client, secret.Value, secret.Value) error
			}{
				{wechattest.PathDraftList, func(ctx context.Context, c *Client, component, _ secret.Value) error {
					_, err := c.DraftList(ctx, component)
					return err
				}},
				{wechattest.PathSwitch, func(ctx context.Context, c *Client, _, account secret.Value) error {
					_, err := c.CheckDraftSwitch(ctx, account)
					return err
				}},
			} {
				wechat, c, component, account := simulated(t)
				var waits []int
				c.backoff = func(try int) time.Duration { waits = append(waits, try); return 0 }
				limit := 10 * time.Second
				if f.want == timedOut {
					limit = 600 * time.Millisecond
				}
				call := func() error { return read.send(within(t, limit), c, component, account) }

				wechat.Fail(read.path, f.fault.Always())
				err := call()
				checkSilent(t, err, component, account)
				if err == nil || !strings.Contains(err.Error(), f.want) {
					t.Errorf("%s: %v", read.path, err)
				}
				tries, wantWaits := 1, []int(nil)
				if f.repeat {
					tries, wantWaits = 3, []int{1, 2}
				}
				if got := wechat.Calls(read.path); got != tries || !slices.Equal(waits, wantWaits) {
					t.Errorf("%s: sent %d times with waits after %v, want %d", read.path, got, waits, tries)
				}

				wechat.Heal("")
				wechat.Fail(read.path, f.fault)
				if err := call(); (err == nil) != f.repeat {
					t.Errorf("%s: failed once: %v", read.path, err)
				}
			}
		})
	}
}

func TestWritesAreSentOnce(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for name, write := range writeCalls {
				wechat, c, component, account := simulated(t)
				wechat.AddTemplate(wechattest.Template{TemplateID: 47})
				token := component
				if name == "open" {
					token = account
				}
				// Idle connections that a write must not use.
				c.DraftList(t.Context(), component)
				wechat.Fail(write.path, f.fault.Always())
				limit := 10 * time.Second
				if f.want == timedOut {
					limit = 300 * time.Millisecond
				}
				err := write.send(within(t, limit), c, token)
				checkSilent(t, err, token)
				if err == nil || IsOutcomeUnknown(err) != f.lost {
					t.Errorf("%s: lost %v: %v", name, IsOutcomeUnknown(err), err)
				}
				if got := wechat.Calls(write.path); got != 1 {
					t.Errorf("%s: sent %d times", name, got)
				}
			}
		})
	}
}

// TestUnreachableIsToldOfEveryTry: one try that got through makes it another error.
func TestUnreachableIsToldOfEveryTry(t *testing.T) {
	t.Parallel()
	drop, busy := wechattest.Drop(), wechattest.Refuse(-1)
	for _, c := range []struct {
		name   string
		faults []wechattest.Fault
		want   string
	}{
		{"three drops", []wechattest.Fault{drop, drop, drop}, "the connection broke"},
		{"busy first", []wechattest.Fault{busy, drop, drop}, "errcode -1"},
		{"busy between", []wechattest.Fault{drop, busy, drop}, "errcode -1"},
		{"busy last", []wechattest.Fault{drop, drop, busy}, "errcode -1"},
		{"the last of two others", []wechattest.Fault{busy, wechattest.Status(503, ""), drop}, "HTTP status 503"},
	} {
		wechat, client, component, _ := simulated(t)
		wechat.Fail("", c.faults...)
		if _, err := client.DraftList(t.Context(), component); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWaitsGrowAndVary(t *testing.T) {
	t.Parallel()
	for try, low := range map[int]time.Duration{1: 150 * time.Millisecond, 2: 450 * time.Millisecond} {
		seen := make(map[time.Duration]bool)
		for range 100 {
			wait := exponentialBackoff(try)
			if wait < low || wait >= 2*low {
				t.Errorf("after try %d it waits %v", try, wait)
			}
			seen[wait] = true
		}
		if len(seen) < 50 {
			t.Errorf("after try %d there are only %d different waits", try, len(seen))
		}
	}
}

func TestOneDeadlineForAll(t *testing.T) {
	t.Parallel()
	took := func(call func()) time.Duration {
		began := time.Now()
		call()
		return time.Since(began)
	}
	t.Run("tries share it", func(t *testing.T) {
		t.Parallel()
		wechat, c, component, _ := simulated(t)
		wechat.Fail("", wechattest.Hang().Always())
		d := took(func() {
			if _, err := c.DraftList(within(t, 600*time.Millisecond), component); err == nil {
				t.Error("no error")
			}
		})
		if d > 2*time.Second || wechat.Calls("") != 3 {
			t.Errorf("%d tries in %v", wechat.Calls(""), d)
		}
	})
	t.Run("waits leave the tries most of it", func(t *testing.T) {
		t.Parallel()
		wechat, c, component, _ := simulated(t)
		c.backoff = func(int) time.Duration { return time.Hour }
		wechat.Fail("", wechattest.Refuse(-1).Always())
		d := took(func() {
			if _, err := c.DraftList(within(t, 400*time.Millisecond), component); !hasClass(err, Busy) {
				t.Error(err)
			}
		})
		if d > 350*time.Millisecond || wechat.Calls("") != 3 {
			t.Errorf("%d tries in %v", wechat.Calls(""), d)
		}
	})
	t.Run("a caller that leaves", func(t *testing.T) {
		t.Parallel()
		wechat, c, component, _ := simulated(t)
		wechat.Fail("", wechattest.Hang().Always())
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			for wechat.Calls("") == 0 {
				time.Sleep(time.Millisecond)
			}
		}()
		d := took(func() {
			if _, err := c.DraftList(ctx, component); err == nil {
				t.Error("no error")
			}
		})
		if d > 2*time.Second || wechat.Calls("") != 1 {
			t.Errorf("%d tries in %v", wechat.Calls(""), d)
		}
	})
	t.Run("base URLs share it", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, []string{unaccepting(t), unaccepting(t)})
		d := took(func() {
			if _, err := c.DraftList(within(t, 500*time.Millisecond), awkward); err == nil {
				t.Error("no error")
			}
		})
		if d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// frozen starts a server whose connections turn out to be dead when they are used again, as after Lambda has frozen an
// instance. It answers the first requests once so many have come that each has a connection of its own. dead counts the
// requests that came in vain.
func frozen(t *testing.T, connections int) (base string, dead *atomic.Int32) {
	t.Helper()
	type used struct{}
	dead = new(atomic.Int32)
	var first sync.WaitGroup
	first.Add(connections)
	var arrived atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(used{}).(*atomic.Bool).Swap(true) {
			dead.Add(1)
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			return
		}
		if arrived.Add(1) <= int32(connections) {
			first.Done()
			first.Wait()
		}
		io.WriteString(w, `{"errcode":0,"is_open":1}`)
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, used{}, new(atomic.Bool))
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, dead
}

func TestDeadConnectionsAfterAFreeze(t *testing.T) {
	t.Parallel()
	const connections = 8
	tries := make(chan error, 100)
	base, dead := frozen(t, connections)
	c := newClient(t, []string{base}, WithObserver(func(a Attempt) { tries <- a.Err }))
	var warm sync.WaitGroup
	for range connections {
		warm.Go(func() { c.CheckDraftSwitch(t.Context(), awkward) })
	}
	warm.Wait()
	for range connections {
		<-tries
	}

	if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), awkward); err != nil {
		t.Errorf("a write met a dead connection: %v", err)
	}
	<-tries
	if state, err := c.CheckDraftSwitch(t.Context(), awkward); err != nil || state != SwitchOpen {
		t.Errorf("a read after a freeze: %q, %v", state, err)
	}
	if len(tries) != 2 || dead.Load() != 1 {
		t.Errorf("the read took %d tries, %d over a dead connection", len(tries), dead.Load())
	}
}

func TestConnectionsThatTheServerClosedWhileIdle(t *testing.T) {
	t.Parallel()
	wechat := wechattest.New(wechattest.WithExample())
	server := httptest.NewServer(wechat)
	defer server.Close()
	c := newClient(t, []string{server.URL})
	component, account := secret.New(wechat.IssueComponentToken()), secret.New(wechat.IssueAccountToken(wechattest.ExampleClosed))
	for range 5 {
		if _, err := c.DraftList(t.Context(), component); err != nil {
			t.Error(err)
		}
		if _, err := c.CheckDraftSwitch(t.Context(), account); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
	}
	if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), account); err != nil || wechat.OpenCalls() != 1 {
		t.Errorf("%v, %d opening calls", err, wechat.OpenCalls())
	}
}

func TestReadsReuseAConnection(t *testing.T) {
	t.Parallel()
	peers := make(map[string]bool)
	c := newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peers[r.RemoteAddr] = true // one request at a time
		io.WriteString(w, `{"errcode":0}`)
	}))})
	for range 10 {
		if _, err := c.DraftList(t.Context(), awkward); err != nil {
			t.Fatal(err)
		}
	}
	if len(peers) != 1 {
		t.Errorf("ten reads took %d connections", len(peers))
	}
	for range 3 {
		if err := NewSwitchOpener(c).OpenDraftSwitch(t.Context(), awkward); err != nil {
			t.Fatal(err)
		}
	}
	if len(peers) != 4 {
		t.Errorf("three writes took %d new connections", len(peers)-1)
	}
}

// TestNoErrorShowsASecret: servers repeat in words what they were sent.
func TestNoErrorShowsASecret(t *testing.T) {
	t.Parallel()
	code := secret.New(`queryauthcode@@@a"b\c+d`)
	raw, escaped := awkward.Reveal(), url.QueryEscape(awkward.Reveal())
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for name, body := range map[string]string{
		"errmsg":               `{"errcode":40001,"errmsg":"no such token: ` + raw + `"}`,
		"errmsg, escaped":      `{"errcode":40001,"errmsg":"` + escaped + `"}`,
		"errmsg, lower case":   `{"errcode":40001,"errmsg":"` + strings.ToLower(escaped) + `"}`,
		"errmsg, as in a path": `{"errcode":40001,"errmsg":"` + url.PathEscape(raw) + `"}`,
		"errmsg, as a URL":     `{"errcode":40066,"errmsg":"https://api.weixin.qq.com/x?access_token=` + escaped + `&checkonly=1"}`,
		"errmsg, a code":       `{"errcode":61010,"errmsg":"` + quoted.Replace(code.Reveal()) + `"}`,
		"errmsg, cut":          `{"errcode":40001,"errmsg":"` + strings.Repeat("x", 2040) + raw + `"}`,
		"HTML":                 "<html>" + raw + escaped + "</html>",
		"errcode":              `{"errcode":"` + raw + `"}`,
		"another form":         `{"errcode":0,"authorization_info":"` + raw + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := answering(t, body)
			_, _, err := c.QueryAuth(t.Context(), awkward, "wx1", code)
			if err == nil {
				t.Fatal("no error")
			}
			text := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, s := range []string{raw[:8], code.Reveal()[:18], "%2ben", "%2Ben", "%20d", "c+d"} {
				if strings.Contains(text, s) {
					t.Errorf("%q can be seen in %.300s", s, text)
				}
			}
		})
	}
}

func TestABaseURLThatCantBeUsedShowsNothing(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"http://[::1", "http://127.0.0.1:0", "ftp://127.0.0.1", "http://\x7f"} {
		_, err := newClient(t, []string{base}).DraftList(t.Context(), awkward)
		if err == nil {
			t.Errorf("%q: no error", base)
		}
		checkSilent(t, err, awkward)
	}
}

func TestAttemptsAreObserved(t *testing.T) {
	t.Parallel()
	type seen struct {
		Call   string
		Failed bool
	}
	var got []seen
	wechat, _, component, _ := simulated(t)
	c := newClient(t, []string{serve(t, wechat)}, WithObserver(func(a Attempt) {
		if a.Latency < 20*time.Millisecond && a.Err != nil {
			t.Errorf("latency %v", a.Latency)
		}
		got = append(got, seen{a.Call, a.Err != nil})
	}))
	wechat.Fail("", wechattest.Refuse(-1).Delayed(20*time.Millisecond), wechattest.Drop().Delayed(20*time.Millisecond))
	if _, err := c.DraftList(t.Context(), component); err != nil {
		t.Fatal(err)
	}
	path := wechattest.PathDraftList
	if diff := cmp.Diff([]seen{{path, true}, {path, true}, {path, false}}, got); diff != "" {
		t.Error(diff)
	}
}
