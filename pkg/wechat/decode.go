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

// fields are the members of a JSON object as WeChat sent it. Of equal names the last one counts.
type fields []member

type member struct {
	name  string
	value value
}

// value is a JSON value as WeChat sent it, in bytes and as a string. Both are parts of the whole answer, so that reading a
// long list copies nothing. The zero value is one that isn't there.
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

// decode reads an answer by its bytes, whatever its Content-Type. Real servers send a byte order mark, GBK, raw control
// characters inside strings, and NULs behind the object. Good JSON in UTF-8 is read at the first attempt.
func decode(body []byte) (fields, error) {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	valid := utf8.Valid(body)
	if !valid {
		// Before any look at the JSON: the second byte of a GBK character can be a backslash.
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

// decoder takes a value apart without copying it.
type decoder struct {
	*jsontext.Decoder
	whole value
}

func newDecoder(whole value) decoder {
	return decoder{jsontext.NewDecoder(bytes.NewBuffer(whole.raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)), whole}
}

// object reads an object's members behind those in f.
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
		name, known := knownNames[string(quoted)] // so that a long list doesn't copy the same names over and over
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

// value reads a value as a part of the whole.
func (d decoder) value() (value, error) {
	raw, err := d.ReadValue()
	end := int(d.InputOffset())
	return d.whole.part(end-len(raw), end), err
}

// knownNames are the keys of drafts and templates in quotes; never written to.
var knownNames = func() map[string]string {
	names := make(map[string]string)
	for _, name := range []string{"errcode", "errmsg", "draft_id", "template_id", "template_type", "create_time", "user_version", "user_desc",
		"source_miniprogram_appid", "source_miniprogram", "developer", "category_list"} {
		names[`"`+name+`"`] = name
	}
	return names
}()

// toUTF8 reads text that isn't UTF-8 as GB18030, which GBK is a part of, where that explains most of its bytes outside
// ASCII and all of the text. Otherwise the text is UTF-8 with some bytes damaged, such as a character that was cut off.
func toUTF8(body []byte) []byte {
	if seemsGB18030(body) {
		if text, ok := fromGB18030(body); ok {
			return text
		}
	}
	return []byte(string([]rune(string(body)))) // each bad byte becomes U+FFFD
}

// seemsGB18030 reports whether most of the bytes outside ASCII are no UTF-8. Half of them is enough where the others
// are pairs, which many Chinese characters are in GBK and none is in UTF-8: 项目 and 联通 are such words.
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
	// The decoder puts U+FFFD in place of what is no GB18030, and takes the byte 80, which is none, for a euro sign.
	for decoded, encoded := range map[string]string{"\ufffd": "\x84\x31\xa4\x37", "€": "\xa2\xe3"} {
		if bytes.Count(text, []byte(decoded)) > bytes.Count(body, []byte(encoded)) {
			return nil, false
		}
	}
	return text, true
}

// repair mends JSON that encoding/json refuses: control characters are escaped inside strings and blanked outside, a
// backslash that escapes nothing stands for itself, and what follows the object is cut. What follows may not be another
// object: nobody could tell which of the two is the answer.
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

// appendControl appends the escape of a control character. A backslash before it means nothing, and is kept.
func appendControl(out []byte, b byte, escaped bool) []byte {
	const hex = "0123456789abcdef"
	if escaped {
		out = append(out, '\\')
	}
	return append(out, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
}

// isEscape reports whether text, which stands behind a backslash, makes that an escape of JSON.
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

// replaceLoneSurrogates puts U+FFFD in place of escapes such as \ud83d that are half a character. encoding/json does so
// for the strings it decodes; this is for JSON that is passed on as it came, since strict readers refuse such escapes.
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

// has reports whether the key is there with a value other than null.
func (f fields) has(key string) bool {
	v := f.get(key)
	return v.text != "" && v.text != "null"
}

// number reads a whole number, also one spelled 8.0, 1e3 or "8". ok is false where there is none.
func (f fields) number(key string) (n int64, ok bool) { return numberOf(f.get(key)) }

func numberOf(v value) (n int64, ok bool) {
	text, there := textOf(v)
	if !there {
		return 0, false
	}
	return parseWhole(strings.TrimSpace(text))
}

// parseWhole reads a whole number in any of JSON's spellings, exactly, and however large its exponent is.
func parseWhole(text string) (n int64, ok bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil || strings.ContainsAny(text, "xX_nN") {
		return 0, false // no number at all, one past all bounds, hexadecimal, or infinite
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

// unixSeconds reads a time in Unix seconds, or in milliseconds, which have 13 digits. ok is false where there is none.
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

// text reads a string, also one sent as a number. ok is false where there is none.
func (f fields) text(key string) (s string, ok bool) { return textOf(f.get(key)) }

func textOf(v value) (s string, ok bool) {
	if v.text == "" {
		return "", false
	}
	switch c := v.text[0]; {
	case c == '"' && strings.IndexByte(v.text, '\\') < 0:
		return v.text[1 : len(v.text)-1], true
	case c == '"':
		unquoted, _ := jsontext.AppendUnquote(make([]byte, 0, len(v.raw)), v.raw) // its error is about half characters, which became U+FFFD
		return string(unquoted), true
	case c == '-' || c >= '0' && c <= '9':
		return v.text, true
	}
	return "", false
}

// forEach calls read with each entry of an array: its members, which are read's until it returns, or nil for what is no
// object. An empty object stands for an empty array, as some encoders write it. ok is false where there is neither.
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

// object reads an object; it is empty where there is none.
func (f fields) object(key string) fields {
	object, _ := decodeObject(f.get(key))
	return object
}
