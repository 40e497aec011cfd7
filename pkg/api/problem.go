package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Problem is an answer that says what went wrong, by RFC 9457. It is an error, so that handlers return it as one.
type Problem struct {
	Slug   string // the type is urn:wechat-draftbox:SLUG
	Detail string
	Action string            // what to do, and who
	Header map[string]string // beside the answer's own

	RetryAfter time.Duration // 0: not said
	WeChat     *wechat.Error // what WeChat said, if it was WeChat
	Library    *Library      // how full the template library is, if that was it
}

// Library is how full the template library is.
type Library struct{ Size, Limit int }

func (p *Problem) Error() string { return p.Slug + ": " + p.Detail }

// InvalidRequest is the problem of a path, query or body that can't be used.
func InvalidRequest(detail string) *Problem { return &Problem{Slug: "invalid-request", Detail: detail} }

// slug is what all problems of one type have in common.
type slug struct {
	status    int
	title     string
	retryable bool
	action    string // where the problem has none of its own
}

const askOperator = "Ask the bundle's operator; the log has more under the request id."

var slugs = map[string]slug{
	"invalid-request":           {400, "The request can't be used", false, "Correct the request."},
	"confirmation-required":     {400, "Opening a switch needs a confirmation", false, `Send the account's appid as "confirm" in the body, if the switch is to be opened for good.`},
	"bad-signature":             {403, "The push is not signed by WeChat", false, "The platform's operator: compare message_token in the platform secret with the platform's settings."},
	"not-granted":               {403, "The account did not grant this", false, ""},
	"opening-not-allowed":       {403, "This account's switch may not be opened", false, "The bundle's operator: add the appid to OPENABLE_ACCOUNTS, if its switch is to be opened for good."},
	"not-found":                 {404, "There is no such thing", false, "Check the path."},
	"unknown-account":           {404, "No token is stored for this account", false, "The account's administrator: authorise the platform; the bundle's operator: run import-accounts, or store the account's token."},
	"method-not-allowed":        {405, "The method is not for this path", false, "Use a method that the header Allow names."},
	"library-full":              {409, "The template library is full", false, ""},
	"opening-under-way":         {409, "The switch is being opened", true, "Check the state of the switch in a minute."},
	"interface-retired":         {410, "WeChat has retired this interface", false, "Stop using the switch: drafts are open to all accounts by now."},
	"too-large":                 {413, "The body is too large", false, "Send less."},
	"quota-exceeded":            {429, "WeChat's quota is used up", true, ""},
	"internal-error":            {500, "The bundle failed", false, askOperator},
	"misconfigured":             {500, "The bundle is not set up right", false, askOperator},
	"token-rejected":            {502, "WeChat refuses the stored token", true, ""},
	"egress-ip-not-whitelisted": {502, "WeChat refuses the bundle's address", false, ""},
	"wechat-unreachable":        {502, "WeChat can't be reached", true, "The bundle's operator: check the functions' way to the internet (subnets, NAT gateway) and WECHAT_API_BASE_URL."},
	"bad-upstream-answer":       {502, "WeChat's answer can't be used", false, "Try again later; if it stays, ask the bundle's operator."},
	"wechat-busy":               {503, "WeChat is busy", true, ""},
	"aws-unavailable":           {503, "AWS is not available", true, "Try again in a moment."},
	"wechat-timeout":            {504, "WeChat did not answer in time", true, "Try again in a moment."},
}

var slugOfClass = map[wechat.Class]string{
	wechat.Other:         "bad-upstream-answer",
	wechat.Busy:          "wechat-busy",
	wechat.TokenRefused:  "token-rejected",
	wechat.NotGranted:    "not-granted",
	wechat.Misconfigured: "misconfigured",
	wechat.Whitelist:     "egress-ip-not-whitelisted",
	wechat.DayQuota:      "quota-exceeded",
	wechat.MinuteQuota:   "quota-exceeded",
	wechat.NotFound:      "not-found",
	wechat.LibraryFull:   "library-full",
	wechat.Retired:       "interface-retired",
}

// Status is the problem's HTTP status.
func (p *Problem) Status() int { return slugs[p.Slug].status }

// Retryable reports whether the same request may go well later without anybody acting.
func (p *Problem) Retryable() bool { return slugs[p.Slug].retryable }

// Advice is what to do, and who.
func (p *Problem) Advice() string { return first(p.Action, slugs[p.Slug].action) }

