package state_test

import (
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/state"
)

// No goroutine may outlive the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tableName = "state"

// start is the time at which the tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fixture is a state table in the AWS stand-in.
type fixture struct {
	state.Table
	aws   *awstest.Server
	clock *clock
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	server, c := awstest.New(), &clock{at: start}
	server.CreateTable(tableName, "pk", "sk")
	endpoint := httptest.NewServer(server)
	t.Cleanup(func() {
		endpoint.CloseClientConnections()
		endpoint.Close()
	})
	client := dynamodb.NewFromConfig(server.Config(endpoint.URL))
	return fixture{state.NewTable(client, tableName, c.now), server, c}
}

// item is the attributes of an item but for its keys; nil where there is none.
func (f fixture) item(pk, sk string) map[string]any {
	item, _ := f.aws.Item(tableName, pk, sk)
	delete(item, "pk")
	delete(item, "sk")
	return item
}

func (f fixture) setItem(pk, sk string, attributes map[string]any) {
	attributes["pk"], attributes["sk"] = pk, sk
	f.aws.SetItem(tableName, attributes)
}

// wantCalls compares the calls of AWS that do makes with want.
func (f fixture) wantCalls(t *testing.T, do func(), want ...string) {
	t.Helper()
	before := len(f.aws.Recorded())
	do()
	var got []string
	for _, call := range f.aws.Recorded()[before:] {
		got = append(got, call.Operation)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls of AWS (-want +got):\n%s", diff)
	}
}

func wantDiff(t *testing.T, what string, want, got any, options ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind awserror.Kind) {
	t.Helper()
	if !awserror.Is(err, kind) {
		t.Errorf("error %v, want one of kind %d", err, kind)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	status, err := f.Describe(t.Context(), f.Name())
	if status != "ACTIVE" || err != nil {
		t.Errorf("%q, %v", status, err)
	}
	_, err = f.Describe(t.Context(), "none")
	wantKind(t, err, awserror.NotFound)
}

// Whatever keeps the table from being used, a request can only be repeated later. The error names operation and item.
func TestErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	drafts, lease := f.Drafts(0), f.TokenLease(time.Minute)
	operations := map[string]func(state.Table) error{
		"dynamodb:GetItem": func(table state.Table) error { _, err := table.Accounts().Get(t.Context(), "wx1"); return err },
		"dynamodb:BatchGetItem": func(table state.Table) error {
			_, err := table.Accounts().GetAll(t.Context(), []string{"wx1"})
			return err
		},
		"dynamodb:Query": func(table state.Table) error { _, err := table.Drafts(0).Box(t.Context()); return err },
		"dynamodb:UpdateItem": func(table state.Table) error {
			_, err := table.TokenLease(time.Minute).Acquire(t.Context())
			return err
		},
		"dynamodb:TransactWriteItems": func(table state.Table) error {
			return table.Drafts(0).MarkGone(t.Context(), state.DraftKey{}, nil, true)
		},
	}
	faults := map[string]awstest.Fault{
		"throttled": awstest.Throttle().Sticky(), "failed": awstest.Refuse("InternalServerError", 500).Sticky(),
		"denied": awstest.Deny().Sticky(), "dropped": awstest.Drop().Sticky(), "no table": awstest.Refuse("ResourceNotFoundException", 400).Sticky(),
	}
	for operation, call := range operations {
		for name, fault := range faults {
			f.aws.Fail(operation, fault)
			err := call(f.Table)
			wantKind(t, err, awserror.Unavailable)
			var failed *awserror.Error
			if errors.As(err, &failed) && (failed.Operation != operation || len(failed.Resource) <= len(tableName)) {
				t.Errorf("%s, %s: %v", operation, name, err)
			}
			f.aws.Heal("")
		}
	}
	must(t, drafts.FinishBaseline(t.Context()))
	if held, err := lease.Acquire(t.Context()); !held || err != nil {
		t.Errorf("a failed call left a lease: %v, %v", held, err)
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	cursor := f.SurveyCursor()
	want := func(after string) {
		t.Helper()
		if got, err := cursor.Get(t.Context()); got != after || err != nil {
			t.Errorf("cursor %q, %v; want %q", got, err, after)
		}
	}
	want("")
	must(t, cursor.Set(t.Context(), "", "wx5"))
	want("wx5")
	must(t, cursor.Set(t.Context(), "", "wx9")) // a survey that began before
	want("wx5")
	f.wantCalls(t, func() { must(t, cursor.Set(t.Context(), "wx5", "wx5")) })
	f.aws.Fail("dynamodb:UpdateItem", awstest.DropAfter()) // the SDK repeats, and finds its own write
	must(t, cursor.Set(t.Context(), "wx5", ""))
	want("")
}
