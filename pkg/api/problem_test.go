package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const switchCall = "/cgi-bin/draft/switch"

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	type want struct {
		slug   string
		status int
	}
	cases := map[error]want{
		&wechat.TransportError{Cause: wechat.Unreachable}:                             {"wechat-unreachable", 502},
		&wechat.TransportError{Cause: wechat.TimedOut, Sent: true}:                    {"wechat-timeout", 504},
		&wechat.TransportError{Cause: wechat.Unusable, Sent: true}:                    {"bad-upstream-answer", 502},
		&wechat.TransportError{Cause: wechat.Unusable, Status: 503, Sent: true}:       {"bad-upstream-answer", 502},
		&wechat.TransportError{Cause: wechat.Unusable, Status: 404, Call: switchCall}: {"interface-retired", 410},
		&wechat.TransportError{Cause: wechat.Unusable, Status: 410, Call: switchCall}: {"interface-retired", 410},
		&wechat.TransportError{Cause: wechat.Unusable, Status: 404, Call: "/wxa/x"}:   {"bad-upstream-answer", 502},
		&token.UnknownAccountError{AppID: "wx1"}:                                      {"unknown-account", 404},
		&awserror.MalformedError{Resource: "s", Detail: "it is empty"}:                {"misconfigured", 500},
		&awserror.Error{Kind: awserror.NotFound}:                                      {"misconfigured", 500},
		&awserror.Error{Kind: awserror.Denied}:                                        {"misconfigured", 500},
		&awserror.Error{Kind: awserror.Exists}:                                        {"misconfigured", 500},
		&awserror.Error{Kind: awserror.Unavailable}:                                   {"aws-unavailable", 503},
		&awserror.Error{Kind: awserror.Conflict}:                                      {"aws-unavailable", 503},
		context.DeadlineExceeded:                                                      {"wechat-timeout", 504},
		context.Canceled:                                                              {"wechat-timeout", 504},
		errors.New("whatever"):                                                        {"internal-error", 500},
		fault.Invalid("x"):                                                            {"invalid-request", 400},
		fault.New(fault.NotFound, "x"):                                                {"not-found", 404},
		fault.New("confirmation-required", "x"):                                       {"confirmation-required", 400},
		fault.New("opening-not-allowed", "x"):                                         {"opening-not-allowed", 403},
		fault.New("bad-signature", "x"):                                               {"bad-signature", 403},
		fault.New("too-large", "x"):                                                   {"too-large", 413},
	}
	codes := map[want][]int{
		{"not-granted", 403}:               {42002, 42007, 43007, 48001, 50001, 61003, 61007, 61017, 48004, 50002},
		{"library-full", 409}:              {85065},
		{"interface-retired", 410}:         {48009},
		{"quota-exceeded", 429}:            {45009, 45011},
		{"misconfigured", 500}:             {61014, 61015, 40013, 40125, 61011},
		{"token-rejected", 502}:            {40001, 40014, 42001, 42006},
		{"egress-ip-not-whitelisted", 502}: {61004, 40164, 45035, 40090, 89501, 89502, 89503, 89504, 89505, 89506, 89507},
		{"bad-upstream-answer", 502}:       {1, 40066, 47001, 99999},
		{"wechat-busy", 503}:               {-1},
		{"not-found", 404}:                 {85064},
	}
	for w, list := range codes {
		for _, code := range list {
			cases[&wechat.APIError{Call: "/x", Code: code}] = w
		}
	}
	for err, w := range cases {
		p := fault.Of(fmt.Errorf("outer: %w", err), time.Now())
		if string(p.Kind) != w.slug || api.Status(p.Kind) != w.status {
			t.Errorf("%v: %s, %d; want %v", err, p.Kind, api.Status(p.Kind), w)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		got, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct {
		code int
		now  string
		want string
	}{
		{45009, "2026-01-02T16:00:00Z", "86400"}, // midnight in Beijing
		{45009, "2026-01-02T15:59:59Z", "1"},
		{45009, "2026-01-02T15:59:59.999999999Z", "1"},
		{45009, "2026-01-02T15:59:58.5Z", "2"},
		{45009, "2026-01-02T16:00:01Z", "86399"},
		{45009, "2026-01-02T04:00:00Z", "43200"},
		{45009, "2026-12-31T23:30:00+08:00", "1800"},
		{45009, "2026-03-08T06:59:00-05:00", "14460"}, // where a clock changes that day
		{45011, "2026-01-02T04:00:00Z", "60"},
		{-1, "2026-01-02T04:00:00Z", "5"},
		{40001, "2026-01-02T04:00:00Z", ""},
		{61004, "2026-01-02T04:00:00Z", ""},
	} {
		problem := &fault.Error{Meaning: fault.Of(&wechat.APIError{Code: c.code}, at(c.now))}
		r := serve(t.Context(), t, api.Routes{{Method: "GET", Path: "/", Handle: func(context.Context, *api.Request) (*api.Response, error) {
			return nil, problem
		}}}, request("GET", "/", "", nil))
		if got := r.Headers["Retry-After"]; got != c.want {
			t.Errorf("%d at %s: Retry-After %q, want %q", c.code, c.now, got, c.want)
		}
	}
}

func TestTheWholeProblem(t *testing.T) {
	t.Parallel()
	err := error(&wechat.APIError{Call: "/wxa/gettemplatedraftlist", Code: 61004, Message: "access clientip is not registered requestIP: 203.0.113.7 rid: 65af81fb-4abb2a3b-18a1751e"})
	routes := api.Routes{{Method: "GET", Path: "/drafts", Handle: func(context.Context, *api.Request) (*api.Response, error) { return nil, err }}}
	ask := func() (got map[string]any) {
		r := serve(t.Context(), t, routes, request("GET", "/drafts", "limit=1", nil))
		r.slug(t)
		if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
			t.Fatal(err)
		}
		for _, free := range []string{"title", "detail", "action"} { // words that may change
			delete(got, free)
		}
		return got
	}
	if diff := cmp.Diff(map[string]any{
		"type": "urn:wechat-draftbox:egress-ip-not-whitelisted", "status": 502.0, "instance": "/drafts", "request_id": "of-gateway", "retryable": false,
		"wechat":    map[string]any{"errcode": 61004.0, "errmsg": "access clientip is not registered requestIP: 203.0.113.7 rid: 65af81fb-4abb2a3b-18a1751e", "rid": "65af81fb-4abb2a3b-18a1751e"},
		"egress_ip": "203.0.113.7",
	}, ask()); diff != "" {
		t.Error(diff)
	}
	err = &api.Problem{Err: fault.New(fault.LibraryFull, "x").WithAction("y"), Members: map[string]any{"size": 0, "limit": 200}}
	if diff := cmp.Diff(map[string]any{
		"type": "urn:wechat-draftbox:library-full", "status": 409.0, "instance": "/drafts", "request_id": "of-gateway", "retryable": false,
		"size": 0.0, "limit": 200.0,
	}, ask()); diff != "" {
		t.Error(diff)
	}
}

// TestEveryProblemSaysWhatToDo: also those without an action of their own.
func TestEveryProblemSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fault.Invalid("x"), fault.New(fault.NotFound, "x"), &wechat.TransportError{Detail: "x"}, &wechat.TransportError{Cause: wechat.TimedOut}, &wechat.TransportError{Cause: wechat.Unusable},
		&wechat.APIError{Code: 12345}, &wechat.APIError{Code: 40001}, &token.UnknownAccountError{}, &awserror.MalformedError{Resource: "s"}, &awserror.Error{Resource: "s"},
		&awserror.Error{Resource: "s", Kind: awserror.Denied}, errors.New("x"),
		fault.New("confirmation-required", "x"), fault.New("opening-not-allowed", "x"),
		fault.New("bad-signature", "x"), fault.New("too-large", "x"),
	} {
		routes := api.Routes{{Method: "GET", Path: "/", Handle: func(context.Context, *api.Request) (*api.Response, error) { return nil, err }}}
		serve(t.Context(), t, routes, request("GET", "/", "", nil)).slug(t)
	}
}
