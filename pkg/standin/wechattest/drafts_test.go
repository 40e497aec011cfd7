package wechattest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestExampleDrafts(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	want := object{"errcode": 0.0, "errmsg": "ok", "draft_list": []any{
		object{"create_time": 1488965944.0, "user_version": "VVV", "user_desc": "AAS", "draft_id": 0.0, "source_miniprogram_appid": "wx6XXXXXXXXXXXXXXX",
			"source_miniprogram": "LXXXXX", "developer": "XXX", "category_list": []any{}},
		object{"create_time": 1504790906.0, "user_version": "11", "user_desc": "111111", "draft_id": 4.0, "source_miniprogram_appid": "wx6XXXXXXXXXXXXXXX",
			"source_miniprogram": "LXXXXX", "developer": "XXX", "category_list": []any{}},
	}}
	if diff := cmp.Diff(want, w.get(wechattest.PathDraftList, w.IssueComponentToken())); diff != "" {
		t.Error(diff)
	}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	w := start(t)
	token := w.IssueComponentToken()
	list := func() any { return w.get(wechattest.PathDraftList, token)["draft_list"] }
	if diff := cmp.Diff([]any{}, list()); diff != "" {
		t.Errorf("an empty box: %s", diff)
	}
	first := w.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: "wxaaaaaaaaaaaaaaaa", UserVersion: "1"})
	other := w.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: "wxbbbbbbbbbbbbbbbb", UserDesc: "<a>\n中文", CreateTime: 7,
		Extra: map[string]any{"colour": "red"}, Omit: []string{"developer", "category_list"}})
	w.clock.advance(time.Second)
	newer := w.UploadDraft(wechattest.Draft{SourceMiniProgramAppID: "wxaaaaaaaaaaaaaaaa", UserVersion: "2", DraftID: 9})
	if first != 0 || other != 1 || newer != 9 {
		t.Errorf("ids %d, %d, %d; want 0, 1, 9", first, other, newer)
	}
	want := []any{
		object{"draft_id": 1.0, "create_time": 7.0, "user_version": "", "user_desc": "<a>\n中文", "source_miniprogram_appid": "wxbbbbbbbbbbbbbbbb",
			"source_miniprogram": "", "colour": "red"},
		object{"draft_id": 9.0, "create_time": float64(w.clock.now().Unix()), "user_version": "2", "user_desc": "", "source_miniprogram_appid": "wxaaaaaaaaaaaaaaaa",
			"source_miniprogram": "", "developer": "", "category_list": []any{}},
	}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Error(diff)
	}
	w.RemoveDraft(1)
	if drafts := w.Drafts(); len(drafts) != 1 || drafts[0].DraftID != 9 {
		t.Errorf("after the removal: %+v", drafts)
	}
}

func TestEmptyListsLeftOut(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithEmptyListsLeftOut())
	for _, path := range []string{wechattest.PathDraftList, wechattest.PathTemplateList} {
		if diff := cmp.Diff(object{"errcode": 0.0, "errmsg": "ok"}, w.get(path, w.IssueComponentToken())); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithTemplateLimit(2))
	token := w.IssueComponentToken()
	list := func(more ...string) []any {
		t.Helper()
		return w.get(wechattest.PathTemplateList, token, more...)["template_list"].([]any)
	}
	wantCode(t, "no such draft", w.post(wechattest.PathAddToTemplate, token, `{"draft_id":3}`), 85064)
	for range 2 {
		if diff := cmp.Diff(object{"errcode": 0.0, "errmsg": "ok"}, w.post(wechattest.PathAddToTemplate, token, `{"draft_id":0,"template_type":0}`)); diff != "" {
			t.Error(diff)
		}
	}
	wantCode(t, "a third", w.post(wechattest.PathAddToTemplate, token, `{"draft_id":4}`), 85065)
	wantCode(t, "a standard one", w.post(wechattest.PathAddToTemplate, token, `{"draft_id":4,"template_type":1}`), 0)
	wantCode(t, "an unknown type", w.post(wechattest.PathAddToTemplate, token, `{"draft_id":4,"template_type":2}`), 61020)
	want := object{"template_id": 0.0, "template_type": 0.0, "create_time": float64(w.clock.now().Unix()), "user_version": "VVV", "user_desc": "AAS",
		"source_miniprogram_appid": "wx6XXXXXXXXXXXXXXX", "source_miniprogram": "LXXXXX", "developer": "XXX", "category_list": []any{}}
	if diff := cmp.Diff(want, list()[0]); diff != "" {
		t.Error(diff)
	}
	if all, ordinary, standard := len(list()), len(list("template_type", "0")), len(list("template_type", "1")); all != 3 || ordinary != 2 || standard != 1 {
		t.Errorf("%d templates, %d ordinary and %d standard; want 3, 2, 1", all, ordinary, standard)
	}
	wantCode(t, "list of another type", w.get(wechattest.PathTemplateList, token, "template_type", "x"), 61020)
	wantCode(t, "delete without an id", w.post(wechattest.PathDeleteTemplate, token, `{}`), 47001)
	wantCode(t, "delete", w.post(wechattest.PathDeleteTemplate, token, `{"template_id":0}`), 0)
	wantCode(t, "delete again", w.post(wechattest.PathDeleteTemplate, token, `{"template_id":0}`), 85064)
	if id := w.AddTemplate(wechattest.Template{}); id != 3 {
		t.Errorf("id %d, want 3: ids are not used again", id)
	}
}

func TestTemplatesRememberDraftID(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithTemplateDraftIDs())
	token := w.IssueComponentToken()
	w.post(wechattest.PathAddToTemplate, token, `{"draft_id":0}`)
	got := w.get(wechattest.PathTemplateList, token)["template_list"].([]any)[0].(object)
	if id, there := got["draft_id"]; !there || id != 0.0 {
		t.Errorf("draft_id %v, want 0", id)
	}
}
