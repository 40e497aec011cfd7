package soak

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
)

// memory is a server whose connections are in memory: waiting for them is waiting inside the bubble.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// serve serves at an address that only the returned listener's dial leads to.
func serve(t *testing.T, handler http.Handler) *memory {
	m := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler}
	go server.Serve(m)
	t.Cleanup(func() { server.Close() })
	return m
}

// dial connects, whatever the address.
func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-m.done:
	case <-ctx.Done():
	}
	return nil, net.ErrClosed
}

// Accept implements [net.Listener].
func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (m *memory) Close() error {
	m.once.Do(func() { close(m.done) })
	return nil
}

// Addr implements [net.Listener].
func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

// sdkClient is the SDK's HTTP client. It sends a request's body in one piece, since the SDK closes the body once the answer
// is there, and net/http breaks the connection off where it wasn't read to its end by then.
type sdkClient struct{ *http.Client }

// Do implements [aws.HTTPClient].
func (c sdkClient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.Client.Do(r)
}
