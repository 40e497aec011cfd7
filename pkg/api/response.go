package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wechat-draftbox/pkg/wechat"
)

const (
	jsonType    = "application/json; charset=utf-8"
	problemType = "application/problem+json"
	// compressFrom is the size in bytes from which a body is compressed for callers that accept it.
	compressFrom = 16 << 10
)

// Response is a handler's response.
type Response struct {
	Status int               // 0 is 200
	Header map[string]string // beside those derived from the fields below
	Body   *Body             // nil: none
	Cache  *Cache            // nil: it may not be cached
}

// Cache says how an answer may be cached.
type Cache struct {
	MaxAge time.Duration // 0: a cache has to revalidate each time
	Age    time.Duration // since WeChat was asked
	HasAge bool
}

// Body is an encoded body with the forms in which it is sent. It is reusable and safe for concurrent use.
type Body struct {
	contentType string
	plain       []byte
	etag        string

	quoting    sync.Once
	quoted     []byte        // as a JSON string; a slice of the first response that contained it
	compressed func() []byte // gzip, in base64, as a JSON string
}

func newBody(contentType string, plain []byte) *Body {
	return &Body{contentType: contentType, plain: plain, compressed: sync.OnceValue(func() []byte { return compress(plain) })}
}

// appendQuoted appends the body as a JSON string.
func (b *Body) appendQuoted(out []byte) []byte {
	done := false
	b.quoting.Do(func() {
		out = slices.Grow(out, len(b.plain)+len(b.plain)/4+8) // with room for escapes
		start := len(out)
		out, _ = jsontext.AppendQuote(out, b.plain) // what isn't UTF-8 becomes U+FFFD
		b.quoted = out[start:len(out):len(out)]
		done = true
	})
	if done {
		return out
	}
	return append(out, b.quoted...)
}

// Size is the uncompressed size in bytes.
func (b *Body) Size() int { return len(b.plain) }

// Text is a body of plain text.
func Text(text string) *Body { return newBody("text/plain", []byte(text)) }

// JSON encodes v as a JSON body.
func JSON(v any) (*Body, error) {
	encoded, err := Encode(v)
	if err != nil {
		return nil, err
	}
	return newBody(jsonType, encoded), nil
}

// Tagged is a cacheable JSON body. Its ETag hashes the request's query and content, which is the body without what
// changes with each fetch.
func Tagged(r *Request, encoded, content []byte) *Body {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", r.Query.Encode())
	sum.Write(content)
	b := newBody(jsonType, encoded)
	b.etag = `"` + hex.EncodeToString(sum.Sum(nil)[:16]) + `"`
	return b
}

// Encode encodes v as JSON.
func Encode(v any) ([]byte, error) {
	encoded, err := wechat.EncodeJSON(v)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return encoded, nil
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

// encode writes the response to r in the form of payload formats 1.0 and 2.0.
func (a *Response) encode(r *Request) []byte {
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	header := map[string]string{"X-Request-Id": r.ID, "Cache-Control": "no-store"}
	for name, value := range a.Header {
		header[name] = value
	}
	body := a.Body
	if a.Cache != nil {
		a.Cache.addTo(header)
		if body != nil && body.etag != "" {
			header["ETag"] = body.etag
			if matches(r.Header["if-none-match"], body.etag) {
				status = http.StatusNotModified
			}
		}
	}
	compressed := false
	if body != nil {
		varies := status < http.StatusBadRequest && len(body.plain) >= compressFrom
		if varies {
			header["Vary"] = "Accept-Encoding"
		}
		if status == http.StatusNotModified {
			body = nil
		} else {
			header["Content-Type"] = body.contentType
			if compressed = varies && acceptsGzip(r.Header["accept-encoding"]); compressed {
				header["Content-Encoding"] = "gzip"
			}
		}
	}
	return gatewayResponse(status, header, body, compressed)
}

func (c *Cache) addTo(header map[string]string) {
	header["Cache-Control"] = "private, no-cache"
	if seconds := int(c.MaxAge / time.Second); seconds > 0 {
		header["Cache-Control"] = fmt.Sprintf("private, max-age=%d", seconds)
	}
	if c.HasAge {
		header["Age"] = strconv.Itoa(int(max(c.Age, 0) / time.Second))
	}
}

// gatewayResponse encodes by hand, with the body last, so that the large body is copied only once.
func gatewayResponse(status int, header map[string]string, body *Body, compressed bool) []byte {
	out := make([]byte, 0, 512)
	out = append(out, `{"statusCode":`...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, `,"headers":`...)
	separator := byte('{')
	for name, value := range header {
		out = appendString(append(out, separator), name)
		out = appendString(append(out, ':'), value)
		separator = ','
	}
	out = append(out, `},"isBase64Encoded":`...)
	out = strconv.AppendBool(out, compressed)
	out = append(out, `,"body":`...)
	switch {
	case body == nil:
		out = append(out, `""`...)
	case compressed:
		out = append(out, body.compressed()...)
	default:
		out = body.appendQuoted(out)
	}
	return append(out, '}')
}

// appendString appends text as a JSON string.
func appendString(out []byte, text string) []byte {
	out, _ = jsontext.AppendQuote(out, text) // what isn't UTF-8 becomes U+FFFD
	return out
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(plain) // a bytes.Buffer never fails
	w.Close()
	quoted := make([]byte, 0, base64.StdEncoding.EncodedLen(b.Len())+2)
	quoted = base64.StdEncoding.AppendEncode(append(quoted, '"'), b.Bytes())
	return append(quoted, '"')
}

// acceptsGzip parses Accept-Encoding.
func acceptsGzip(header string) bool {
	wildcard := false
	for one := range strings.SplitSeq(header, ",") {
		coding, parameters, _ := strings.Cut(one, ";")
		weight := strings.ReplaceAll(strings.ToLower(parameters), " ", "")
		accepted := true
		if q, ok := strings.CutPrefix(weight, "q="); ok {
			value, err := strconv.ParseFloat(q, 64)
			accepted = err == nil && value > 0
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return accepted
		case "*":
			wildcard = accepted
		}
	}
	return wildcard
}
