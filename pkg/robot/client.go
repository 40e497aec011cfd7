package robot

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// sendTimeout bounds one message. Robots answer within a second.
	sendTimeout = 10 * time.Second
	// maxAnswer bounds how much of an answer is read. Usual ones have some thirty bytes.
	maxAnswer = 16 << 10
	// maxRetryAfter caps the Retry-After header.
	maxRetryAfter = 15 * time.Minute
)

// Client sends messages. It is safe for concurrent use.
type Client struct {
	http *http.Client
	now  func() time.Time
}

// NewClient makes a client. now is the wall clock, for signatures.
func NewClient(now func() time.Time) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// Batches come half a minute apart. An idle connection may be dead by then, above all after Lambda froze the instance,
	// and net/http doesn't retry a POST.
	transport.DisableKeepAlives = true
	return &Client{now: now, http: &http.Client{
		Transport: transport,
		// No robot redirects, and a redirect would send the message to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Error says that a robot did not accept a message, or that its answer was lost. Its text holds neither the robot's URL nor its secret.
type Error struct {
	Detail     string
	RetryAfter time.Duration // by the robot's rate limit; 0: none given
}

func (e *Error) Error() string { return e.Detail }

var errBadURL = &Error{Detail: "its URL can't be used"}

// Send sends a message once. Errors are an [*Error].
func (c *Client) Send(ctx context.Context, r Robot, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	s := sign(r, c.now())
	target, err := address(r, s)
	if err != nil {
		return err
	}
	body, err := encode(r, m, s)
	if err != nil {
		return &Error{Detail: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return errBadURL // err quotes it
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	response, err := c.http.Do(request)
	if err != nil {
		return sendError(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return &Error{Detail: "its answer broke off"}
	}
	return checkResponse(r, response, answer)
}

// sendError describes an error of net/http in fixed words, because its text quotes the URL.
func sendError(err error) *Error {
	var noHost *net.DNSError
	var badCertificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &noHost):
		return &Error{Detail: "its host name can't be resolved"}
	case errors.As(err, &badCertificate):
		return &Error{Detail: "its TLS certificate can't be trusted"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Detail: "it refused the connection"}
	case errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Detail: "it did not answer in time"}
	}
	return &Error{Detail: "the connection broke"}
}

// checkResponse reads an answer. All robots except Slack's refuse with HTTP 200, so the body decides.
func checkResponse(r Robot, response *http.Response, answer []byte) error {
	if response.StatusCode == http.StatusTooManyRequests {
		return &Error{Detail: "it has had too many messages (HTTP 429)", RetryAfter: retryAfter(response.Header)}
	}
	if r.Kind == Slack {
		if text := strings.TrimSpace(string(answer)); response.StatusCode != http.StatusOK || text != "ok" {
			return &Error{Detail: fmt.Sprintf("it refused the message: HTTP %d%s", response.StatusCode, quote(r, text))}
		}
		return nil
	}
	// Pointers distinguish 0 from a missing code, which is no acceptance.
	var result struct {
		Errcode    *int   `json:"errcode"` // WeCom, DingTalk
		Errmsg     string `json:"errmsg"`
		Code       *int   `json:"code"` // Feishu
		Msg        string `json:"msg"`
		StatusCode *int   `json:"StatusCode"` // older Feishu
	}
	if json.Unmarshal(answer, &result) != nil {
		return &Error{Detail: fmt.Sprintf("its answer is no JSON (HTTP %d)", response.StatusCode)}
	}
	code, message := result.Errcode, result.Errmsg
	if r.Kind == Feishu {
		if code, message = result.Code, result.Msg; code == nil {
			code = result.StatusCode
		}
	}
	switch {
	case code == nil:
		return &Error{Detail: fmt.Sprintf("its answer has no code (HTTP %d)", response.StatusCode)}
	case *code != 0:
		return &Error{Detail: fmt.Sprintf("it refused the message: %d%s", *code, quote(r, message)), RetryAfter: rateLimitDelay(r.Kind, *code)}
	case response.StatusCode != http.StatusOK:
		return &Error{Detail: fmt.Sprintf("it answered HTTP %d", response.StatusCode)}
	}
	return nil
}

// rateLimitDelay is how long to wait after a refusal with this code; 0 where it isn't a rate limit.
func rateLimitDelay(kind Kind, code int) time.Duration {
	switch {
	case kind == WeCom && code == 45009, kind == Feishu && (code == 11232 || code == 230020):
		return time.Minute
	case kind == DingTalk && (code == 130101 || code == 130102 || code == 410100 || code == 90030):
		return 10 * time.Minute
	}
	return 0
}

// retryAfter reads the header Retry-After. The default is a minute.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 1 {
		return time.Minute
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// maxQuote is how many characters of a robot's message an error quotes.
const maxQuote = 200

// quote prepares a robot's message for an error text, without any part of the robot's URL or secret.
func quote(r Robot, said string) string {
	said = clean(said)
	for _, hidden := range secretParts(r) {
		said = strings.ReplaceAll(said, hidden, "REDACTED")
	}
	if said == "" {
		return ""
	}
	return " " + Clip(said, maxQuote)
}

// minSecretPart is the length from which a part of a URL may be a secret. Shorter ones are words such as "send" or "v2".
const minSecretPart = 8

// secretParts are the texts that must not be shown, whole ones first.
func secretParts(r Robot) []string {
	parts := []string{r.URL.Reveal()}
	if !r.Secret.IsZero() {
		parts = append(parts, r.Secret.Reveal())
	}
	for _, part := range strings.FieldsFunc(r.URL.Reveal(), func(c rune) bool { return strings.ContainsRune("/?&=", c) }) {
		if len(part) >= minSecretPart && part != "https:" {
			parts = append(parts, part)
		}
	}
	return parts
}
