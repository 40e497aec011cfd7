package telemetry

// Metrics are written in CloudWatch's embedded metric format: JSON lines on standard output that CloudWatch Logs turns
// into metrics, without an API call. The existing libraries are unmaintained, or start goroutines and agent connections.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/wechat"
)

const (
	namespace = "WechatDraftbox"
	maxValues = 100 // of one metric in a line; CloudWatch's limit
)

// The metrics, with the dimension FunctionName each.
const (
	TokenAge          = "TokenAge"          // s: of the component token, since it was stored
	TokenTimeToExpiry = "TokenTimeToExpiry" // s: of the component token
	TicketAge         = "TicketAge"         // s
	Refreshed         = "Refreshed"
	// AccountsToReauthorize are the accounts whose administrators have to authorise the platform again.
	AccountsToReauthorize = "AccountsToReauthorize"
	RefreshFailures       = "RefreshFailures" // without those that only an account's administrator can fix
	Drafts                = "Drafts"
	CacheHits             = "CacheHits"
	CacheMisses           = "CacheMisses"
	AccountsOpen          = "AccountsOpen"
	AccountsClosed        = "AccountsClosed"
	AccountsUnknown       = "AccountsUnknown"
	QuotaRefusals         = "QuotaRefusals"
	WhitelistRefusals     = "WhitelistRefusals"
	Notices               = "Notices"        // accepted by a robot, counted for each robot
	NoticeFailures        = "NoticeFailures" // not accepted by a robot, counted at each try
	// ServerFaults are requests and invocations that failed by the bundle's own fault, see [fault.Kind.IsServerFault].
	ServerFaults = "ServerFaults"
)

// The metrics of calls to WeChat, with the dimensions FunctionName and Call; WeChatErrors with ErrorClass too.
const (
	WeChatCalls   = "WeChatCalls"
	WeChatLatency = "WeChatLatency" // ms
	WeChatErrors  = "WeChatErrors"
)

var units = map[string]string{
	TokenAge: "Seconds", TokenTimeToExpiry: "Seconds", TicketAge: "Seconds", WeChatLatency: "Milliseconds",
}

// Recorder collects metrics until they are flushed. It is safe for concurrent use.
type Recorder struct {
	out      io.Writer
	function string
	now      func() time.Time

	mu     sync.Mutex
	series map[dimensions]map[string][]float64
}

// dimensions are those of a series beside FunctionName; empty ones are omitted.
type dimensions struct{ call, class string }

// NewRecorder makes a recorder of a function's metrics that writes to out.
func NewRecorder(out io.Writer, function string, now func() time.Time) *Recorder {
	return &Recorder{out: out, function: function, now: now, series: make(map[dimensions]map[string][]float64)}
}

// Put records a value: an amount that is added up, or a level.
func (r *Recorder) Put(metric string, value float64) { r.put(dimensions{}, metric, value) }

func (r *Recorder) put(d dimensions, metric string, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return // JSON can't encode it, and the whole line would be lost
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.series[d] == nil {
		r.series[d] = make(map[string][]float64)
	}
	values := r.series[d][metric]
	if len(values) == maxValues { // drop the oldest
		values = values[:copy(values, values[1:])]
	}
	r.series[d][metric] = append(values, value)
}

// Attempt records a request to WeChat; it is an observer of [wechat.WithObserver].
func (r *Recorder) Attempt(a wechat.Attempt) {
	call := dimensions{call: a.Call}
	r.count(call, WeChatCalls)
	r.put(call, WeChatLatency, float64(a.Latency.Microseconds())/1000)
	if a.Err == nil {
		return
	}
	r.count(dimensions{a.Call, class(a.Err)}, WeChatErrors)
	var refusal *wechat.APIError
	if errors.As(a.Err, &refusal) {
		switch refusal.Info().Class {
		case wechat.DayQuota, wechat.MinuteQuota:
			r.count(dimensions{}, QuotaRefusals)
		case wechat.Whitelist:
			r.count(dimensions{}, WhitelistRefusals)
		}
	}
}

type contextKey struct{}

// NewContext returns a context that carries r.
func NewContext(ctx context.Context, r *Recorder) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// CountFault counts err in [ServerFaults] if it is one and ctx has a recorder.
func CountFault(ctx context.Context, err error) {
	r, ok := ctx.Value(contextKey{}).(*Recorder)
	if ok && fault.Of(err, r.now()).Kind.IsServerFault() {
		r.Count(ServerFaults)
	}
}

// Count adds one to a metric.
func (r *Recorder) Count(metric string) { r.count(dimensions{}, metric) }

func (r *Recorder) count(d dimensions, metric string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.series[d] == nil {
		r.series[d] = make(map[string][]float64)
	}
	values := r.series[d][metric]
	if values == nil {
		values = []float64{0}
	}
	values[0]++
	r.series[d][metric] = values
}

// class is the error class of a failed request.
func class(err error) string {
	var refusal *wechat.APIError
	var failure *wechat.TransportError
	switch {
	case errors.As(err, &refusal):
		return refusal.Info().Class.String()
	case errors.As(err, &failure):
		return failure.Cause.String()
	}
	return wechat.Other.String()
}

// Flush writes what was recorded since the last Flush, a line for each set of dimensions.
func (r *Recorder) Flush() {
	r.mu.Lock()
	series := r.series
	r.series = make(map[dimensions]map[string][]float64)
	r.mu.Unlock()
	if len(series) == 0 {
		return
	}
	lines := make([]byte, 0, 512*len(series))
	for d, metrics := range series {
		lines = r.appendLine(lines, d, metrics)
	}
	r.out.Write(lines) // one write, so that concurrent lines don't interleave
}

// appendLine encodes by hand: it runs in each invocation, and encoding/json would double the time of a cached answer.
func (r *Recorder) appendLine(out []byte, d dimensions, metrics map[string][]float64) []byte {
	names := slices.Sorted(maps.Keys(metrics))
	out = append(out, `{"_aws":{"Timestamp":`...)
	out = strconv.AppendInt(out, r.now().UnixMilli(), 10)
	out = append(out, `,"CloudWatchMetrics":[{"Namespace":"`+namespace+`","Dimensions":[["FunctionName"`...)
	if d.call != "" {
		out = append(out, `,"Call"`...)
	}
	if d.class != "" {
		out = append(out, `,"ErrorClass"`...)
	}
	out = append(out, `]],"Metrics":[`...)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(out, `{"Name":"`...), name...)
		out = append(append(append(out, `","Unit":"`...), cmp.Or(units[name], "Count")...), `"}`...)
	}
	out = append(out, `]}]}`...)
	out = appendText(out, "FunctionName", r.function)
	if d.call != "" {
		out = appendText(out, "Call", d.call)
	}
	if d.class != "" {
		out = appendText(out, "ErrorClass", d.class)
	}
	for _, name := range names {
		out = append(append(append(out, `,"`...), name...), `":[`...)
		for i, value := range metrics[name] {
			if i > 0 {
				out = append(out, ',')
			}
			out = strconv.AppendFloat(out, value, 'f', -1, 64)
		}
		out = append(out, ']')
	}
	return append(out, "}\n"...)
}

func appendText(out []byte, key, text string) []byte {
	out = append(append(append(out, `,"`...), key...), `":`...)
	out, _ = jsontext.AppendQuote(out, text)
	return out
}
