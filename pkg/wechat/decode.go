package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// fields are the members of a JSON object as WeChat sent it. Of duplicate names the last one counts.
type fields []member

type member struct {
	name  string
	value value
}

// value is a JSON value as WeChat sent it, as bytes and as a string. Both are slices of the whole answer, so that reading a
// long list copies nothing. The zero value is a missing one.
type value struct {
	raw  json.RawMessage
	text string
}

func newValue(raw []byte) value { return value{raw, string(raw)} }

func (v value) part(start, end int) value { return value{v.raw[start:end:end], v.text[start:end]} }

// get is the value of a key.
func (f fields) get(key string) value {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].name == key {
			return f[i].value
		}
	}
	return value{}
}

var errNoObject = errors.New("not a JSON object")

const byteOrderMark = "\ufeff"

// decode decodes an answer regardless of its Content-Type. Real servers send byte order marks, GBK, raw control characters
// in strings, and NULs after the object. Valid JSON in UTF-8 is decoded at the first attempt.
func decode(body []byte) (fields, error) {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	valid := utf8.Valid(body)
	if !valid {
		// Convert before parsing: the second byte of a GBK character can be a backslash.
		body = bytes.TrimPrefix(toUTF8(body), []byte(byteOrderMark)) // GB18030 has a mark of its own
	}
	f, err := decodeObject(newValue(body))
	if err == nil {
		return f, nil
	}
	if f, err = decodeObject(newValue(repair(body))); err == nil || valid {
		return f, err
	}
	// A bad byte may have been the first half of a GBK character whose second half is a backslash.
	repaired := repair(bytes.ReplaceAll(body, []byte("\ufffd\\\""), []byte("\ufffd\\\\\"")))
	return decodeObject(newValue(repaired))
}

func decodeObject(v value) (fields, error) {
	d := newDecoder(v)
	f, err := d.object(nil)
	if err != nil || d.PeekKind() != 0 || d.InputOffset() != int64(len(strings.TrimRight(v.text, " \t\r\n"))) {
		return nil, errNoObject // the decoder's own error quotes the body
	}
	return f, nil
}

// decoder decodes a value without copying it.
type decoder struct {
	*jsontext.Decoder
	whole value
}

func newDecoder(whole value) decoder {
	return decoder{jsontext.NewDecoder(bytes.NewBuffer(whole.raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)), whole}
}

// object appends an object's members to f.
func (d decoder) object(f fields) (fields, error) {
	if d.PeekKind() != '{' {
		return nil, errNoObject
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		quoted, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		name, known := knownNames[string(quoted)] // avoids a copy of each name in a long list
		if !known {
			unquoted, _ := jsontext.AppendUnquote(nil, quoted)
			name = string(unquoted)
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		f = append(f, member{name, v})
	}
	_, err := d.ReadToken()
	return f, err
}

// value reads a value as a slice of the whole.
func (d decoder) value() (value, error) {
	raw, err := d.ReadValue()
	end := int(d.InputOffset())
	return d.whole.part(end-len(raw), end), err
}

// knownNames are the quoted keys of drafts and templates; read-only.
var knownNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range []string{"errcode", "errmsg", "draft_id", "template_id", "template_type", "create_time", "user_version", "user_desc",
		"source_miniprogram_appid", "source_miniprogram", "developer", "category_list"} {
		names[`"`+name+`"`] = name
	}
	return names
}()

// toUTF8 converts text that isn't valid UTF-8. It is GB18030, a superset of GBK, if most of its non-ASCII bytes aren't
// UTF-8 and it decodes as such; otherwise it is UTF-8 with damaged bytes, such as a truncated character.
func toUTF8(body []byte) []byte {
	if seemsGB18030(body) {
		if text, ok := fromGB18030(body); ok {
			return text
		}
	}
	return []byte(string([]rune(string(body)))) // each bad byte becomes U+FFFD
}

// seemsGB18030 reports whether most non-ASCII bytes aren't UTF-8. Half is enough if the rest are two-byte sequences, which
// Chinese characters can be in GBK but not in UTF-8: 项目 and 联通 are such words.
func seemsGB18030(body []byte) bool {
	all, bad, pairsOnly := 0, 0, true
	for rest := body; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r < utf8.RuneSelf:
			continue
		case r == utf8.RuneError && size == 1:
			bad++
		case size > 2:
			pairsOnly = false
		}
		all += size
	}
	return 2*bad > all || 2*bad == all && pairsOnly
}

func fromGB18030(body []byte) (text []byte, ok bool) {
	text, err := simplifiedchinese.GB18030.NewDecoder().Bytes(body)
	if err != nil {
		return nil, false
	}
	// The decoder replaces invalid bytes by U+FFFD, and the invalid byte 80 by a euro sign.
	for decoded, encoded := range map[string]string{"\ufffd": "\x84\x31\xa4\x37", "€": "\xa2\xe3"} {
		if bytes.Count(text, []byte(decoded)) > bytes.Count(body, []byte(encoded)) {
			return nil, false
		}
	}
	return text, true
}

// repair fixes invalid JSON: control characters are escaped in strings and replaced by spaces outside, a backslash that
// escapes nothing is escaped, and anything after the object is cut. A second object is an error: it would be ambiguous
// which one is the answer.
func repair(body []byte) []byte {
	out := make([]byte, 0, len(body)+64)
	depth, inString, escaped := 0, false, false
	for i, b := range body {
		switch {
		case b < 0x20 && inString:
			out = appendControl(out, b, escaped)
			escaped = false
			continue
		case b < 0x20:
			b = ' '
		case escaped:
			if !isEscape(body[i:]) {
				out = append(out, '\\')
			}
			escaped = false
		case b == '"':
			inString = !inString
		case inString:
			escaped = b == '\\'
		case b == '{' || b == '[':
			depth++
		case b == '}' || b == ']':
			if depth--; depth == 0 {
				if bytes.IndexByte(body[i:], '{') >= 0 {
					return nil
				}
				return append(out, b)
			}
		}
		out = append(out, b)
	}
	return out
}

