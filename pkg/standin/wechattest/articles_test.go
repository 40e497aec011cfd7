package wechattest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestArticleDrafts(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	open := w.IssueAccountToken(wechattest.ExampleOpen)
	id := w.AddArticleDraft(wechattest.ExampleOpen, wechattest.ArticleDraft{Articles: []wechattest.Article{{Title: "新", Content: "<p>x</p>"}}})
	if diff := cmp.Diff(object{"total_count": 3.0}, w.get(wechattest.PathDraftCount, open)); diff != "" {
		t.Error(diff)
	}
	page := w.post(wechattest.PathDraftBatchGet, open, object{"offset": 0, "count": 2, "no_content": 1})
	if page["total_count"] != 3.0 || page["item_count"] != 2.0 || len(page["item"].([]any)) != 2 {
		t.Errorf("page %v", page)
	}
	newest := page["item"].([]any)[0].(object)
	article := newest["content"].(object)["news_item"].([]any)[0].(object)
	if newest["media_id"] != id || newest["update_time"] != float64(w.clock.now().Unix()) || article["title"] != "新" || article["content"] != nil {
		t.Errorf("newest %v", newest)
	}
	whole := w.post(wechattest.PathDraftBatchGet, open, object{"offset": 0, "count": 1})
	if got := whole["item"].([]any)[0].(object)["content"].(object)["news_item"].([]any)[0].(object)["content"]; got != "<p>x</p>" {
		t.Errorf("content %v", got)
	}
	if got := w.post(wechattest.PathDraftBatchGet, open, object{"offset": 3, "count": 20}); len(got["item"].([]any)) != 0 {
		t.Errorf("past the end: %v", got)
	}

	w.AddAccount(wechattest.Account{AppID: wechattest.ExampleOpen, Authorized: true, Granted: true})
	if n := len(w.ArticleDrafts(wechattest.ExampleOpen)); n != 3 {
		t.Errorf("%d article drafts after the account was replaced", n)
	}
}

func TestArticleDraftsAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	w.AddAccount(wechattest.Account{AppID: "wx0000000000000009", Authorized: true, Granted: true, MiniProgram: true})
	for name, c := range map[string]struct {
		token string
		count int
		want  int
	}{
		"own account":          {w.IssueAccountToken(wechattest.ExampleOwn), 20, 0},
		"not granted":          {w.IssueAccountToken(wechattest.ExampleNotGranted), 20, 61007},
		"mini program":         {w.IssueAccountToken("wx0000000000000009"), 20, 48001},
		"the platform's token": {w.IssueComponentToken(), 20, 61015},
		"too many":             {w.IssueAccountToken(wechattest.ExampleOpen), 21, 61020},
		"none":                 {w.IssueAccountToken(wechattest.ExampleOpen), 0, 61020},
	} {
		wantCode(t, name, w.post(wechattest.PathDraftBatchGet, c.token, object{"offset": 0, "count": c.count, "no_content": 1}), c.want)
		if c.want != 61020 {
			wantCode(t, name+": count", w.get(wechattest.PathDraftCount, c.token), c.want)
		}
	}
}

func TestTitlesLeftOut(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithTitlesLeftOut())
	page := w.post(wechattest.PathDraftBatchGet, w.IssueAccountToken(wechattest.ExampleOwn), object{"offset": 0, "count": 20, "no_content": 1})
	want := []any{object{"media_id": "media-id-wx0000000000000005-0003", "update_time": 1767150120.0}}
	if diff := cmp.Diff(want, page["item"]); diff != "" {
		t.Error(diff)
	}
}

func TestAdminOfArticleDraftsAndTheRetiredSwitch(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	token := w.IssueAccountToken(wechattest.ExampleClosed)
	added := w.post("/_sim/article-drafts", "", object{"appid": wechattest.ExampleClosed, "articles": []object{{"title": "A"}}})
	if drafts := w.ArticleDrafts(wechattest.ExampleClosed); len(drafts) != 1 || drafts[0].MediaID != added["media_id"] || drafts[0].Articles[0].Title != "A" {
		t.Errorf("%v, %v", added, drafts)
	}
	w.post("/_sim/retire-switch", "", nil)
	wantCode(t, "retired", w.post(wechattest.PathSwitch, token, nil, "checkonly", "1"), 48009)
	wantCode(t, "count", w.get(wechattest.PathDraftCount, token), 0)
	w.post("/_sim/retire-switch", "", object{"status": 410})
	if status, _ := w.do(http.MethodPost, wechattest.PathSwitch, url.Values{"access_token": {token}, "checkonly": {"1"}}, ""); status != 410 {
		t.Errorf("status %d, want 410", status)
	}
}

func TestAnswerInGBKAndFaultsOfOneHost(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	token := w.IssueComponentToken()
	w.UploadDraft(wechattest.Draft{Developer: "籠"})
	w.Fail(wechattest.PathDraftList, wechattest.Status(503, "").ForHost("elsewhere.example").Always(), wechattest.Rewrite(wechattest.InGBK))
	status, body := w.do(http.MethodGet, wechattest.PathDraftList, url.Values{"access_token": {token}}, "")
	if status != 200 || !strings.Contains(body, "\"developer\":\"\xbb\x5c\"") {
		t.Errorf("status %d, %q", status, body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+wechattest.PathDraftList, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "elsewhere.example"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 503 {
		t.Errorf("status %d, want 503", response.StatusCode)
	}
}
