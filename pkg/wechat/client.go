// Package wechat is a client of WeChat's API: one method for each call, typed errors, and tolerant decoding.
//
// Reads are retried; writes are sent once. No error of this package contains a token, a secret or a URL.
package wechat

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/secret"
)

const (
	maxAnswer   = 8 << 20 // bytes; the largest real lists are under one megabyte
	readTries   = 3
	tryTimeout  = 10 * time.Second // WeChat usually answers within a second
	dialTimeout = 3 * time.Second
)

// Client calls WeChat. It is safe for concurrent use; make one for each process.
type Client struct {
	hosts *hosts
	// pooled reuses connections. After Lambda froze the instance all of them may be dead, so it is used only for the first
	// try of a read.
	pooled *http.Client
	// fresh makes a new connection for each request. Writes use it, because after a failure on a dead connection it would
	// be unknown whether WeChat received the write.
	fresh   *http.Client
	backoff func(try int) time.Duration
	observe func(Attempt)
}

// Attempt is one request sent to WeChat, for metrics.
type Attempt struct {
	Call    string
	Latency time.Duration
	Err     error // nil, *APIError or *TransportError
}

// Option changes a Client.
type Option func(*Client)

// WithBackoff sets the wait after a failed try; try counts from 1.
func WithBackoff(wait func(try int) time.Duration) Option {
	return func(c *Client) { c.backoff = wait }
}

// WithObserver has f called after each request, from the goroutine of the call.
func WithObserver(f func(Attempt)) Option {
	return func(c *Client) { c.observe = f }
}

// WithDialer sets the dialer.
func WithDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) Option {
	return func(c *Client) {
		for _, client := range []*http.Client{c.pooled, c.fresh} {
			client.Transport.(*http.Transport).DialContext = dial
		}
	}
}

// WithClock sets the clock that decides how long a base URL is avoided.
func WithClock(now func() time.Time) Option {
	return func(c *Client) { c.hosts.now = now }
}

// New makes a client for the base URLs, such as https://api.weixin.qq.com, without a slash at the end. A later one
// is used while an earlier one can't be connected to, or its gateway doesn't reach WeChat.
func New(bases []string, options ...Option) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     20 * time.Second, // shorter than the servers'; net/http measures it on the wall clock
	}
	fresh := transport.Clone()
	fresh.DisableKeepAlives = true
	c := &Client{
		hosts:   newHosts(bases),
		pooled:  &http.Client{Transport: transport, CheckRedirect: noRedirect},
		fresh:   &http.Client{Transport: fresh, CheckRedirect: noRedirect},
		backoff: exponentialBackoff,
		observe: func(Attempt) {},
	}
	for _, option := range options {
		option(c)
	}
	return c
}

// noRedirect follows no redirect, which would send the token to another host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// exponentialBackoff waits 150 to 300 ms after the first try, 450 to 900 ms after the second.
func exponentialBackoff(try int) time.Duration {
	longest := 300 * time.Millisecond
	for range try - 1 {
		longest *= 3
	}
	return longest/2 + rand.N(longest/2)
}

// CloseIdleConnections closes the pooled connections.
func (c *Client) CloseIdleConnections() { c.pooled.CloseIdleConnections() }

// call is one API call.
type call struct {
	method  string
	path    string
	query   string         // beside the access token
	token   secret.Value   // empty: none
	body    any            // sent as JSON; nil: no body
	secrets []secret.Value // in the body; redacted in errors
	caller  Caller         // whose token or secrets these are, if the call implies it
	write   bool           // not idempotent, so sent once
}

// do sends a call, retries a read if that can help, and returns the fields of an answer without an error code.
func (c *Client) do(ctx context.Context, call call) (fields, error) {
	tries, client := readTries, c.pooled
	if call.write {
		tries, client = 1, c.fresh
	}
	bases := c.hosts.order(call.write)
	var reported error // the error that is returned for all tries
	for try := 1; ; try++ {
		tryCtx, cancel := withTryTimeout(ctx, tries-try+1)
		t, err := c.try(tryCtx, client, call, bases)
		cancel()
		if err == nil {
			return t.answer, nil
		}
		var failure *TransportError
		isFailure := errors.As(err, &failure)
		if isFailure && failure.badGateway { // start the next try at the next base URL
			bases = slices.Concat(bases[t.base+1:], bases[:t.base+1])
		}
		if hasClass(reported, Busy) {
			noteUnpublished(err)
		}
		// Report the last try's error, but "unreachable" only if every try ended so.
		if reported == nil || !isFailure || failure.Cause != Unreachable {
			reported = err
		}
		if try == tries || !isRetryable(err) {
			return nil, reported
		}
		wait := c.backoff(try)
		if deadline, ok := ctx.Deadline(); ok {
			wait = min(wait, time.Until(deadline)/4) // leave time for the remaining tries
		}
		if !retry.Sleep(ctx, wait) {
			return nil, reported
		}
		client = c.fresh
	}
}

// withTryTimeout limits one try to its share of the remaining time, which so many tries share.
func withTryTimeout(ctx context.Context, tries int) (context.Context, context.CancelFunc) {
	limit := tryTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/time.Duration(tries))
	}
	return context.WithTimeout(ctx, limit)
}

// noteUnpublished marks 61006 after -1 on the fetch of a component token: the platform isn't published.
func noteUnpublished(err error) {
	var refusal *APIError
	if errors.As(err, &refusal) && refusal.Call == componentTokenPath && refusal.Code == codeInvalidTicket {
		refusal.unpublished = true
	}
}

