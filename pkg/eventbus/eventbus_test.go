package eventbus_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/standin/awstest"
)

func newBus(t *testing.T, log *slog.Logger) (*eventbus.Bus, *awstest.Server) {
	aws := awstest.New()
	endpoint := httptest.NewServer(aws)
	t.Cleanup(endpoint.Close)
	return eventbus.New(eventbridge.NewFromConfig(aws.Config(endpoint.URL)), "drafts", "the/stack", log), aws
}

// numbered are events whose details have their number and a text of this size.
func numbered(count, size int) (events []eventbus.Event) {
	for n := range count {
		events = append(events, eventbus.Event{DetailType: eventbus.DraftUploaded,
			Detail: map[string]any{"n": n, "text": strings.Repeat("x", size)}})
	}
	return events
}

// numbers are those of the events that were accepted.
func numbers(t *testing.T, aws *awstest.Server) (all []int) {
	t.Helper()
	for _, e := range aws.Events() {
		var detail struct{ N int }
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			t.Fatal(err)
		}
		all = append(all, detail.N)
	}
	return all
}

func TestPublish(t *testing.T) {
	t.Parallel()
	bus, aws := newBus(t, slog.New(slog.DiscardHandler))
	if err := bus.Publish(t.Context(), eventbus.Event{DetailType: eventbus.DraftRemoved, Detail: map[string]string{"text": "<长> & \n"}}); err != nil {
		t.Fatal(err)
	}
	got := aws.Events()[0]
	if got.Bus != "drafts" || !slices.Equal(got.Resources, []string{"the/stack"}) || got.Source != "wechat.draftbox" || got.DetailType != "Draft Removed" || string(got.Detail) != `{"text":"<长> & \n"}` {
		t.Errorf("got %+v with detail %s", got, got.Detail)
	}
}

func TestPublishNothing(t *testing.T) {
	t.Parallel()
	bus, aws := newBus(t, slog.New(slog.DiscardHandler))
	if err := bus.Publish(t.Context()); err != nil || aws.Calls("events:PutEvents") != 0 {
		t.Errorf("nothing to publish cost %d calls, error %v", aws.Calls("events:PutEvents"), err)
	}
}

// The stand-in refuses requests of more than 10 entries or 256 KB.
func TestPublishInBatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ count, size, calls int }{
		"ten":                 {10, 10, 1},
		"eleven":              {11, 10, 2},
		"many":                {25, 10, 3},
		"six of 100 KB":       {6, 100 << 10, 3},
		"the largest one":     {1, eventbus.MaxDetail - len(`{"n":0,"text":""}`), 1},
		"two of the largest":  {2, eventbus.MaxDetail - len(`{"n":0,"text":""}`), 2},
		"ten of a tenth each": {10, eventbus.MaxDetail/10 - 200, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus, aws := newBus(t, slog.New(slog.DiscardHandler))
			if err := bus.Publish(t.Context(), numbered(c.count, c.size)...); err != nil {
				t.Fatal(err)
			}
			want := make([]int, c.count)
			for n := range want {
				want[n] = n
			}
			if diff := cmp.Diff(want, numbers(t, aws)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if got := aws.Calls("events:PutEvents"); got != c.calls {
				t.Errorf("%d calls, want %d", got, c.calls)
			}
		})
	}
}

func TestPublishRepeatsTheRefusedEntriesOnly(t *testing.T) {
	t.Parallel()
	bus, aws := newBus(t, slog.New(slog.DiscardHandler))
	aws.Fail("events:PutEvents", awstest.FailEntries("ThrottlingException", 0, 2, 4), awstest.FailEntries("InternalFailure", 1))
	if err := bus.Publish(t.Context(), numbered(5, 1)...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 3, 0, 4, 2}, numbers(t, aws)); diff != "" {
		t.Errorf("events in the order they were accepted (-want +got):\n%s", diff)
	}
}

func TestPublishFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []awstest.Fault
		kind   awserror.Kind
		says   string
		calls  int
	}{
		"an entry again and again": {[]awstest.Fault{awstest.FailEntries("InternalFailure", 0).Sticky()},
			awserror.Unavailable, "events:PutEvents drafts: InternalFailure: 1 entries", 3},
		"not allowed": {[]awstest.Fault{awstest.Deny()}, awserror.Denied, "AccessDenied", 1},
		"in the second batch": {[]awstest.Fault{awstest.Delay(0), awstest.Deny()},
			awserror.Denied, "AccessDenied", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bus, aws := newBus(t, slog.New(slog.DiscardHandler))
			aws.Fail("events:PutEvents", c.faults...)
			err := bus.Publish(t.Context(), numbered(12, 1)...)
			if !awserror.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v", err)
			}
			if got := aws.Calls("events:PutEvents"); got != c.calls {
				t.Errorf("%d calls, want %d: nothing is sent after a failure", got, c.calls)
			}
		})
	}
}

func TestPublishCannotEncode(t *testing.T) {
	t.Parallel()
	bus, aws := newBus(t, slog.New(slog.DiscardHandler))
	err := bus.Publish(t.Context(), eventbus.Event{DetailType: eventbus.DraftUploaded, Detail: func() {}})
	if err == nil || aws.Calls("events:PutEvents") != 0 {
		t.Errorf("error %v, %d calls", err, aws.Calls("events:PutEvents"))
	}
}

func TestTokenRejected(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	bus, aws := newBus(t, slog.New(slog.NewTextHandler(&log, nil)))
	bus.TokenRejected(t.Context(), "", 40001, "v1")
	want := `{"appid":"","errcode":40001,"version_id":"v1"}`
	if got := aws.Events()[0]; got.DetailType != "Token Rejected" || string(got.Detail) != want || log.Len() > 0 {
		t.Errorf("got %+v with detail %s, and the log %q", got, got.Detail, &log)
	}
	aws.Fail("events:PutEvents", awstest.Deny())
	bus.TokenRejected(t.Context(), "wx0000000000000001", 40001, "v1")
	if len(aws.Events()) != 1 || !strings.Contains(log.String(), "wx0000000000000001") || !strings.Contains(log.String(), "AccessDenied") {
		t.Errorf("after a failure the log says %q", &log)
	}
}

// deadlineOf notes how long a request may take, and fails it.
type deadlineOf struct{ left time.Duration }

func (d *deadlineOf) Do(r *http.Request) (*http.Response, error) {
	if at, ok := r.Context().Deadline(); ok {
		d.left = time.Until(at)
	}
	return nil, errors.New("no way out")
}

func TestTokenRejectedHoldsUpNobodyForLong(t *testing.T) {
	t.Parallel()
	var got deadlineOf
	config := awstest.New().Config("http://127.0.0.1")
	config.HTTPClient, config.RetryMaxAttempts = &got, 1
	bus := eventbus.New(eventbridge.NewFromConfig(config), "drafts", "the/stack", slog.New(slog.DiscardHandler))
	bus.TokenRejected(t.Context(), "", 40001, "v1")
	if got.left <= 0 || got.left > 3*time.Second {
		t.Errorf("it may take %v", got.left)
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	if a, b := eventbus.ID("Draft Uploaded", int64(4), 1504790906), eventbus.ID("Draft Uploaded", 4, int64(1504790906)); a != b {
		t.Errorf("the same parts give %s and %s", a, b)
	}
	// Ids stand in consumers' stores: they must not change from one release to the next.
	if got := eventbus.ID("Draft Uploaded", 4, 1504790906); got != "43fb078250e88d880aaa6a739617cda7" {
		t.Errorf("the id of a well known event is %s", got)
	}
	ids := make(map[string]bool)
	for _, parts := range [][]any{{"a", 1, 2}, {"a", 12, ""}, {"a", 1, "2 "}, {"a", 1}, {"a1", 2}, {"b", 1, 2}} {
		ids[eventbus.ID(parts...)] = true
	}
	if len(ids) != 6 {
		t.Errorf("six things have %d ids", len(ids))
	}
}
