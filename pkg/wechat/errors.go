package wechat

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"wechat-draftbox/pkg/secret"
)

// APIError is WeChat's refusal of a call: an answer whose errcode is not 0.
type APIError struct {
	Call    string // as in /cgi-bin/draft/switch
	Code    int
	Message string // errmsg, at most 2 KB of it, without secrets of the request
	Caller  Caller // whose token or app secret the call took; see [SetCaller]

	unpublished bool // WeChat refuses the platform because it isn't published
}

func (e *APIError) Error() string {
	return fmt.Sprintf("%s: errcode %d: %s", e.Call, e.Code, e.Message)
}

// Caller says whose token or app secret a call took. Whose whitelist and app secret it is about follows from that.
type Caller int

// The callers.
const (
	UnknownCaller Caller = iota
	ByPlatform           // the component's token or secret, or an authorizer's token
	ByOwnAccount         // an own account's
)

// SetCaller notes on WeChat's refusal in err, if it is one, whose token the call took. Calls that take either an
// authorizer's token or an own account's leave that to their caller. Only who made the call may use it: err is changed.
func SetCaller(err error, caller Caller) {
	var refusal *APIError
	if errors.As(err, &refusal) {
		refusal.Caller = caller
	}
}

// Info is what is known of the error: from the code table, and from whose token the call took.
func (e *APIError) Info() Code {
	known := Lookup(e.Code)
	switch {
	case e.unpublished:
		known.Meaning, known.Action = codeUnpublished.Meaning, codeUnpublished.Action
	case e.Caller == ByOwnAccount && known.namesWhitelist():
		known.Meaning, known.Owner, known.Action = "account whitelist", AccountAdministrator, addToAccountWhitelist
	case e.Caller == ByPlatform && known.namesWhitelist():
		known.Meaning, known.Owner, known.Action = "platform whitelist", PlatformOperator, addToPlatformWhitelist
	case e.Caller == ByOwnAccount && e.Code == codeFrozenSecret:
		known.Owner, known.Action = AccountAdministrator, unfreezeAccountSecret
	case e.Caller == ByPlatform && e.Code == codeFrozenSecret:
		known.Action = unfreezePlatformSecret
	case e.Caller == ByOwnAccount && e.Code == codeWrongSecret:
		known.Action = replaceAccountSecret
	}
	return known
}

// handlePatterns match the handles under which WeChat's support finds a call, the newest form first.
var handlePatterns = []*regexp.Regexp{
	regexp.MustCompile(`\brid: *([0-9A-Za-z-]+)`),
	regexp.MustCompile(`\breq_id: *([^\s\]]+)`),
	regexp.MustCompile(`\bhint: *\[ *([^\s\]]+) *\]`),
}

// RID is the handle under which WeChat's support finds the call, or empty.
func (e *APIError) RID() string {
	for _, pattern := range handlePatterns {
		if m := pattern.FindStringSubmatch(e.Message); m != nil {
			return m[1]
		}
	}
	return ""
}

// EgressIP is the address that the call came from, which the message of a whitelist error mostly names, or empty.
func (e *APIError) EgressIP() string {
	if e.Info().Class != Whitelist {
		return ""
	}
	words := strings.FieldsFunc(e.Message, func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefABCDEF.:", r)
	})
	for _, word := range words {
		// Beside an address there can be the colon or the full stop of the sentence.
		for _, word := range []string{word, strings.TrimPrefix(word, ":"), strings.TrimRight(word, ".:"), strings.Trim(word, ".:")} {
			if ip, err := netip.ParseAddr(word); err == nil && !ip.IsUnspecified() {
				return ip.Unmap().String()
			}
		}
	}
	return ""
}

// IsRefusedToken reports whether err is WeChat's refusal of the access token. Then WeChat did nothing, and the
// same call may be sent again with another token.
func IsRefusedToken(err error) bool { return hasClass(err, TokenRefused) }

func hasClass(err error, class Class) bool {
	var refusal *APIError
	return errors.As(err, &refusal) && refusal.Info().Class == class
}

// Cause says why there is no usable answer.
type Cause int

// The causes of a [TransportError].
const (
	Unreachable Cause = iota // the connection was refused or reset, or the name did not resolve
	TimedOut
	Unusable // HTTP status outside 200, no JSON, cut short, too large, or without what was asked for
)

// String is the cause as metrics name it.
func (c Cause) String() string { return [...]string{"unreachable", "timed-out", "unusable"}[c] }

// TransportError is a call that got no usable answer. Its text is made of fixed words, because the errors of net/http
// quote URLs and servers' bytes, and tokens stand in both.
type TransportError struct {
	Call   string
	Cause  Cause
	Detail string
	Status int  // the HTTP status if it was the reason, else 0
	Sent   bool // WeChat may have acted on the call

	badGateway bool // the base URL answered for WeChat, which another one may still reach
}

func (f *TransportError) Error() string { return f.Call + ": " + f.Detail }

// IsOutcomeUnknown reports whether err leaves open if WeChat acted on a write: the answer was lost on its way, or was none.
func IsOutcomeUnknown(err error) bool {
	var failure *TransportError
	if errors.As(err, &failure) {
		return failure.Sent
	}
	return hasClass(err, Busy)
}

// IsRetired reports whether err says that WeChat has taken the draft switch, or the count of drafts that stands in for
// it, away: by an error code, or because nothing is left at its address.
func IsRetired(err error) bool {
	var failure *TransportError
	if errors.As(err, &failure) {
		gone := failure.Status == http.StatusNotFound || failure.Status == http.StatusGone
		return gone && (failure.Call == switchPath || failure.Call == draftCountPath)
	}
	return hasClass(err, Retired)
}

// redact cuts secrets out of a text that WeChat sent: its messages quote what they complain of.
func redact(text string, secrets []secret.Value) string {
	for _, s := range secrets {
		if !s.IsZero() {
			text = anyForm(s).ReplaceAllLiteralString(text, "REDACTED")
		}
	}
	return text
}

// anyForm matches a secret as it is, and with any of its characters percent-encoded.
func anyForm(s secret.Value) *regexp.Regexp {
	var pattern strings.Builder
	for _, r := range s.Reveal() {
		fmt.Fprintf(&pattern, "(?:%s|(?i:", regexp.QuoteMeta(string(r)))
		for _, b := range []byte(string(r)) {
			fmt.Fprintf(&pattern, "%%%02x", b)
		}
		pattern.WriteString(")")
		if r == ' ' {
			pattern.WriteString(`|\+`)
		}
		pattern.WriteString(")")
	}
	return regexp.MustCompile(pattern.String())
}

// truncate cuts a text to 2 KB. WeChat's messages have a line or two; an answer that holds more than that is no
// message.
func truncate(text string) string {
	const longest = 2 << 10
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "")
}
