package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// fields is a JSON object as WeChat sent it.
type fields map[string]json.RawMessage

var errNoObject = errors.New("not a JSON object")

// decode reads an answer by its bytes, whatever its Content-Type. Real servers send a byte order mark, raw control
// characters inside strings, and text that isn't UTF-8.
func decode(body []byte) (fields, error) {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if !utf8.Valid(body) {
		body = bytes.ToValidUTF8(body, []byte("\ufffd"))
	}
	var f fields
	if err := json.Unmarshal(escapeControls(body), &f); err != nil || f == nil {
		return nil, errNoObject // the decoder's own error quotes the body
	}
	return f, nil
}

// escapeControls escapes raw control characters inside JSON strings, which encoding/json refuses.
func escapeControls(body []byte) []byte {
	const hex = "0123456789abcdef"
	var out []byte // nil as long as nothing had to be escaped, which is nearly always
	inString, escaped := false, false
	for i, b := range body {
		if inString && b < 0x20 {
			if out == nil {
				out = append(make([]byte, 0, len(body)+64), body[:i]...)
			}
			if escaped { // a backslash before a raw control character means nothing: keep both, escaped
				out = append(out, '\\')
			}
			out = append(out, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
			escaped = false
			continue
		}
		switch {
		case escaped:
			escaped = false
		case b == '"':
			inString = !inString
		case inString && b == '\\':
			escaped = true
		}
		if out != nil {
			out = append(out, b)
		}
	}
	if out == nil {
		return body
	}
	return out
}

// has reports whether the key is there with a value other than null.
func (f fields) has(key string) bool {
	raw, there := f[key]
	return there && string(raw) != "null"
}

// number reads a whole number, also one sent as a string. ok is false where there is none.
func (f fields) number(key string) (n int64, ok bool) {
	text, there := f.text(key)
	if !there {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// text reads a string, also one sent as a number. ok is false where there is none.
func (f fields) text(key string) (s string, ok bool) {
	raw := f[key]
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case isPlain(raw):
		return string(raw[1 : len(raw)-1]), true
	case c == '"':
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
		return s, true
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), true
	}
	return "", false
}

// isPlain reports whether raw is a string that stands for itself: reading and writing it is most of the work on a long
// list, and few strings need it.
func isPlain(raw json.RawMessage) bool {
	return raw[0] == '"' && !bytes.ContainsRune(raw, '\\') && utf8.Valid(raw)
}

// list reads an array of objects. ok is false where there is none.
func (f fields) list(key string) (objects []fields, ok bool) {
	raw := f[key]
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &objects) != nil {
		return nil, false
	}
	return objects, true
}

// object reads an object; it is empty where there is none.
func (f fields) object(key string) fields {
	var o fields
	if raw := f[key]; len(raw) > 0 {
		json.Unmarshal(raw, &o)
	}
	return o
}
