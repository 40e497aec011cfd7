package awserror_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	tables "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	secrets "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	parameters "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"wechat-draftbox/pkg/awserror"
)

func coded(code string) error {
	return &smithy.GenericAPIError{Code: code, Message: "the value 84_hidden is not good"}
}

// status is an error as the SDK returns one for an HTTP status.
func status(code int, err error) error {
	return &smithy.OperationError{ServiceID: "SSM", OperationName: "X", Err: &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: err},
	}}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind awserror.Kind
	}{
		{&secrets.ResourceNotFoundException{}, awserror.NotFound},
		{&parameters.ParameterNotFound{}, awserror.NotFound},
		{&parameters.ParameterVersionNotFound{}, awserror.NotFound},
		{coded("AWS.SimpleQueueService.NonExistentQueue"), awserror.NotFound},
		{coded("QueueDoesNotExist"), awserror.NotFound},
		{&secrets.ResourceExistsException{}, awserror.Exists},
		{&parameters.ParameterAlreadyExists{}, awserror.Exists},
		{&parameters.TooManyUpdates{}, awserror.Conflict},
		{&tables.ResourceNotFoundException{}, awserror.NotFound},
		{&tables.TransactionConflictException{}, awserror.Conflict},
		{&tables.ProvisionedThroughputExceededException{}, awserror.Unavailable},
		{&tables.RequestLimitExceeded{}, awserror.Unavailable},
		{&tables.InternalServerError{}, awserror.Unavailable},
		{&secrets.DecryptionFailure{}, awserror.Denied},
		{&smithy.GenericAPIError{Code: "AccessDeniedException"}, awserror.Denied},
		{&smithy.GenericAPIError{Code: "AccessDenied"}, awserror.Denied},
		{coded("ValidationException"), awserror.Denied},
		{coded("ExpiredTokenException"), awserror.Denied},
		{status(400, coded("UnrecognizedClientException")), awserror.Denied},
		{coded("ThrottlingException"), awserror.Unavailable},
		{coded("RequestLimitExceeded"), awserror.Unavailable},
		{&secrets.InternalServiceError{}, awserror.Unavailable},
		{&parameters.InternalServerError{}, awserror.Unavailable},
		{status(500, coded("Whatever")), awserror.Unavailable},
		{status(503, coded("ServiceUnavailable")), awserror.Unavailable},
		{status(200, errors.New("deserialization failed: 84_hidden")), awserror.Unavailable},
		{errors.New("dial tcp: connection refused"), awserror.Unavailable},
		{context.DeadlineExceeded, awserror.Unavailable},
	} {
		err := awserror.Wrap("x:DoIt", "the/name", fmt.Errorf("operation error: %w", c.err))
		for kind := awserror.Unavailable; kind <= awserror.Conflict; kind++ {
			if got, want := awserror.Is(fmt.Errorf("outer: %w", err), kind), kind == c.kind; got != want {
				t.Errorf("%v: Is(%d) is %v", c.err, kind, got)
			}
		}
		if !strings.HasPrefix(err.Error(), "x:DoIt the/name: ") || strings.Contains(err.Error(), "84_hidden") {
			t.Errorf("%v becomes %q", c.err, err)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	if err := awserror.Wrap("x", "y", nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
	if awserror.Is(nil, awserror.Unavailable) || awserror.Is(errors.New("x"), awserror.Unavailable) {
		t.Error("an error of another package has a kind")
	}
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "User: arn:aws:sts::1:role is not authorized to perform: x:DoIt"}
	want := "x:DoIt the/name: AccessDeniedException: " + denied.Message
	if got := awserror.Wrap("x:DoIt", "the/name", denied).Error(); got != want {
		t.Errorf("got %q: who may not do what is missing", got)
	}
	if got := awserror.Wrap("x:DoIt", "the/name", errors.New("84_hidden")).Error(); got != "x:DoIt the/name: no answer" {
		t.Errorf("got %q", got)
	}
	if got := (&awserror.MalformedError{Resource: "the/name", Detail: "it is empty"}).Error(); got != "the/name is malformed: it is empty" {
		t.Errorf("got %q", got)
	}
}
