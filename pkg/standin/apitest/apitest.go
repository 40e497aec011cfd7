// Package apitest validates the API's responses against its OpenAPI document.
package apitest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/standin/gateway"
)

// Document loads and validates the OpenAPI document and its examples.
func Document() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(api.OpenAPI()))
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("check the OpenAPI document: %w", err)
	}
	return doc, nil
}

// strict is the document as tests read it: unknown keys are errors, though clients must tolerate them, and servers are
// ignored.
var strict = sync.OnceValues(func() (*checker, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	doc.Servers = nil
	for _, ref := range doc.Components.Schemas {
		if s := ref.Value; s.Type.Is("object") && s.AdditionalProperties.Schema == nil && s.AdditionalProperties.Has == nil {
			s.AdditionalProperties.Has = new(false)
		}
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document's routes: %w", err)
	}
	return &checker{doc, router}, nil
})

type checker struct {
	doc    *openapi3.T
	router routers.Router
}

// Routes returns the document's routes, as API Gateway matches them, without functions, which the document doesn't
// name.
func Routes() ([]gateway.Route, error) {
	c, err := strict()
	if err != nil {
		return nil, err
	}
	var routes []gateway.Route
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, gateway.NewRoute("", method, path))
		}
	}
	return routes, nil
}

// CheckAnswer returns how a response violates the document for its method and path.
func CheckAnswer(ctx context.Context, method, path string, status int, header http.Header, body string) error {
	c, err := strict()
	if err != nil {
		return err
	}
	request := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}}
	promised, err := c.promised(request.WithContext(ctx), status)
	if err != nil {
		return err
	}
	if len(promised.Value.Content) == 0 && body != "" {
		return fmt.Errorf("%s %s: %d has a body: %s", method, path, status, body)
	}
	// The library skips some statuses, so validate the found response alone in an operation made for it.
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request,
			Route: &routers.Route{Spec: c.doc, Operation: &openapi3.Operation{
				Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusOK, promised)),
			}},
		},
		Status: http.StatusOK,
		Header: header,
		Body:   io.NopCloser(strings.NewReader(body)),
	})
}

// promised is the document's description of a response.
func (c *checker) promised(request *http.Request, status int) (*openapi3.ResponseRef, error) {
	route, _, err := c.router.FindRoute(request)
	if err != nil {
		var unknown *routers.RouteError
		if !errors.As(err, &unknown) {
			return nil, err
		}
		for name, of := range map[string]int{"NotFound": http.StatusNotFound, "MethodNotAllowed": http.StatusMethodNotAllowed} {
			if status == of {
				return c.doc.Components.Responses[name], nil
			}
		}
		return c.doc.Components.Responses["OtherProblem"], nil
	}
	responses := route.Operation.Responses
	if promised := responses.Value(strconv.Itoa(status)); promised != nil {
		return promised, nil
	}
	if status >= http.StatusBadRequest {
		return responses.Default(), nil
	}
	return nil, fmt.Errorf("%s: %s does not promise a %d", request.URL.Path, route.Operation.OperationID, status)
}
