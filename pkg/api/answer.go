package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wechat-draftbox/pkg/plainjson"
)

// Answer is what a route's handler answers.
type Answer struct {
	Status int               // 0 is 200
	Header map[string]string // beside Content-Type, Cache-Control and X-Request-Id
	// Body is encoded as JSON; a string is sent as text/plain, nil as nothing.
	Body any

	// Cache, where the answer may be cached, holds what it depends on.
	Cache *Cache
}

// Cache says for how long an answer may be kept by its caller, and makes its ETag.
type Cache struct {
	MaxAge  time.Duration // 0: it may be kept, but asked for each time
	Content []byte        // the body without what changes with each fetch
}

// etag is a hash of the content and the query.
func (c *Cache) etag(r *Request) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", r.Query.Encode())
	sum.Write(c.Content)
	return `"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
}

// matches implements If-None-Match: weak comparison, a list, or *.
func matches(ifNoneMatch, etag string) bool {
	for one := range strings.SplitSeq(ifNoneMatch, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == etag || one == "*" {
			return true
		}
	}
	return false
}

// reply is an answer in the form of payload formats 1.0 and 2.0.
type reply struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// reply encodes the answer to r.
func (a *Answer) reply(r *Request) (*reply, error) {
	out := &reply{StatusCode: a.Status, Headers: map[string]string{
		"X-Request-Id":  r.ID,
		"Cache-Control": "no-store",
	}}
	if out.StatusCode == 0 {
		out.StatusCode = http.StatusOK
	}
	for name, value := range a.Header {
		out.Headers[name] = value
	}
	if a.Cache != nil {
		etag := a.Cache.etag(r)
		out.Headers["ETag"] = etag
		out.Headers["Cache-Control"] = "private, no-cache"
		if seconds := int(a.Cache.MaxAge / time.Second); seconds > 0 {
			out.Headers["Cache-Control"] = fmt.Sprintf("private, max-age=%d", seconds)
		}
		if matches(r.Header["if-none-match"], etag) {
			out.StatusCode = http.StatusNotModified
			return out, nil
		}
	}
	switch body := a.Body.(type) {
	case nil:
	case string:
		out.Body = body
		out.Headers["Content-Type"] = "text/plain"
	default:
		encoded, err := plainjson.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode the answer: %w", err)
		}
		out.Body = string(encoded)
		if _, set := out.Headers["Content-Type"]; !set {
			out.Headers["Content-Type"] = "application/json; charset=utf-8"
		}
	}
	return out, nil
}
