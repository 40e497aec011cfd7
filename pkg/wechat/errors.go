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

// Caller is whose token or app secret a call took, which decides whose whitelist or app secret an error is about.
type Caller int

// The callers.
const (
	UnknownCaller Caller = iota
	ByPlatform           // the component's token or secret, or an authorizer's token
	ByOwnAccount         // an own account's
)

// SetCaller sets the Caller of the [*APIError] in err, if there is one, for calls that take either an authorizer's token or
// an own account's. It changes err, so only the code that made the call may use it.
func SetCaller(err error, caller Caller) {
	var refusal *APIError
	if errors.As(err, &refusal) {
		refusal.Caller = caller
	}
}

// Info describes the error, by its code and Caller.
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

// handlePatterns match the request ids by which WeChat's support finds a call, the newest form first.
var handlePatterns = []*regexp.Regexp{
	regexp.MustCompile(`\brid: *([0-9A-Za-z-]+)`),
	regexp.MustCompile(`\breq_id: *([^\s\]]+)`),
	regexp.MustCompile(`\bhint: *\[ *([^\s\]]+) *\]`),
}

// RID is the request id by which WeChat's support finds the call, or empty.
func (e *APIError) RID() string {
	for _, pattern := range handlePatterns {
		if m := pattern.FindStringSubmatch(e.Message); m != nil {
			return m[1]
		}
	}
	return ""
}

// EgressIP is the source address of the call, which the message of most whitelist errors names, or empty.
func (e *APIError) EgressIP() string {
	if e.Info().Class != Whitelist {
		return ""
	}
	words := strings.FieldsFunc(e.Message, func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefABCDEF.:", r)
	})
	for _, word := range words {
		// A colon or full stop of the sentence can adjoin the address.
		for _, word := range []string{word, strings.TrimPrefix(word, ":"), strings.TrimRight(word, ".:"), strings.Trim(word, ".:")} {
			if ip, err := netip.ParseAddr(word); err == nil && !ip.IsUnspecified() {
				return ip.Unmap().String()
			}
		}
	}
	return ""
}

// IsRefusedToken reports whether err is WeChat's refusal of the access token. The call had no effect, and can be retried
// with another token.
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

// TransportError is a call without a usable answer. Its text is fixed, because errors of net/http quote URLs and server
// output, both of which can contain tokens.
type TransportError struct {
	Call   string
	Cause  Cause
	Detail string
	Status int  // the HTTP status if it was the reason, else 0
	Sent   bool // WeChat may have acted on the call

	badGateway bool // a gateway answered instead of WeChat; another base URL may work
}

func (f *TransportError) Error() string { return f.Call + ": " + f.Detail }

// IsOutcomeUnknown reports whether WeChat may have performed a write despite err: the answer was lost or unusable.
func IsOutcomeUnknown(err error) bool {
	var failure *TransportError
	if errors.As(err, &failure) {
		return failure.Sent
	}
	return hasClass(err, Busy)
}

// IsRetired reports whether err says that WeChat has removed the draft switch, or the count of drafts that replaces it: by
// an error code, or by HTTP 404 or 410.
func IsRetired(err error) bool {
	var failure *TransportError
	if errors.As(err, &failure) {
		gone := failure.Status == http.StatusNotFound || failure.Status == http.StatusGone
		return gone && (failure.Call == switchPath || failure.Call == draftCountPath)
	}
	return hasClass(err, Retired)
}

// redact removes secrets from a text that WeChat sent, since its messages quote their input.
func redact(text string, secrets []secret.Value) string {
	for _, s := range secrets {
		if !s.IsZero() {
			text = secretPattern(s).ReplaceAllLiteralString(text, "REDACTED")
		}
	}
	return text
}

// secretPattern matches a secret, with any of its characters percent-encoded.
func secretPattern(s secret.Value) *regexp.Regexp {
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

// truncate truncates a text to 2 KB. WeChat's messages have a line or two.
func truncate(text string) string {
	const longest = 2 << 10
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest], "")
}
