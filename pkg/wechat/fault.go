package wechat

import (
	"fmt"
	"time"

	"wechat-draftbox/pkg/fault"
)

var kindOfClass = map[Class]fault.Kind{
	Other:         fault.BadUpstreamAnswer,
	Busy:          fault.WeChatBusy,
	TokenRefused:  fault.TokenRejected,
	NotGranted:    fault.NotGranted,
	Misconfigured: fault.Misconfigured,
	Whitelist:     fault.NotWhitelisted,
	DayQuota:      fault.QuotaExceeded,
	MinuteQuota:   fault.QuotaExceeded,
	NotFound:      fault.NotFound,
	LibraryFull:   fault.LibraryFull,
	Retired:       fault.InterfaceRetired,
}

// Fault implements [fault.Faulter].
func (e *APIError) Fault(now time.Time) fault.Fault {
	known := e.Info()
	f := fault.Fault{
		Kind:       kindOfClass[known.Class],
		Detail:     fmt.Sprintf("WeChat refused %s with errcode %d", e.Call, e.Code),
		Action:     fmt.Sprintf("%s (Who acts: %s.)", known.Action, known.Owner),
		RetryAfter: e.RetryAfter(now),
	}
	if known.Meaning != "" {
		f.Detail += " (" + known.Meaning + ")"
	}
	return f
}

// RetryAfter is how long WeChat will keep refusing for this reason; 0: not known.
func (e *APIError) RetryAfter(now time.Time) time.Duration {
	switch e.Info().Class {
	case Busy:
		return 5 * time.Second
	case MinuteQuota:
		return time.Minute
	case DayQuota:
		return untilMidnightInBeijing(now)
	}
	return 0
}

// untilMidnightInBeijing is the time until WeChat's daily quotas are reset.
func untilMidnightInBeijing(now time.Time) time.Duration {
	beijing := now.In(time.FixedZone("Beijing", 8*60*60))
	year, month, day := beijing.Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, beijing.Location()).Sub(beijing)
}

// Fault implements [fault.Faulter].
func (f *TransportError) Fault(time.Time) fault.Fault {
	meaning := fault.Fault{Kind: fault.BadUpstreamAnswer, Detail: f.Error()}
	switch {
	case IsRetired(f):
		meaning.Kind = fault.InterfaceRetired
	case f.Cause == TimedOut:
		meaning.Kind = fault.WeChatTimeout
	case f.Cause == Unreachable:
		meaning.Kind = fault.WeChatUnreachable
	}
	return meaning
}
