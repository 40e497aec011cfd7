// Package awserror maps AWS errors to a few kinds.
//
// The SDK's own errors are not wrapped: some services quote the value that they refuse, which here is a token.
package awserror

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// Kind says what an error of AWS means for the bundle.
type Kind int

// The kinds.
const (
	Unavailable Kind = iota // throttled, failed, unreachable or timed out: a retry may work
	NotFound                // no such secret, parameter or queue
	Denied                  // not allowed, can't be decrypted, invalid: an operator has to act
	Exists                  // already exists
	Conflict                // changed concurrently
)

// Error is a failed AWS call.
type Error struct {
	Operation string // as in secretsmanager:GetSecretValue
	Resource  string // the name of the secret, parameter, bus or queue
	Kind      Kind
	Code      string // AWS's error code, or empty
	Detail    string // AWS's message on a denied access
}

func (e *Error) Error() string {
	text := e.Operation + " " + e.Resource
	if e.Code != "" {
		text += ": " + e.Code
	} else {
		text += ": no answer"
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Wrap makes an [Error] from an error of the SDK; nil stays nil.
func Wrap(operation, resource string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := &Error{Operation: operation, Resource: resource}
	var api smithy.APIError
	if errors.As(err, &api) {
		wrapped.Code = api.ErrorCode()
		wrapped.Kind = kind(err, api)
		if strings.HasPrefix(wrapped.Code, "AccessDenied") {
			wrapped.Detail = api.ErrorMessage() // names principal, action and resource, never a value
		}
	}
	return wrapped
}

func kind(err error, api smithy.APIError) Kind {
	switch code := api.ErrorCode(); {
	case slices.Contains([]string{"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound",
		"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}, code):
		return NotFound
	case slices.Contains([]string{"ResourceExistsException", "ParameterAlreadyExists"}, code):
		return Exists
	case code == "TooManyUpdates", code == "TransactionConflictException":
		return Conflict
	case api.ErrorFault() == smithy.FaultServer,
		retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary: // throttled, HTTP 5xx
		return Unavailable
	}
	return Denied
}

// Is reports whether err is an [Error] of the kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// MalformedError is a secret, parameter or item whose content is invalid.
type MalformedError struct {
	Resource string
	Detail   string // never quotes the content
}

func (m *MalformedError) Error() string {
	return fmt.Sprintf("%s is malformed: %s", m.Resource, m.Detail)
}