// isRetryable reports whether err is -1, a timeout, a broken connection, a truncated answer or HTTP 5xx.
func isRetryable(err error) bool {
	var failure *TransportError
	if !errors.As(err, &failure) {
		return hasClass(err, Busy)
	}
	return failure.Cause != Unusable || failure.Status >= 500 || failure.Detail == cutShort
}

// tryResult is the index of the base URL that a try ended at, and its answer.
type tryResult struct {
	base   int
	answer fields
}

// try sends the call once, to the first base URL that can be connected to.
func (c *Client) try(ctx context.Context, client *http.Client, call call, bases []string) (t tryResult, err error) {
	began := time.Now()
	for i, base := range bases {
		t.base = i
		t.answer, err = c.send(ctx, client, base, call)
		var failure *TransportError
		if !errors.As(err, &failure) || failure.Sent || ctx.Err() != nil {
			break
		}
	}
	c.observe(Attempt{Call: call.path, Latency: time.Since(began), Err: err})
	return t, err
}

const cutShort = "the answer was cut short"

// send sends the call to one base URL.
func (c *Client) send(ctx context.Context, client *http.Client, base string, call call) (fields, error) {
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	request, err := call.request(ctx, base)
	if err != nil {
		return nil, fmt.Errorf("%s: make the request: %w", call.path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		cause, detail := classify(err)
		return nil, &TransportError{Call: call.path, Cause: cause, Detail: detail, Sent: connected}
	}
	defer response.Body.Close()
	body, err := readBody(response)
	answer, err := call.read(response.StatusCode, body, err)
	var failure *TransportError
	c.hosts.answered(base, errors.As(err, &failure) && failure.badGateway)
	return answer, err
}

// readBody reads an answer's body, up to one byte more than allowed.
func readBody(response *http.Response) ([]byte, error) {
	var body bytes.Buffer
	if size := response.ContentLength; size > 0 && size <= maxAnswer {
		body.Grow(int(size) + bytes.MinRead) // room for the read that returns io.EOF
	}
	_, err := body.ReadFrom(io.LimitReader(response.Body, maxAnswer+1))
	return body.Bytes(), err
}

// read decodes an answer. readErr is the error of reading its body, if any.
func (call call) read(status int, body []byte, readErr error) (fields, error) {
	fail := func(detail string) *TransportError {
		return &TransportError{Call: call.path, Cause: Unusable, Detail: detail, Sent: true}
	}
	switch {
	case status != http.StatusOK:
		failure := fail(fmt.Sprintf("HTTP status %d", status))
		failure.Status, failure.badGateway = status, isBadGateway(status, body)
		return nil, failure
	case len(body) > maxAnswer:
		return nil, fail("the answer is larger than 8 MB")
	case readErr != nil:
		failure := fail(cutShort)
		if cause, detail := classify(readErr); cause != Unreachable {
			failure.Cause, failure.Detail = cause, detail
		}
		return nil, failure
	}

	answer, err := decode(body)
	if err != nil {
		return nil, fail(fmt.Sprintf("the answer of %d bytes is no JSON object", len(body)))
	}
	code, ok := answer.number("errcode")
	if !ok && answer.has("errcode") {
		return nil, fail("the answer's errcode is no number")
	}
	if code != 0 {
		message, _ := answer.text("errmsg")
		return nil, &APIError{Call: call.path, Code: int(code), Caller: call.caller,
			Message: truncate(redact(message, append(call.secrets, call.token)))}
	}
	return answer, nil
}

// isBadGateway reports whether an answer comes from a gateway that doesn't reach WeChat.
func isBadGateway(status int, body []byte) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		_, err := decode(body)
		return err != nil
	}
	return false
}

// request makes the HTTP request. This is the only place that puts a token into a URL.
func (call call) request(ctx context.Context, base string) (*http.Request, error) {
	var query []string
	if !call.token.IsZero() {
		query = append(query, "access_token="+queryEscape(call.token))
	}
	if call.query != "" {
		query = append(query, call.query)
	}
	target := base + call.path
	if len(query) > 0 {
		target += "?" + strings.Join(query, "&")
	}
	var body io.Reader
	if call.body != nil {
		encoded, err := EncodeJSON(call.body)
		if err != nil {
			return nil, errors.New("the body can't be encoded")
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, errors.New("the base URL can't be used")
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	} else if call.method == http.MethodGet {
		// net/http itself retries a GET on a broken pooled connection, unless the body can't be read again. Only do is to
		// retry.
		request.Body = io.NopCloser(strings.NewReader(""))
		// Otherwise net/http starts a goroutine to find out that the body is empty.
		request.TransferEncoding = []string{"identity"}
	}
	request.Header.Set("User-Agent", "wechat-draftbox")
	return request, nil
}

func queryEscape(s secret.Value) string { return url.QueryEscape(s.Reveal()) }

// classify describes an error of net/http in fixed words.
func classify(err error) (Cause, string) {
	var timeout net.Error
	var unresolved *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut, "no answer in time"
	case errors.As(err, &unresolved):
		return Unreachable, "the host name does not resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return Unreachable, "the connection was refused"
	case errors.As(err, &certificate):
		return Unreachable, "the server's certificate is not trusted"
	case strings.Contains(err.Error(), "malformed HTTP"): // net/http has no type for it
		return Unusable, "the answer is no HTTP"
	}
	return Unreachable, "the connection broke"
}
