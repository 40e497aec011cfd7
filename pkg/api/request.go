package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"wechat-draftbox/pkg/fault"
)

// Request is an HTTP request as API Gateway hands it to a function.
type Request struct {
	Method string
	Path   string            // as the client sent it, without the stage
	Params map[string]string // the values of {draft_id} and the like, decoded
	Query  url.Values
	Header map[string]string // names in lower case
	Body   []byte
	ID     string // sent back as X-Request-Id
	Caller string // the IAM ARN, else the JWT subject, else empty
	Source string // the caller's address

	matched string // the route that API Gateway matched, as GET /drafts/{draft_id}
}

// event holds what the bundle uses of both payload formats.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type event struct {
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters"`
	Params          map[string]string `json:"pathParameters"` // decoded
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`

	// payload format 2.0
	RouteKey       string `json:"routeKey"`
	RawPath        string `json:"rawPath"`
	RawQueryString string `json:"rawQueryString"`

	// payload format 1.0
	HTTPMethod      string              `json:"httpMethod"`
	Resource        string              `json:"resource"`
	Path            string              `json:"path"`
	MultiValueQuery map[string][]string `json:"multiValueQueryStringParameters"`

	RequestContext struct {
		RequestID string `json:"requestId"`
		Stage     string `json:"stage"`
		HTTP      struct {
			Method   string `json:"method"`
			Path     string `json:"path"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
		Identity struct {
			SourceIP string `json:"sourceIp"`
			UserARN  string `json:"userArn"`
		} `json:"identity"`
		Authorizer struct {
			IAM struct {
				UserARN string `json:"userArn"`
			} `json:"iam"`
			JWT    jwt    `json:"jwt"`
			Claims claims `json:"claims"` // payload format 1.0
		} `json:"authorizer"`
	} `json:"requestContext"`
}

type jwt struct {
	Claims claims `json:"claims"`
}

type claims struct {
	Subject string `json:"sub"`
}

var errBody = errors.New("the body is not the base64 that it is said to be")

// parse reads an event of payload format 2.0 or 1.0. With an error it still returns what could be read.
func parse(raw []byte) (*Request, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return &Request{}, errors.New("the event is no API Gateway request")
	}
	c := &e.RequestContext
	r := &Request{
		Method: cmp.Or(c.HTTP.Method, e.HTTPMethod),
		Path:   cmp.Or(e.RawPath, c.HTTP.Path, e.Path),
		Header: make(map[string]string, len(e.Headers)),
		ID:     c.RequestID,
		Caller: cmp.Or(c.Authorizer.IAM.UserARN, c.Identity.UserARN, c.Authorizer.JWT.Claims.Subject, c.Authorizer.Claims.Subject),
		Source: cmp.Or(c.HTTP.SourceIP, c.Identity.SourceIP),
		Params: e.Params, matched: e.RouteKey,
	}
	if e.HTTPMethod != "" && e.Resource != "" {
		r.matched = e.HTTPMethod + " " + e.Resource
	}
	if e.HTTPMethod == "" { // format 2.0 includes a named stage in the path, 1.0 doesn't
		if rest, found := strings.CutPrefix(r.Path, "/"+c.Stage+"/"); found && c.Stage != "" {
			r.Path = "/" + rest
		}
	}
	for name, value := range e.Headers {
		r.Header[strings.ToLower(name)] = value
	}

	var err error
	switch {
	case e.RawQueryString != "":
		if r.Query, err = url.ParseQuery(e.RawQueryString); err != nil {
			err = errors.New("the query string can't be read")
		}
	case e.MultiValueQuery != nil:
		r.Query = e.MultiValueQuery
	default:
		r.Query = make(url.Values, len(e.Query))
		for name, value := range e.Query {
			r.Query.Set(name, value)
		}
	}
	r.Body = []byte(e.Body)
	if e.IsBase64Encoded {
		decoded, decodeErr := base64.StdEncoding.DecodeString(e.Body)
		if decodeErr != nil {
			return r, errBody
		}
		r.Body = decoded
	}
	return r, err
}

// Number reads a draft's or template's id from the path.
func (r *Request) Number(name string) (int64, error) {
	n, err := strconv.ParseUint(r.Params[name], 10, 63)
	if err != nil {
		return 0, fault.Invalid(name + " has to be a whole number from 0")
	}
	return int64(n), nil
}

// DecodeBody decodes the body, a JSON object, into v; an empty body leaves v unchanged. The error is a [*fault.Error].
func (r *Request) DecodeBody(v any) error {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Body, v); err != nil {
		return fault.Invalid("the body can't be used: it must be a JSON object as documented")
	}
	return nil
}