// ProblemOf makes a problem of any error. now is for the wait until a quota is renewed.
func ProblemOf(err error, now time.Time) *Problem {
	var problem *Problem
	var refusal *wechat.Error
	var failure *wechat.Failure
	var unknown *token.UnknownAccount
	var expired *token.Expired
	var malformed *awserror.Malformed
	var aws *awserror.Error
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &refusal):
		problem = refused(refusal, now)
		if errors.As(err, &expired) {
			problem.Detail = expired.Error()
		}
		return problem
	case errors.As(err, &failure):
		return failed(failure)
	case errors.As(err, &unknown):
		return &Problem{Slug: "unknown-account", Detail: unknown.Error()}
	case errors.As(err, &malformed):
		return &Problem{Slug: "misconfigured", Detail: malformed.Error(),
			Action: "The bundle's operator: correct what stands in " + malformed.Resource + "."}
	case errors.As(err, &aws):
		return unavailable(aws)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Problem{Slug: "wechat-timeout", Detail: "the time ran out while waiting for WeChat"}
	}
	return &Problem{Slug: "internal-error", Detail: "an unexpected error; the log has it under the request id"}
}

func refused(e *wechat.Error, now time.Time) *Problem {
	known := e.Known()
	p := &Problem{Slug: slugOfClass[known.Class], WeChat: e, Action: fmt.Sprintf("%s (Who acts: %s.)", known.Action, known.Acts)}
	p.Detail = fmt.Sprintf("WeChat refused %s with errcode %d", e.Call, e.Code)
	if known.Meaning != "" {
		p.Detail += " (" + known.Meaning + ")"
	}
	switch known.Class {
	case wechat.Busy:
		p.RetryAfter = 5 * time.Second
	case wechat.MinuteQuota:
		p.RetryAfter = time.Minute
	case wechat.DayQuota:
		p.RetryAfter = untilMidnightInBeijing(now)
	}
	return p
}

// untilMidnightInBeijing is when WeChat's daily quotas start anew.
func untilMidnightInBeijing(now time.Time) time.Duration {
	beijing := now.In(time.FixedZone("Beijing", 8*60*60))
	year, month, day := beijing.Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, beijing.Location()).Sub(beijing)
}

func failed(f *wechat.Failure) *Problem {
	p := &Problem{Detail: f.Error()}
	switch {
	case wechat.IsRetired(f):
		p.Slug = "interface-retired"
	case f.Cause == wechat.TimedOut:
		p.Slug = "wechat-timeout"
	case f.Cause == wechat.Unreachable:
		p.Slug = "wechat-unreachable"
	default:
		p.Slug = "bad-upstream-answer"
	}
	return p
}

func unavailable(e *awserror.Error) *Problem {
	switch e.Kind {
	case awserror.Unavailable, awserror.Conflict:
		return &Problem{Slug: "aws-unavailable", Detail: e.Error()}
	case awserror.NotFound:
		return &Problem{Slug: "misconfigured", Detail: e.Error(), Action: "The bundle's operator: create " + e.Resource + "."}
	}
	return &Problem{Slug: "misconfigured", Detail: e.Error(),
		Action: "The bundle's operator: let the function's role use " + e.Resource + " and the key that encrypts it."}
}

// body is the problem as the caller sees it.
type body struct {
	Type      string      `json:"type"`
	Title     string      `json:"title"`
	Status    int         `json:"status"`
	Detail    string      `json:"detail"`
	Instance  string      `json:"instance"`
	RequestID string      `json:"request_id"`
	Retryable bool        `json:"retryable"`
	WeChat    *weChatSaid `json:"wechat,omitempty"`
	EgressIP  string      `json:"egress_ip,omitempty"`
	Action    string      `json:"action"`
	Size      *int        `json:"size,omitempty"`
	Limit     *int        `json:"limit,omitempty"`
}

type weChatSaid struct {
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
	RID     string `json:"rid,omitempty"`
}

func (p *Problem) answer(r *Request) *Answer {
	kind := slugs[p.Slug]
	b := body{
		Type: "urn:wechat-draftbox:" + p.Slug, Title: kind.title, Status: kind.status, Detail: p.Detail,
		Instance: r.Path, RequestID: r.ID, Retryable: p.Retryable(), Action: p.Advice(),
	}
	if p.WeChat != nil {
		b.WeChat = &weChatSaid{p.WeChat.Code, p.WeChat.Message, p.WeChat.RID()}
		b.EgressIP = p.WeChat.EgressIP()
	}
	if p.Library != nil {
		b.Size, b.Limit = &p.Library.Size, &p.Library.Limit
	}
	header := map[string]string{"Content-Type": "application/problem+json"}
	maps.Copy(header, p.Header)
	if p.RetryAfter > 0 {
		// Rounded up: a second too early is a second too early.
		header["Retry-After"] = strconv.Itoa(int((p.RetryAfter + time.Second - 1) / time.Second))
	}
	return &Answer{Status: kind.status, Header: header, Body: b}
}

// NotFound is the problem of a draft or template that isn't there.
func NotFound(detail string) *Problem { return &Problem{Slug: "not-found", Detail: detail} }
