// Package api is HTTP over Lambda: it reads API Gateway's events in both payload formats, finds the route, and
// answers in JSON, with problems (RFC 9457) for errors.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"wechat-draftbox/pkg/plainjson"
)

const (
	// longest is how long a request may take: API Gateway waits 29 or 30 seconds.
	longest = 28 * time.Second
	// largest is the size of an encoded answer in bytes; Lambda cuts off at 6 MB.
	largest = 5_500_000
)

// Handler answers one route's requests. Its errors become problems, see [ProblemOf].
type Handler func(context.Context, *Request) (*Answer, error)

// Route is a method, a path like /drafts/{draft_id}, and who answers it.
type Route struct {
	Method, Path string
	Handle       Handler
}

// Routes are a function's routes. Where two match, the first one is taken.
type Routes []Route

// Serve answers an API Gateway event. The result encodes to the form that API Gateway expects.
func (routes Routes) Serve(ctx context.Context, log *slog.Logger, event json.RawMessage) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()

	request, err := parse(event)
	if lambda, ok := lambdacontext.FromContext(ctx); ok && lambda.AwsRequestID != "" {
		request.ID = lambda.AwsRequestID // the one that the log has
	}
	var answer *Answer
	if err != nil {
		err = InvalidRequest(err.Error())
	} else {
		answer, err = routes.answer(ctx, request)
	}
	if err != nil {
		return problemReply(ctx, log, request, err)
	}
	reply, err := answer.reply(request)
	if err != nil {
		return problemReply(ctx, log, request, err)
	}
	encoded, err := plainjson.Marshal(reply)
	if err != nil {
		return problemReply(ctx, log, request, err)
	}
	if len(encoded) > largest {
		return problemReply(ctx, log, request, &Problem{Slug: "bad-upstream-answer",
			Detail: "the answer would be larger than API Gateway passes on", Action: "Ask for less with the query parameter limit."})
	}
	return json.RawMessage(encoded), nil
}

func (routes Routes) answer(ctx context.Context, request *Request) (*Answer, error) {
	route, err := routes.find(request)
	if err != nil {
		return nil, err
	}
	return route.Handle(ctx, request)
}

// find is the route that API Gateway matched: then the path decides nothing, so that a base path or a named stage does no
// harm. Where API Gateway names none of the function's routes, the path is matched here.
func (routes Routes) find(request *Request) (Route, error) {
	for _, route := range routes {
		if route.Method+" "+route.Path == request.matched {
			return route, nil
		}
	}
	var allowed []string
	for _, route := range routes {
		params, ok := match(route.Path, request.Path)
		if !ok {
			continue
		}
		if route.Method == request.Method {
			request.Params = params
			return route, nil
		}
		allowed = append(allowed, route.Method)
	}
	if len(allowed) > 0 {
		slices.Sort(allowed)
		return Route{}, &Problem{Slug: "method-not-allowed", Detail: request.Method + " is not for this path",
			Header: map[string]string{"Allow": strings.Join(slices.Compact(allowed), ", ")}}
	}
	return Route{}, &Problem{Slug: "not-found", Detail: "there is no such route"}
}

// match compares a path with a pattern, part by part, and decodes it once.
func match(pattern, path string) (map[string]string, bool) {
	wanted, parts := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(wanted) != len(parts) {
		return nil, false
	}
	params := make(map[string]string)
	for i, want := range wanted {
		part, err := url.PathUnescape(parts[i])
		if err != nil {
			part = parts[i]
		}
		if name, ok := strings.CutPrefix(want, "{"); ok && part != "" {
			params[strings.TrimSuffix(name, "}")] = part
		} else if want != part {
			return nil, false
		}
	}
	return params, true
}

// problemReply answers with a problem, and logs those that are the bundle's or WeChat's doing.
func problemReply(ctx context.Context, log *slog.Logger, request *Request, err error) (any, error) {
	problem := ProblemOf(err, time.Now())
	level := slog.LevelInfo
	if problem.Status() >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	log.Log(ctx, level, "request refused", "method", request.Method, "path", request.Path,
		"status", problem.Status(), "problem", problem.Slug, "error", err.Error())
	reply, err := problem.answer(request).reply(request)
	if err != nil {
		return nil, err
	}
	encoded, err := plainjson.Marshal(reply)
	return json.RawMessage(encoded), err
}
