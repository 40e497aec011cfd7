// Package awstest stands in for the AWS services that the bundle uses: Secrets
// Manager, SSM Parameter Store, DynamoDB, EventBridge's PutEvents and SQS. A
// [Server] is an [http.Handler], and the SDK's own clients talk to it:
//
//	aws := awstest.New()
//	endpoint := httptest.NewServer(aws)
//	defer endpoint.Close()
//	secrets := secretsmanager.NewFromConfig(aws.Config(endpoint.URL))
//
// It keeps state in memory and responds as the services do, with their limits,
// their paging and their errors. It can inject faults: see
// [Server.Fail]. Requests are not authenticated.
//
// It implements only what the bundle uses: no parameter labels, no FIFO
// queues, no message attributes, no table indexes, no sets, and only string
// keys. An unknown field of a request is refused, never
// ignored. Items are not deleted when their time to live ends: DynamoDB
// takes days for that, so callers must not rely on it.
//
// This package's contract test compares it with moto, another
// stand-in.
package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	region  = "us-east-1"
	account = "123456789012"

	// maxBody exceeds the largest request of any service: a 1 MiB batch to SQS with escaped characters.
	maxBody = 8 << 20
)

// Server is the stand-in. Make one with [New]; it is safe for concurrent use.
type Server struct {
	now        func() time.Time
	latency    time.Duration
	throttles  throttles
	secrets    *secrets
	parameters *parameters
	tables     *tables
	bus        *bus
	queues     *queues
	operations map[string]operation // by X-Amz-Target
	faults     faults
	ledger     ledger
}

// Option changes how a [Server] behaves.
type Option func(*Server)

// WithClock sets the clock for dates, recovery windows and message lifetimes. Long polls, throttling and latency use
// real time.
func WithClock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// WithLatency makes every call take at least d.
func WithLatency(d time.Duration) Option { return func(s *Server) { s.latency = d } }

// WithThrottling refuses calls above an account's default rates: 50 writes a second to Secrets Manager, 40 reads and 3
// writes a second to SSM, and 10,000 other calls a second to a service.
//
// DynamoDB's limits are in capacity units, those of a new on-demand table: 4,000 written and 12,000 read a second, of
// which 1,000 and 3,000 for one partition key value. A unit writes 1 KB or reads 4 KB, rounded up; an eventually
// consistent read costs half, a transactional write twice. A Scan counts against its table only.
//
// Each limit allows a burst of one second's worth.
func WithThrottling() Option { return func(s *Server) { s.throttles = newThrottles() } }

// New makes an empty account: no secrets, parameters, tables or queues. Every event bus exists.
func New(opts ...Option) *Server {
	s := &Server{now: time.Now}
	for _, opt := range opts {
		opt(s)
	}
	s.secrets = newSecrets(s.now)
	s.parameters = newParameters(s.now)
	s.tables = newTables(s.now, s.throttles != nil)
	s.bus = &bus{now: s.now}
	s.queues = newQueues(s.now)
	s.operations = make(map[string]operation)
	s.add(secretsManager, s.secrets.operations())
	s.add(ssm, s.parameters.operations())
	s.add(dynamoDB, s.tables.operations())
	s.add(eventBridge, s.bus.operations())
	s.add(sqs, s.queues.operations())
	return s
}

// Config is an SDK configuration for the stand-in at url, such as "http://127.0.0.1:4566". Clients retry as the SDK
// does by default, but without backoff; a test that counts calls sets RetryMaxAttempts.
func (s *Server) Config(url string) aws.Config {
	return aws.Config{
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		},
		HTTPClient:   wholeRequests{awshttp.NewBuildableClient()},
		Region:       region,
		BaseEndpoint: aws.String(url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "awstest", SecretAccessKey: "awstest", Source: "awstest"}, nil
		}),
	}
}

// wholeRequests sends each body from memory. Otherwise the SDK may close the body, once a fast stand-in has responded,
// before net/http has read its end; net/http then drops the connection, and the SDK retries, so that a test counts one
// call too many.
type wholeRequests struct{ aws.HTTPClient }

// Do implements [aws.HTTPClient].
func (c wholeRequests) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.HTTPClient.Do(r)
}

// A service is an AWS service: its name and JSON protocol.
type service struct {
	name        string // as in IAM actions
	target      string // X-Amz-Target before the dot
	contentType string
	messageKey  string // of an error's message
	namespace   string // of an error's __type
}

