package api

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/wechat"
)

// Problem adds to an error what only its HTTP response needs.
type Problem struct {
	Err     error
	Header  map[string]string
	Members map[string]any // further members of the body
	Quiet   bool           // logged by the handler, not by Serve
}

func (p *Problem) Error() string { return p.Err.Error() }

// Unwrap is the error.
func (p *Problem) Unwrap() error { return p.Err }

// kindInfo is what all problems of one kind have in common.
type kindInfo struct {
	status int
	title  string
}

var kinds = map[fault.Kind]kindInfo{
	fault.InvalidRequest:       {http.StatusBadRequest, "The request can't be used"},
	fault.ConfirmationRequired: {http.StatusBadRequest, "Opening a switch needs a confirmation"},
	fault.BadSignature:         {http.StatusForbidden, "The push is not signed by WeChat"},
	fault.NotGranted:           {http.StatusForbidden, "The account did not grant this"},
	fault.OpeningNotAllowed:    {http.StatusForbidden, "This account's switch may not be opened"},
	fault.NotFound:             {http.StatusNotFound, "There is no such thing"},
	fault.UnknownAccount:       {http.StatusNotFound, "No token is stored for this account"},
	fault.MethodNotAllowed:     {http.StatusMethodNotAllowed, "The method is not for this path"},
	fault.LibraryFull:          {http.StatusConflict, "The template library is full"},
	fault.OpeningUnderWay:      {http.StatusConflict, "The switch is being opened"},
	fault.InterfaceRetired:     {http.StatusGone, "WeChat has retired this interface"},
	fault.TooLarge:             {http.StatusRequestEntityTooLarge, "The body is too large"},
	fault.QuotaExceeded:        {http.StatusTooManyRequests, "WeChat's quota is used up"},
	fault.InternalError:        {http.StatusInternalServerError, "The bundle failed"},
	fault.Misconfigured:        {http.StatusInternalServerError, "The bundle is not set up right"},
	fault.TokenRejected:        {http.StatusBadGateway, "WeChat refuses the stored token"},
	fault.NotWhitelisted:       {http.StatusBadGateway, "WeChat refuses the bundle's address"},
	fault.WeChatUnreachable:    {http.StatusBadGateway, "WeChat can't be reached"},
	fault.BadUpstreamAnswer:    {http.StatusBadGateway, "WeChat's answer can't be used"},
	fault.WeChatBusy:           {http.StatusServiceUnavailable, "WeChat is busy"},
	fault.AWSUnavailable:       {http.StatusServiceUnavailable, "AWS is not available"},
	fault.WeChatTimeout:        {http.StatusGatewayTimeout, "WeChat did not answer in time"},
}

// Status is the HTTP status of a kind of fault.
func Status(kind fault.Kind) int { return kinds[kind].status }

// problem is the response to a request that failed with err.
func problem(r *Request, err error, now time.Time) (*Response, fault.Fault) {
	f := fault.Of(err, now)
	info := kinds[f.Kind]
	body := map[string]any{
		"type": "urn:wechat-draftbox:" + string(f.Kind), "title": info.title, "status": info.status, "detail": f.Detail,
		"instance": r.Path, "request_id": r.ID, "retryable": f.Kind.IsRetryable(), "action": f.Action,
	}
	var refusal *wechat.APIError
	if errors.As(err, &refusal) {
		said := map[string]any{"errcode": refusal.Code, "errmsg": refusal.Message}
		if rid := refusal.RID(); rid != "" {
			said["rid"] = rid
		}
		body["wechat"] = said
		if ip := refusal.EgressIP(); ip != "" {
			body["egress_ip"] = ip
		}
	}
	header := make(map[string]string)
	var more *Problem
	if errors.As(err, &more) {
		maps.Copy(body, more.Members)
		maps.Copy(header, more.Header)
	}
	if f.RetryAfter > 0 {
		header["Retry-After"] = strconv.Itoa(int((f.RetryAfter + time.Second - 1) / time.Second)) // rounded up
	}
	encoded, _ := Encode(body) // texts and numbers always encode
	return &Response{Status: info.status, Header: header, Body: newBody(problemType, encoded)}, f
}
