// Package api serves HTTP over Lambda: it parses API Gateway's events in both payload formats, routes them, and responds
// with JSON, or with problems (RFC 9457) for errors.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/telemetry"
)

const (
	// requestTimeout is less than the 29 or 30 seconds that API Gateway waits.
	requestTimeout = 28 * time.Second
	// maxResponseBytes bounds an encoded response; Lambda's limit is 6 MB.
	maxResponseBytes = 5_500_000
)

// Handler handles one route's requests. Its errors become problems, see [fault.Of].
type Handler func(context.Context, *Request) (*Response, error)

// Route is a method, a path like /drafts/{draft_id}, and its handler.
type Route struct {
	Method, Path string
	Handle       Handler
}

// Routes are a function's routes. If two match, the first one wins.
type Routes []Route

// Serve answers an API Gateway event, in the form that API Gateway expects.
func (routes Routes) Serve(ctx context.Context, log *slog.Logger, event []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	request, err := parse(event)
	if lambda, ok := lambdacontext.FromContext(ctx); ok && lambda.AwsRequestID != "" {
		request.ID = lambda.AwsRequestID // the one that the log has
	}
	var response *Response
	if err != nil {
		err = fault.Invalid(err.Error())
	} else {
		response, err = routes.answer(ctx, request)
	}
	if err != nil {
		return refuse(ctx, log, request, err)
	}
	encoded := response.encode(request)
	if len(encoded) > maxResponseBytes {
		return refuse(ctx, log, request, fault.New(fault.BadUpstreamAnswer, "the answer would be larger than API Gateway passes on").
			WithAction("Ask for less with the query parameter limit."))
	}
	return encoded
}

// refuse responds with a problem and logs it, server errors (5xx) as warnings.
func refuse(ctx context.Context, log *slog.Logger, request *Request, err error) []byte {
	response, f := problem(request, err, time.Now())
	telemetry.CountFault(ctx, err)
	level := slog.LevelInfo
	if response.Status >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	var more *Problem
	if errors.As(err, &more) && more.Quiet {
		return response.encode(request)
	}
	log.Log(ctx, level, "request refused", "method", request.Method, "path", request.Path,
		"status", response.Status, "problem", f.Kind, "error", err.Error())
	return response.encode(request)
}

func (routes Routes) answer(ctx context.Context, request *Request) (*Response, error) {
	route, err := routes.find(request)
	if err != nil {
		return nil, err
	}
	return route.Handle(ctx, request)
}

// find returns the route that API Gateway matched, regardless of the path, which may have a base path or a stage. If API
// Gateway names none of the function's routes, as with a catch-all route, the path is matched here.
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
		return Route{}, &Problem{
			Err:    fault.New(fault.MethodNotAllowed, request.Method+" is not for this path"),
			Header: map[string]string{"Allow": strings.Join(slices.Compact(allowed), ", ")},
		}
	}
	return Route{}, fault.New(fault.NotFound, "there is no such route")
}

// match matches a path against a pattern, segment by segment, and decodes each segment once.
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
