package faultmatrix

import (
	"net"
	"sync"
	"sync/atomic"
)

type listener struct {
	net.Listener
	upstream *upstream
}

func (l listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, upstream: l.upstream, closed: make(chan struct{})}
	l.upstream.mu.Lock()
	defer l.upstream.mu.Unlock()
	l.upstream.conns[c] = true
	return c, nil
}

// conn is a connection that can be forgotten.
type conn struct {
	net.Conn
	upstream  *upstream
	forgotten atomic.Bool
	once      sync.Once
	closed    chan struct{}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.forgotten.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.upstream.mu.Lock()
		defer c.upstream.mu.Unlock()
		delete(c.upstream.conns, c)
	})
	return c.Conn.Close()
}

// NetConn allows the simulated WeChat to reset the connection.
func (c *conn) NetConn() net.Conn { return c.Conn }
