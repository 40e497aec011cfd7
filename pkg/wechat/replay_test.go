package wechat_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

func TestAReadIsSentThreeTimesInAllOverKeptConnections(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
			t.Errorf("a GET was sent with a body: %d %v", r.ContentLength, r.TransferEncoding)
		}
		sent.Add(1)
		if broken.Load() {
			panic(http.ErrAbortHandler)
		}
		w.Write([]byte(`{"errcode":0,"draft_list":[]}`))
	}))
	defer server.Close()
	c := wechat.New([]string{server.URL}, wechat.WithBackoff(func(int) time.Duration { return time.Millisecond }))
	defer c.CloseIdleConnections()
	if _, err := c.DraftList(t.Context(), secret.New("t")); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if _, err := c.DraftList(t.Context(), secret.New("t")); err == nil {
		t.Fatal("want an error")
	}
	if got := sent.Load(); got != 1+3 {
		t.Errorf("sent %d times, want 3 after the first call", got-1)
	}
}
