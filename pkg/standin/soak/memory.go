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

// memory is a server with in-memory connections, on which synctest can detect blocking.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// serve serves on a listener that is reached only through its dial.
func serve(t *testing.T, handler http.Handler) *memory {
	m := &memory{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: handler}
	go server.Serve(m)
	t.Cleanup(func() { server.Close() })
	return m
}

// dial connects to the server, whatever the address.
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

// sdkClient is the SDK's HTTP client. It sends a body from memory: the SDK closes the body after the response, and
// net/http drops the connection if it hasn't read the body to its end by then.
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
