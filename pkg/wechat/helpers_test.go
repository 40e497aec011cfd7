package wechat

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

// awkward is a token that a careless URL would change, and a careless log would show.
var awkward = secret.New("84_tok+en/a=b&c d%e中")

// newClient is a client that doesn't wait between tries.
func newClient(t *testing.T, bases []string, options ...Option) *Client {
	t.Helper()
	c := New(bases, append([]Option{WithBackoff(func(int) time.Duration { return time.Millisecond })}, options...)...)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// serve starts a server and returns its URL. What hangs in it is let go at the end of the test.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// answering is a client whose server answers everything with these bytes.
func answering(t *testing.T, body string) *Client {
	t.Helper()
	return newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte(body))
	}))})
}

// simulated is a simulated WeChat with its example, a client of it, and a token of each kind.
func simulated(t *testing.T) (wechat *wechattest.Server, client *Client, component, account secret.Value) {
	t.Helper()
	wechat = wechattest.New(wechattest.WithExample())
	client = newClient(t, []string{serve(t, wechat)})
	return wechat, client, secret.New(wechat.IssueComponentToken()), secret.New(wechat.IssueAccountToken(wechattest.ExampleClosed))
}

// nowhere is a base URL where connections are refused.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// within gives a test's calls an end.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// checkSilent fails if an error's text contains a secret, raw or percent-encoded.
func checkSilent(t *testing.T, err error, secrets ...secret.Value) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range secrets {
		for _, form := range []string{s.Reveal(), url.QueryEscape(s.Reveal()), url.PathEscape(s.Reveal())} {
			if strings.Contains(err.Error(), form) {
				t.Errorf("the error shows a secret: %v", err)
			}
		}
	}
}