// appendControl appends the escape of a control character. A backslash before it is escaped too.
func appendControl(out []byte, b byte, escaped bool) []byte {
	const hex = "0123456789abcdef"
	if escaped {
		out = append(out, '\\')
	}
	return append(out, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
}

// isEscape reports whether a backslash followed by text is a JSON escape.
func isEscape(text []byte) bool {
	if text[0] != 'u' {
		return strings.IndexByte(`"\/bfnrt`, text[0]) >= 0
	}
	_, ok := hexDigits(text[1:])
	return ok
}

// hexDigits reads the four hexadecimal digits that text begins with.
func hexDigits(text []byte) (n uint64, ok bool) {
	if len(text) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[:4]), 16, 16)
	return n, err == nil
}

// replaceLoneSurrogates replaces escapes of lone surrogates, such as \ud83d, by U+FFFD. encoding/json does so for strings it
// decodes; this is for JSON that is passed through, since strict parsers refuse such escapes.
func replaceLoneSurrogates(raw json.RawMessage) json.RawMessage {
	if !bytes.Contains(raw, []byte(`\u`)) {
		return raw
	}
	out := bytes.Clone(raw)
	for i := 0; i+1 < len(out); i++ {
		if out[i] != '\\' {
			continue
		}
		i++ // to what is escaped
		high, ok := hexDigits(out[i+1:])
		if out[i] != 'u' || !ok || high < 0xd800 || high > 0xdfff {
			continue
		}
		if high < 0xdc00 && bytes.HasPrefix(out[i+5:], []byte(`\u`)) {
			if low, _ := hexDigits(out[i+7:]); low >= 0xdc00 && low <= 0xdfff {
				i += 10
				continue
			}
		}
		copy(out[i+1:], "fffd")
	}
	return out
}

// has reports whether the key exists with a value other than null.
func (f fields) has(key string) bool {
	v := f.get(key)
	return v.text != "" && v.text != "null"
}

// number reads a whole number, also spelled 8.0, 1e3 or "8". ok is false if there is none.
func (f fields) number(key string) (n int64, ok bool) { return numberOf(f.get(key)) }

func numberOf(v value) (n int64, ok bool) {
	text, there := textOf(v)
	if !there {
		return 0, false
	}
	return parseWhole(strings.TrimSpace(text))
}

// parseWhole parses a whole number in any of JSON's spellings, exactly and with any exponent.
func parseWhole(text string) (n int64, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil || strings.ContainsAny(text, "xX_nN") {
		return 0, false // no number, out of range, hexadecimal, or infinite
	}
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[i+1:]); err != nil {
			return 0, false
		}
		mantissa = text[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") || strings.HasPrefix(whole, "+") {
		sign, whole = whole[:1], whole[1:]
	}
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	if trimmed == "" {
		return 0, true
	}
	if exponent < 0 || len(trimmed)+exponent > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(sign+trimmed+strings.Repeat("0", exponent), 10, 64)
	return n, err == nil
}

const (
	millisecondsFrom = 1_000_000_000_000 // the least number of 13 digits
	millisecondsTo   = 9_999_999_999_999
	lastSecond       = 253_402_300_799 // of the year 9999, the last that RFC 3339 can write
)

// unixSeconds reads a time in Unix seconds, or in milliseconds if it has 13 digits. ok is false if there is none.
func (f fields) unixSeconds(key string) (n int64, ok bool) { return unixSecondsOf(f.get(key)) }

func unixSecondsOf(v value) (n int64, ok bool) {
	n, ok = numberOf(v)
	if n >= millisecondsFrom && n <= millisecondsTo {
		n /= 1000
	}
	if !ok || n < 0 || n > lastSecond {
		return 0, false
	}
	return n, true
}

// text reads a string, also one sent as a number. ok is false if there is none.
func (f fields) text(key string) (s string, ok bool) { return textOf(f.get(key)) }

func textOf(v value) (s string, ok bool) {
	if v.text == "" {
		return "", false
	}
	switch c := v.text[0]; {
	case c == '"' && strings.IndexByte(v.text, '\\') < 0:
		return v.text[1 : len(v.text)-1], true
	case c == '"':
		unquoted, _ := jsontext.AppendUnquote(make([]byte, 0, len(v.raw)), v.raw) // the error is about lone surrogates, which became U+FFFD
		return string(unquoted), true
	case c == '-' || c >= '0' && c <= '9':
		return v.text, true
	}
	return "", false
}

// forEach calls read with the members of each entry of an array, or nil for an entry that is no object. The members are valid
// until read returns. An empty object counts as an empty array, as some encoders write it. ok is false for other values.
func (v value) forEach(read func(fields)) (ok bool) {
	if strings.HasPrefix(v.text, "{") {
		members, err := decodeObject(v)
		return err == nil && len(members) == 0
	}
	d := newDecoder(v)
	if _, err := d.ReadToken(); err != nil || !strings.HasPrefix(v.text, "[") {
		return false
	}
	var members fields
	for kind := d.PeekKind(); kind != ']'; kind = d.PeekKind() {
		if kind != '{' {
			if d.SkipValue() != nil {
				return false
			}
			read(nil)
			continue
		}
		var err error
		if members, err = d.object(members[:0]); err != nil {
			return false
		}
		read(members)
	}
	return true
}

// object reads an object, empty if there is none.
func (f fields) object(key string) fields {
	object, _ := decodeObject(f.get(key))
	return object
}
