// Package awserror puts the errors of AWS into the few kinds that the bundle decides on.
//
// The SDK's own errors are not passed on: some services quote the value that they refuse, and values here are
// tokens.
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
	Unavailable Kind = iota // throttled, failed, not reached, or no answer in time: later it may work
	NotFound                // no such secret, parameter or queue
	Denied                  // not allowed, not to be decrypted, not valid: it won't work until somebody acts
	Exists                  // it can't be made because it is there
	Conflict                // somebody else changed it meanwhile
)

// Error is a failed call of AWS.
type Error struct {
	Operation string // as in secretsmanager:GetSecretValue
	Resource  string // the name of the secret, parameter, bus or queue
	Kind      Kind
	Code      string // AWS's error code, or empty
	Detail    string // who may not do what, where AWS says so
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

// Wrap makes an [Error] of what a call of the SDK returned; nil stays nil.
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

// MalformedError is a secret or parameter that holds something else than it should.
type MalformedError struct {
	Resource string
	Detail   string // never what stands in it
}

func (m *MalformedError) Error() string {
	return fmt.Sprintf("%s is malformed: %s", m.Resource, m.Detail)
}
