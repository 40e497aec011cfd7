// Package fault classifies errors: the kind of fault, whether a retry can help, what to do and who does it. Errors
// classify themselves, see [Faulter]; the API turns a fault into a problem, queues into a retry, events into advice.
package fault

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// Kind is the kind of a fault. A problem's type is urn:wechat-draftbox:KIND.
type Kind string

// The kinds.
const (
	InvalidRequest       Kind = "invalid-request"
	ConfirmationRequired Kind = "confirmation-required"
	BadSignature         Kind = "bad-signature"
	NotGranted           Kind = "not-granted"
	OpeningNotAllowed    Kind = "opening-not-allowed"
	NotFound             Kind = "not-found"
	UnknownAccount       Kind = "unknown-account"
	MethodNotAllowed     Kind = "method-not-allowed"
	LibraryFull          Kind = "library-full"
	OpeningUnderWay      Kind = "opening-under-way"
	InterfaceRetired     Kind = "interface-retired"
	TooLarge             Kind = "too-large"
	QuotaExceeded        Kind = "quota-exceeded"
	InternalError        Kind = "internal-error"
	Misconfigured        Kind = "misconfigured"
	TokenRejected        Kind = "token-rejected"
	NotWhitelisted       Kind = "egress-ip-not-whitelisted"
	WeChatUnreachable    Kind = "wechat-unreachable"
	BadUpstreamAnswer    Kind = "bad-upstream-answer"
	WeChatBusy           Kind = "wechat-busy"
	AWSUnavailable       Kind = "aws-unavailable"
	WeChatTimeout        Kind = "wechat-timeout"
)

// IsRetryable reports whether the same request may succeed later without anybody acting.
func (k Kind) IsRetryable() bool {
	switch k {
	case OpeningUnderWay, QuotaExceeded, TokenRejected, WeChatUnreachable, WeChatBusy, AWSUnavailable, WeChatTimeout:
		return true
	}
	return false
}

// IsServerFault reports whether the bundle itself failed: its code, its settings, or AWS. A deployment that causes such
// failures is rolled back.
func (k Kind) IsServerFault() bool {
	return k == InternalError || k == Misconfigured || k == AWSUnavailable
}

// action is the default advice for a kind.
func (k Kind) action() string {
	switch k {
	case InvalidRequest:
		return "Correct the request."
	case ConfirmationRequired:
		return `Send the account's appid as "confirm" in the body, if the switch is to be opened for good.`
	case BadSignature:
		return "The platform's operator: compare message_token in the platform secret with the platform's settings."
	case OpeningNotAllowed:
		return "The bundle's operator: add the appid to OPENABLE_ACCOUNTS, if its switch is to be opened for good."
	case NotFound:
		return "Check the path."
	case UnknownAccount:
		return "The account's administrator: authorise the platform; the bundle's operator: run import-accounts, or store the account's token."
	case MethodNotAllowed:
		return "Use a method that the header Allow names."
	case OpeningUnderWay:
		return "Check the switch in a minute."
	case InterfaceRetired:
		return "Stop using the switch: drafts are open to all accounts by now."
	case TooLarge:
		return "Send less."
	case WeChatUnreachable:
		return "The bundle's operator: check the functions' way to the internet (subnets, NAT gateway) and WECHAT_API_BASE_URL."
	case BadUpstreamAnswer:
		return "Try again later; if it stays, ask the bundle's operator."
	case AWSUnavailable, WeChatTimeout:
		return "Try again in a moment."
	}
	return "Ask the bundle's operator; the log has more under the request id."
}

// Fault is what an error means.
type Fault struct {
	Kind       Kind
	Detail     string
	Action     string        // what to do, and who does it
	RetryAfter time.Duration // 0: not known
}

// Faulter is an error that classifies itself. now is needed for faults that last until a time of day.
type Faulter interface {
	error
	Fault(now time.Time) Fault
}

// Of classifies an error. Unknown errors are internal errors, and their text is not shown to callers.
func Of(err error, now time.Time) Fault {
	f := Fault{Kind: InternalError, Detail: "an unexpected error; the log has it under the request id"}
	var faulter Faulter
	switch {
	case errors.As(err, &faulter):
		f = faulter.Fault(now)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f = Fault{Kind: WeChatTimeout, Detail: "the time ran out while waiting for WeChat"}
	}
	f.Action = cmp.Or(f.Action, f.Kind.action())
	return f
}

// Error is a fault as an error, for faults that a use case detects itself.
type Error struct {
	Meaning Fault
	Cause   error // nil: none
}

// New makes an error from a kind and a detail.
func New(kind Kind, detail string) *Error { return &Error{Meaning: Fault{Kind: kind, Detail: detail}} }

// Invalid is the error of a path, query or body that can't be used.
func Invalid(detail string) *Error { return New(InvalidRequest, detail) }

// WithAction replaces the default advice of the error's kind.
func (e *Error) WithAction(action string) *Error {
	e.Meaning.Action = action
	return e
}

func (e *Error) Error() string { return string(e.Meaning.Kind) + ": " + e.Meaning.Detail }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Fault implements [Faulter].
func (e *Error) Fault(time.Time) Fault { return e.Meaning }

// Explain wraps err with the same meaning and another detail.
func Explain(err error, now time.Time, detail string) *Error {
	meaning := Of(err, now)
	meaning.Detail = detail
	return &Error{Meaning: meaning, Cause: err}
}
