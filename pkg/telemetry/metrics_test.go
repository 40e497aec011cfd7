package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/wechat"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func flushed(t *testing.T, record func(*telemetry.Recorder)) (lines []string) {
	t.Helper()
	var out bytes.Buffer
	r := telemetry.NewRecorder(&out, "prod-drafts", func() time.Time { return at })
	record(r)
	r.Flush()
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	slices.Sort(lines)
	return lines
}

func TestLines(t *testing.T) {
	t.Parallel()
	const path = "/wxa/gettemplatedraftlist"
	got := flushed(t, func(r *telemetry.Recorder) {
		r.Put(telemetry.TicketAge, 61.5)
		r.Count(telemetry.CacheHits)
		r.Count(telemetry.CacheHits)
		r.Attempt(wechat.Attempt{Call: path, Latency: 1500 * time.Microsecond})
		r.Attempt(wechat.Attempt{Call: path, Latency: 2 * time.Millisecond, Err: &wechat.APIError{Call: path, Code: 61004}})
		r.Attempt(wechat.Attempt{Call: path, Latency: 2 * time.Millisecond, Err: fmt.Errorf("x: %w", &wechat.TransportError{Call: path, Cause: wechat.TimedOut})})
	})
	head := `"_aws":{"CloudWatchMetrics":[{"Namespace":"WechatDraftbox","Dimensions":`
	tail := fmt.Sprintf(`}],"Timestamp":%d}`, at.UnixMilli())
	want := []string{
		`{"CacheHits":[2],"FunctionName":"prod-drafts","TicketAge":[61.5],"WhitelistRefusals":[1],` + head +
			`[["FunctionName"]],"Metrics":[{"Name":"CacheHits","Unit":"Count"},{"Name":"TicketAge","Unit":"Seconds"},{"Name":"WhitelistRefusals","Unit":"Count"}]` + tail + `}`,
		`{"Call":"` + path + `","ErrorClass":"timed-out","FunctionName":"prod-drafts","WeChatErrors":[1],` + head +
			`[["FunctionName","Call","ErrorClass"]],"Metrics":[{"Name":"WeChatErrors","Unit":"Count"}]` + tail + `}`,
		`{"Call":"` + path + `","ErrorClass":"whitelist","FunctionName":"prod-drafts","WeChatErrors":[1],` + head +
			`[["FunctionName","Call","ErrorClass"]],"Metrics":[{"Name":"WeChatErrors","Unit":"Count"}]` + tail + `}`,
		`{"Call":"` + path + `","FunctionName":"prod-drafts","WeChatCalls":[3],"WeChatLatency":[1.5,2,2],` + head +
			`[["FunctionName","Call"]],"Metrics":[{"Name":"WeChatCalls","Unit":"Count"},{"Name":"WeChatLatency","Unit":"Milliseconds"}]` + tail + `}`,
	}
	var canonical []string // keys in one order
	for _, line := range want {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(v)
		canonical = append(canonical, string(text))
	}
	slices.Sort(canonical)
	for i, line := range got {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(v)
		got[i] = string(text)
	}
	slices.Sort(got)
	if diff := cmp.Diff(canonical, got); diff != "" {
		t.Error(diff)
	}
}

// A value that JSON doesn't have costs no other value.
func TestValuesThatAreNoNumber(t *testing.T) {
	t.Parallel()
	got := flushed(t, func(r *telemetry.Recorder) {
		r.Put(telemetry.TokenAge, math.Inf(1))
		r.Put(telemetry.TokenAge, math.NaN())
		r.Put(telemetry.TicketAge, 1e21)
	})
	if len(got) != 1 || !json.Valid([]byte(got[0])) || strings.Contains(got[0], telemetry.TokenAge) || !strings.Contains(got[0], telemetry.TicketAge) {
		t.Errorf("got %q", got)
	}
}

func TestNothingRecordedIsNothingWritten(t *testing.T) {
	t.Parallel()
	if got := flushed(t, func(r *telemetry.Recorder) {
		r.Count(telemetry.CacheHits)
		r.Flush()
	}); len(got) != 1 {
		t.Errorf("got %q", got)
	}
	if got := flushed(t, func(*telemetry.Recorder) {}); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestRefusalsOfQuota(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{45009: true, 45011: true, 61004: false, 40001: false} {
		got := flushed(t, func(r *telemetry.Recorder) { r.Attempt(wechat.Attempt{Err: &wechat.APIError{Code: code}}) })
		if found := strings.Contains(strings.Join(got, ""), `"QuotaRefusals":[1]`); found != want {
			t.Errorf("%d: %v", code, got)
		}
	}
}

// A deployment is rolled back for what its code and settings break, and for AWS. It isn't for WeChat, accounts or callers.
func TestServerFaults(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		errors.New("a slip of ours"):                         true,
		fault.New(fault.Misconfigured, "no platform secret"): true,
		fault.New(fault.AWSUnavailable, "throttled"):         true,
		fault.New(fault.WeChatBusy, "-1"):                    false,
		fault.New(fault.BadUpstreamAnswer, "no JSON"):        false,
		fault.New(fault.NotWhitelisted, "61004"):             false,
		fault.Invalid("limit"):                               false,
		fmt.Errorf("wait: %w", context.DeadlineExceeded):     false,
		fmt.Errorf("x: %w", &wechat.APIError{Code: 40125}):   true, // the app secret is wrong
		fmt.Errorf("x: %w", &wechat.APIError{Code: 48001}):   false,
	} {
		got := flushed(t, func(r *telemetry.Recorder) { telemetry.CountFault(telemetry.NewContext(t.Context(), r), err) })
		if found := strings.Contains(strings.Join(got, ""), `"ServerFaults":[1]`); found != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	telemetry.CountFault(t.Context(), errors.New("nobody records it"))
}

func TestManyValuesStayWithinWhatCloudWatchTakes(t *testing.T) {
	t.Parallel()
	got := flushed(t, func(r *telemetry.Recorder) {
		for i := range 1000 {
			r.Put(telemetry.Drafts, float64(i))
			r.Count(telemetry.CacheMisses)
		}
	})
	var line struct{ Drafts, CacheMisses []float64 }
	if err := json.Unmarshal([]byte(got[0]), &line); err != nil {
		t.Fatal(err)
	}
	if len(line.Drafts) != 100 || line.Drafts[99] != 999 || line.CacheMisses[0] != 1000 {
		t.Errorf("%d values, the last %v; counted %v", len(line.Drafts), line.Drafts[len(line.Drafts)-1], line.CacheMisses)
	}
}

func TestConcurrentInvocations(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	got := flushed(t, func(r *telemetry.Recorder) {
		for range 50 {
			wg.Go(func() { r.Count(telemetry.CacheHits); r.Put(telemetry.Drafts, 1) })
		}
		wg.Wait()
	})
	if !strings.Contains(got[0], `"CacheHits":[50]`) {
		t.Error(got)
	}
}
