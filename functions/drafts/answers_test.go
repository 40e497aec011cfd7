package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/wechat"
)

// askBare sends a request to a bare handler, and returns the gateway's form of the answer.
func askBare(t *testing.T, h *handler, query, ifNoneMatch string) string {
	t.Helper()
	answer, err := h.router().Invoke(t.Context(), fmt.Appendf(nil, `{"version":"2.0","routeKey":"GET /drafts","rawPath":"/drafts",
		"rawQueryString":%q,"headers":{"if-none-match":%q},"requestContext":{"http":{"method":"GET","path":"/drafts"}}}`, query, ifNoneMatch))
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// boxOf fetches a list of drafts with descriptions of so many bytes.
func boxOf(drafts, description int) func(context.Context) (wechat.DraftList, error) {
	return func(context.Context) (wechat.DraftList, error) {
		var list wechat.DraftList
		for i := range drafts {
			d := wechat.Draft{DraftID: int64(i)}
			d.UserDesc = strings.Repeat("x", description)
			list.Drafts = append(list.Drafts, d)
		}
		return list, nil
	}
}

// Cached responses and 304s don't touch the drafts: they still work after the list's drafts are removed.
func TestCachedAnswersTouchNoDraft(t *testing.T) {
	t.Parallel()
	h := newBareHandler(time.Hour, boxOf(3, 10))
	first := askBare(t, h, "limit=2", "")
	_, after, _ := strings.Cut(first, `"ETag":"\"`)
	etag, _, ok := strings.Cut(after, `\"`)
	if !ok || !strings.Contains(first, `\"count\":2`) {
		t.Fatal(first)
	}
	list, _ := h.box.lists.Cached()
	list.Drafts = nil
	list.answer("limit=2", func() *api.Body { t.Error("the answer was made again"); return api.Text("") })
	if again := askBare(t, h, "limit=2", ""); !strings.Contains(again, `\"count\":2`) {
		t.Errorf("the answer was made again: %s", again)
	}
	if again := askBare(t, h, "limit=2", `"`+etag+`"`); !strings.HasPrefix(again, `{"statusCode":304,`) || !strings.HasSuffix(again, `"body":""}`) {
		t.Errorf("not a 304: %s", again)
	}
	if other := askBare(t, h, "limit=1", ""); !strings.Contains(other, `\"count\":0`) {
		t.Errorf("another query was answered from the cache: %s", other)
	}
}

func TestCachedAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ drafts, description, most int }{
		"by number":       {200, 10, maxAnswers},
		"by bytes":        {200, 5000, 4 + 1}, // some of 1 MB, and a smaller one that still fits
		"one of any size": {200, 25_000, 1},
	} {
		h := newBareHandler(time.Hour, boxOf(test.drafts, test.description))
		for limit := 1000; limit > 900; limit-- {
			if answer := askBare(t, h, fmt.Sprintf("limit=%d", limit), ""); !strings.Contains(answer, fmt.Sprintf(`\"count\":%d`, test.drafts)) {
				t.Fatalf("%s: %.300s", name, answer)
			}
		}
		list, _ := h.box.lists.Cached()
		size := 0
		for _, body := range list.answers {
			size += body.Size()
		}
		if n := len(list.answers); n == 0 || n > test.most || n > 1 && size > maxAnswerBytes || size != list.size {
			t.Errorf("%s: %d answers of %d bytes, counted as %d", name, n, size, list.size)
		}
	}
}

// Concurrent requests with the same query get the same body.
func TestAnAnswerIsMadeForAllWhoWait(t *testing.T) {
	t.Parallel()
	h := newBareHandler(time.Hour, boxOf(200, 100))
	want := len(askBare(t, h, "order=asc", ""))
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if got := len(askBare(t, h, "order=desc", "")); got != want {
				t.Errorf("%d bytes, want %d", got, want)
			}
		})
	}
	callers.Wait()
}