var (
	secretsManager = &service{"secretsmanager", "secretsmanager", "application/x-amz-json-1.1", "Message", ""}
	ssm            = &service{"ssm", "AmazonSSM", "application/x-amz-json-1.1", "message", ""}
	dynamoDB       = &service{"dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", "message", "com.amazonaws.dynamodb.v20120810#"}
	eventBridge    = &service{"events", "AWSEvents", "application/x-amz-json-1.1", "message", ""}
	sqs            = &service{"sqs", "AmazonSQS", "application/x-amz-json-1.0", "message", "com.amazonaws.sqs#"}
)

// An operation is one call of a service.
type operation struct {
	service *service
	name    string
	write   bool // counts against the service's limit of writes

	// read parses the body and returns the resource and the call to make. The faults are for entries of batch calls.
	read func(body []byte) (resource string, do func(context.Context, entryFaults) (any, error), err error)
}

func (s *Server) add(svc *service, ops map[string]operation) {
	for name, op := range ops {
		op.service, op.name = svc, svc.name+":"+name
		s.operations[svc.target+"."+name] = op
	}
}

// input is the body of a request.
type input interface{ resource() string }

// on makes an operation from a method.
func on[In input, Out any](do func(In) (Out, error)) operation {
	return onContext(func(_ context.Context, in In, _ entryFaults) (Out, error) { return do(in) })
}

// onContext is on for calls that wait or have entries.
func onContext[In input, Out any](do func(context.Context, In, entryFaults) (Out, error)) operation {
	return operation{read: func(body []byte) (string, func(context.Context, entryFaults) (any, error), error) {
		in, err := decode[In](body)
		if err != nil {
			return "", nil, err
		}
		return in.resource(), func(ctx context.Context, faults entryFaults) (any, error) { return do(ctx, in, faults) }, nil
	}}
}

func decode[In any](body []byte) (in In, err error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err = decoder.Decode(&in); err != nil {
		err = unreadable(err)
	}
	return in, err
}

func writing(op operation) operation {
	op.write = true
	return op
}

// unreadable names at most an unknown field of a body: the rest of a decoder's error may quote a secret.
func unreadable(err error) error {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return refused
	}
	if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return refuse("SerializationException", "the stand-in does not know the field %s", field)
	}
	return refuse("SerializationException", "the request is not the JSON that this operation takes")
}

// ServeHTTP handles a call of the JSON protocols 1.0 and 1.1.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-amzn-RequestId", newUUID())
	op, known := s.operations[r.Header.Get("X-Amz-Target")]
	if !known || r.Method != http.MethodPost {
		answer(w, eventBridge, nil, refuse("UnknownOperationException", "no such operation in this stand-in"))
		return
	}
	// Read the whole body in any case: only then does the server notice that a client disconnects.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answer(w, op.service, nil, refuse("RequestEntityTooLarge", "the request is too large"))
		return
	}
	resource, do, err := op.read(body)
	s.ledger.add(Call{Service: op.service.name, Operation: op.name, Resource: resource, Time: s.now()})
	if err == nil {
		err = s.throttles.admit(op)
	}
	if err != nil {
		answer(w, op.service, nil, err)
		return
	}
	fault := s.faults.next(op, resource)
	if !sleep(r.Context(), s.latency+fault.delay) {
		return
	}
	switch fault.kind {
	case faultHang:
		<-r.Context().Done()
		return
	case faultDrop:
		panic(http.ErrAbortHandler)
	case faultError:
		answer(w, op.service, nil, fault.err)
		return
	case faultBefore:
		fault.meanwhile()
	}
	out, err := do(r.Context(), fault.entries)
	switch fault.kind {
	case faultDropAfter:
		panic(http.ErrAbortHandler)
	case faultGarbage:
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><body>Bad gateway</body></html>")
		return
	}
	answer(w, op.service, out, err)
}

