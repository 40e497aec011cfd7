// Package apitest holds answers of the API against its OpenAPI document.
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

// Document reads the OpenAPI document and checks that it is one, with its examples.
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

// strict is the document as tests read it: a key that it doesn't name is a mistake, though callers have to put up with
// more, and its servers don't matter.
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

// Routes are the document's routes, as API Gateway matches them. Which function serves them the document doesn't say.
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

// CheckAnswer says in which way an answer is not what the document promises for its method and path.
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
	// The library passes over some statuses, so the answer that was found stands alone in an operation made for it.
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

// promised is the document's description of an answer.
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
