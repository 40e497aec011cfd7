// Package secret holds values that must never be shown: access tokens, refresh tokens, tickets, app secrets,
// AES keys, authorization codes.
package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "REDACTED"

// Value is a secret text. However it is printed, logged or encoded, it shows as REDACTED; only [Value.Reveal]
// returns the text, so that every such place can be found by that name. The zero Value is empty.
//
// Compare Values with [Value.Equal]: == would compare identities.
type Value struct {
	// A pointer, because fmt prints the unexported fields of a struct that holds a Value without asking
	// Format; it then shows an address.
	text *string
}

// New makes a secret of text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{&text}
}

// Reveal returns the text itself, for a request to WeChat, AWS or a robot and nothing else.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether there is no text.
func (v Value) IsZero() bool { return v.text == nil }

// Equal reports whether both hold the same text, in constant time.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare([]byte(v.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements [fmt.Formatter] for every verb, %#v and %d included.
func (v Value) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String implements [fmt.Stringer] for callers outside fmt.
func (v Value) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which JSON and XML use too.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