func answer(w http.ResponseWriter, svc *service, out any, err error) {
	w.Header().Set("Content-Type", svc.contentType)
	status := http.StatusOK
	if err != nil {
		var refused *refusal
		if !errors.As(err, &refused) {
			refused = &refusal{code: "InternalFailure", message: "the stand-in failed", status: http.StatusInternalServerError}
		}
		status = refused.status
		w.Header().Set("x-amzn-ErrorType", refused.code)
		if svc == sqs {
			w.Header().Set("x-amzn-query-error", refused.queryError())
		}
		fields := map[string]any{"__type": svc.namespace + refused.code, svc.messageKey: refused.message}
		maps.Copy(fields, refused.more)
		out = fields
	}
	body, err := json.Marshal(out)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if svc == dynamoDB { // whose client compares it, and warns where there is none
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// A refusal is an AWS error response.
type refusal struct {
	code    string
	message string
	status  int
	query   string         // SQS: the code in its older query protocol, where it differs
	more    map[string]any // what else the error's shape has
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

// queryError is SQS's error code for clients of its older query protocol.
func (r *refusal) queryError() string {
	code, fault := r.query, "Sender"
	if code == "" {
		code = r.code
	}
	if r.status >= 500 {
		fault = "Receiver"
	}
	return code + ";" + fault
}

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code: code, message: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

// outOfRange is AWS's error for a violated constraint, without the field's value, which may be a secret.
func outOfRange(field, constraint string) *refusal {
	return refuse("ValidationException", "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have %s", field, constraint)
}

// pageSize is the requested page size, by default the maximum.
func pageSize(asked *int, most int) (int, error) {
	switch {
	case asked == nil:
		return most, nil
	case *asked < 1:
		return 0, outOfRange("maxResults", "value greater than or equal to 1")
	case *asked > most:
		return 0, outOfRange("maxResults", fmt.Sprintf("value less than or equal to %d", most))
	}
	return *asked, nil
}

// sleep reports whether d passed before the client gave up.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newUUID makes a random UUID. It need not be unpredictable.
func newUUID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
}

// epoch is a time in the JSON protocols: seconds since 1970 to the millisecond.
type epoch struct{ time.Time }

func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(e.UnixMilli())/1e3, 'f', 3, 64), nil
}

// epochOf leaves out a zero time.
func epochOf(t time.Time) *epoch {
	if t.IsZero() {
		return nil
	}
	return &epoch{t}
}

func (e *epoch) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return errors.New("not a time")
	}
	e.Time = time.UnixMilli(int64(seconds * 1e3)).UTC()
	return nil
}

// Call is a request that arrived, whatever its result.
type Call struct {
	Service   string // "secretsmanager", "ssm", "dynamodb", "events", "sqs"
	Operation string // "secretsmanager:GetSecretValue"
	// Resource is a secret's id, a parameter's name or path, a bus or a queue's URL, as the client named it; may be
	// empty. In DynamoDB it is "table/pk/sk" or "table/pk" of an item, as far as its key is valid, "table/pk" of a
	// Query, and otherwise the table; several are joined by commas.
	Resource string
	Time     time.Time
}

// maxRecorded bounds the memory of a long benchmark.
const maxRecorded = 1 << 16

// A ledger counts all calls and records the newest.
type ledger struct {
	mu     sync.Mutex
	total  int
	counts map[string]int
	calls  []Call // a ring once it is full; the oldest is at total % maxRecorded
}

func (l *ledger) add(c Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[string]int)
	}
	if len(l.calls) < maxRecorded {
		l.calls = append(l.calls, c)
	} else {
		l.calls[l.total%maxRecorded] = c
	}
	l.total++
	l.counts[c.Operation]++
	l.counts[c.Service+":*"]++
}

// Calls returns the number of requests for an operation, for a service ("ssm:*"), or in total (""). It panics on an
// unknown operation: a test with a misspelled name would never fail.
func (s *Server) Calls(op string) int {
	s.mustKnow(op)
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if op == "" {
		return s.ledger.total
	}
	return s.ledger.counts[op]
}

// Recorded returns the newest 65,536 requests, oldest first.
func (s *Server) Recorded() []Call {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := 0
	if len(l.calls) == maxRecorded {
		oldest = l.total % maxRecorded
	}
	return append(append(make([]Call, 0, len(l.calls)), l.calls[oldest:]...), l.calls[:oldest]...)
}

func (s *Server) mustKnow(op string) {
	if op == "" {
		return
	}
	for _, known := range s.operations {
		if op == known.name || op == known.service.name+":*" {
			return
		}
	}
	panic("awstest: no operation " + strconv.Quote(op))
}
