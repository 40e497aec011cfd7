package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// articleList is the answer of GET /accounts/{appid}/drafts.
type articleList struct {
	Drafts []struct {
		MediaID   string  `json:"media_id"`
		UpdatedAt *string `json:"updated_at"`
		Articles  []struct{ Title, URL string }
	}
	Count int
	Total int `json:"total_count"`
	Next  string
}

func articlesOf(t *testing.T, f *functiontest.Function, query string) (list articleList, r functiontest.Response) {
	t.Helper()
	r = f.HTTP(t.Context(), "GET", "/accounts/"+wechattest.ExampleOpen+"/drafts"+query, "")
	if r.Status == 200 {
		r.Decode(t, &list)
	}
	return list, r
}

// startArticles starts the function with an account that has n article drafts beside the example's.
func startArticles(t *testing.T, n int) (*functiontest.World, *functiontest.Function, int) {
	t.Helper()
	world, f := start(t)
	for i := range n {
		world.WeChat.AddArticleDraft(wechattest.ExampleOpen, wechattest.ArticleDraft{
			UpdateTime: int64(1504790906 + i), Articles: []wechattest.Article{{Title: fmt.Sprint("Title ", i)}},
		})
	}
	return world, f, len(world.WeChat.ArticleDrafts(wechattest.ExampleOpen))
}

func TestArticleDrafts(t *testing.T) {
	t.Parallel()
	world, f, total := startArticles(t, 45)
	seen := map[string]bool{}
	var sizes []int
	for query := ""; ; {
		page, r := articlesOf(t, f, query)
		if r.Status != 200 || page.Total != total || page.Count != len(page.Drafts) || r.Header["Age"] != "0" || !strings.HasPrefix(r.Header["Cache-Control"], "private, max-age=") {
			t.Fatalf("%d %v: %s", r.Status, r.Header, r.Body)
		}
		for _, d := range page.Drafts {
			seen[d.MediaID] = true
		}
		sizes = append(sizes, page.Count)
		if page.Next == "" {
			break
		}
		query = "?next=" + page.Next
	}
	if len(seen) != total || sizes[0] != 20 {
		t.Errorf("%d of %d drafts on pages of %v", len(seen), total, sizes)
	}
	calls := world.WeChat.Calls(wechattest.PathDraftBatchGet)
	articlesOf(t, f, "")
	world.Clock.Forward(articlesTTL - time.Second)
	if _, r := articlesOf(t, f, ""); world.WeChat.Calls(wechattest.PathDraftBatchGet) != calls || r.Header["Age"] != "59" {
		t.Errorf("a cached page was asked for again: Age %s", r.Header["Age"])
	}
	world.Clock.Forward(time.Second)
	if articlesOf(t, f, ""); world.WeChat.Calls(wechattest.PathDraftBatchGet) != calls+1 {
		t.Error("a page is cached for longer than a minute")
	}
	if page, _ := articlesOf(t, f, "?limit=3"); page.Count != 3 || page.Next == "" {
		t.Errorf("with a limit of 3: %+v", page)
	}
}

func TestArticleDraftsRefuses(t *testing.T) {
	t.Parallel()
	_, f, _ := startArticles(t, 0)
	for _, query := range []string{"?limit=0", "?limit=21", "?limit=x", "?next=x", "?next=AAAA", "?offset=1"} {
		if _, r := articlesOf(t, f, query); r.Status != 400 {
			t.Errorf("%s: %d", query, r.Status)
		}
	}
	for appID, status := range map[string]int{"wx1": 400, "wx0000000000000009": 404, wechattest.ExampleNotGranted: 403} {
		if r := f.HTTP(t.Context(), "GET", "/accounts/"+appID+"/drafts", ""); r.Status != status {
			t.Errorf("%s: %d %s", appID, r.Status, r.Body)
		}
	}
}

// TestArticleQuota: each account has its own quota. While it is used up, the last page is returned.
func TestArticleQuota(t *testing.T) {
	t.Parallel()
	world, f, total := startArticles(t, 1)
	articlesOf(t, f, "")
	world.Clock.Forward(2 * articlesTTL)
	world.WeChat.Fail(wechattest.PathDraftBatchGet, wechattest.Refuse(45009))
	for range 2 {
		if page, r := articlesOf(t, f, ""); page.Total != total || r.Header["Cache-Control"] != "private, no-cache" || r.Header["Age"] != "120" {
			t.Errorf("%d %v %s", r.Status, r.Header, r.Body)
		}
	}
	if _, r := articlesOf(t, f, "?limit=7"); r.Status != 429 || r.Header["Retry-After"] == "" {
		t.Errorf("a page that nobody asked for before: %d", r.Status)
	}
	if n := world.WeChat.Calls(wechattest.PathDraftBatchGet); n != 2 {
		t.Errorf("%d calls", n)
	}
	if r := f.HTTP(t.Context(), "GET", "/accounts/"+wechattest.ExampleOwn+"/drafts", ""); r.Status != 200 {
		t.Errorf("another account: %d %s", r.Status, r.Body)
	}
}

// TestRetiredSwitch: where WeChat has retired the switch, it counts the drafts of an account that can use them.
func TestRetiredSwitch(t *testing.T) {
	t.Parallel()
	id := wechattest.ExampleClosed
	for name, retire := range map[string]func(*functiontest.World){
		"404":   func(w *functiontest.World) { w.WeChat.RetireSwitch(404, 0) },
		"48009": func(w *functiontest.World) { w.WeChat.RetireSwitch(200, 48009) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			world.SetAccount(id, fields{"status": "authorized", "draft_switch": "closed"})
			retire(world)
			r := f.HTTP(t.Context(), "GET", path(id), "")
			var got map[string]any
			r.Decode(t, &got)
			delete(got, "checked_at")
			if diff := cmp.Diff(map[string]any{"appid": id, "is_open": true, "state": "open", "by": "draft-count"}, got); diff != "" {
				t.Error(diff)
			}
			if r := confirmed(t.Context(), f, id); r.Status != 200 || !strings.Contains(r.Body, `"changed":false`) || world.WeChat.OpenCalls() != 0 {
				t.Errorf("an opening: %d %s", r.Status, r.Body)
			}
			if known := world.Account(id)["draft_switch"]; known != "open" {
				t.Errorf("recorded %v", known)
			}
			world.WeChat.Fail(wechattest.PathDraftCount, wechattest.Refuse(61007))
			if slug, problem := f.HTTP(t.Context(), "GET", path(id), "").Problem(t); slug != "not-granted" {
				t.Errorf("the count's own refusal: %v", problem)
			}
		})
	}
}

// TestSurveyOfARetiredSwitch: a state derived from the draft count is recorded and published like any other.
func TestSurveyOfARetiredSwitch(t *testing.T) {
	t.Parallel()
	world, f := start(t)
	world.SetAccount(wechattest.ExampleClosed, fields{"status": "authorized", "draft_switch": "closed"})
	world.WeChat.RetireSwitch(200, 48009)
	if _, err := f.Invoke(t.Context(), map[string]string{"task": surveyTask}); err != nil {
		t.Fatal(err)
	}
	changes := published(world, "Draft Switch Changed")
	var detail struct{ AppID, From, To string }
	if len(changes) != 1 || json.Unmarshal([]byte(changes[0]), &detail) != nil || detail.AppID != wechattest.ExampleClosed || detail.To != "open" {
		t.Errorf("events %v", changes)
	}
}
