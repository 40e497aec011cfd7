package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/wechat"
)

// BenchmarkList answers GET /drafts, with WeChat on loopback and from the cache.
func BenchmarkList(b *testing.B) {
	event, err := os.ReadFile("../../events/drafts/list.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{50, 1000} {
		upstream := httptest.NewServer(listOf(size))
		defer upstream.Close()
		client := wechat.New([]string{upstream.URL})
		defer client.CloseIdleConnections()
		for name, ttl := range map[string]time.Duration{"uncached": 0, "cached": time.Hour} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				router := newBareHandler(ttl, func(ctx context.Context) (wechat.DraftList, error) {
					return client.DraftList(ctx, secret.New("token"))
				}).router()
				b.ReportAllocs()
				for b.Loop() {
					answer, err := router.Invoke(b.Context(), event)
					if err != nil || !strings.Contains(string(answer[len(answer)-200:]), fmt.Sprintf(`\"count\":%d`, size)) {
						b.Fatal(err, string(answer))
					}
				}
			})
		}
	}
}

// newBareHandler creates a handler without tokens, AWS and watch.
func newBareHandler(ttl time.Duration, fetch func(context.Context) (wechat.DraftList, error)) *handler {
	log := telemetry.LogTo(slog.DiscardHandler, slog.LevelInfo)
	b := &box{ttl: ttl, now: time.Now, log: log, metrics: telemetry.NewRecorder(io.Discard, "drafts", time.Now), fetch: fetch}
	b.lists = cache.New(ttl, time.Now, b.load)
	return &handler{box: b, log: log}
}

// listOf answers with a list of so many drafts, from memory.
func listOf(size int) http.Handler {
	entries := make([]string, size)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"create_time":%d,"user_version":"3.0.%d","user_desc":"项目演示\n\n开发者甲 提交上传","draft_id":%d,`+
			`"source_miniprogram_appid":"wx%016d","source_miniprogram":"微用户","developer":"开发者甲_A","category_list":[]}`, 1666920047+i, i, i, i)
	}
	body := []byte(`{"errcode":0,"errmsg":"ok","draft_list":[` + strings.Join(entries, ",") + `]}`)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
}
