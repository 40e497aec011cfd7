package telemetry_test

import (
	"io"
	"testing"
	"time"

	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/wechat"
)

// BenchmarkFlush writes the metrics of a GET /drafts that asked WeChat.
func BenchmarkFlush(b *testing.B) {
	recorder := telemetry.NewRecorder(io.Discard, "drafts", time.Now)
	b.ReportAllocs()
	for b.Loop() {
		recorder.Count(telemetry.CacheMisses)
		recorder.Put(telemetry.Drafts, 50)
		recorder.Attempt(wechat.Attempt{Call: "/wxa/gettemplatedraftlist", Latency: time.Millisecond})
		recorder.Flush()
	}
}
