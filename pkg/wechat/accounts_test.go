package wechat

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

func TestAuthorizerInfo(t *testing.T) {
	t.Parallel()
	wechat, c, component, _ := simulated(t)
	const appID = "wx0000000000000009"
	wechat.AddAccount(wechattest.Account{AppID: appID, Name: "小程序", Authorized: true, MiniProgram: true})
	platform := wechattest.ExamplePlatform().AppID
	for appID, want := range map[string]AuthorizerInfo{
		appID:                    {"小程序", MiniProgram},
		wechattest.ExampleClosed: {"Lantern Street", OfficialAccount},
	} {
		if got, err := c.AuthorizerInfo(t.Context(), component, platform, appID); err != nil || got != want {
			t.Errorf("%s: %+v, %v", appID, got, err)
		}
		if is, err := c.IsMiniProgram(t.Context(), component, platform, appID); err != nil || is != (want.Kind == MiniProgram) {
			t.Errorf("%s: %v, %v", appID, is, err)
		}
	}
	_, err := c.AuthorizerInfo(t.Context(), component, platform, wechattest.ExampleRevoked)
	var refusal *APIError
	if !errors.As(err, &refusal) || refusal.Code != 61003 {
		t.Errorf("revoked: %v", err)
	}
}

func TestAuthorizerInfoIsReadByItsBytes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]AuthorizerInfo{
		`{"authorizer_info":{"nick_name":"A","MiniProgramInfo":{}}}`:    {"A", MiniProgram},
		`{"authorizer_info":{"nick_name":"A","MiniProgramInfo":null}}`:  {"A", OfficialAccount},
		`{"authorizer_info":{"nick_name":7}}`:                           {"7", OfficialAccount},
		`{"authorizer_info":{"nick_name":null}}`:                        {"", OfficialAccount},
		`{"authorizer_info":{"service_type_info":{"id":0}}}`:            {"", OfficialAccount},
		"{\"authorizer_info\":{\"nick_name\":\"\xcd\xf5\xbe\xfc\"}}":    {"王军", OfficialAccount},
		"{\"authorizer_info\":{\"nick_name\":\"a\x14\U0001f600\"}}\x00": {"a\x14\U0001f600", OfficialAccount},
		`{"errcode":0}`:                         {},
		`{"authorizer_info":{}}`:                {},
		`{"authorizer_info":"MiniProgramInfo"}`: {},
	} {
		got, err := answering(t, body).AuthorizerInfo(t.Context(), awkward, "wx1", "wx2")
		if got != want || (err != nil) != (want == AuthorizerInfo{}) {
			t.Errorf("%q: %+v, %v", body, got, err)
		}
	}
}

func TestArticleDrafts(t *testing.T) {
	t.Parallel()
	wechat, c, component, _ := simulated(t)
	open := secret.New(wechat.IssueAccountToken(wechattest.ExampleOpen))
	if n, err := c.DraftCount(t.Context(), open); n != 2 || err != nil {
		t.Errorf("count %d, %v", n, err)
	}
	got, err := c.ArticleDrafts(t.Context(), open, 1, 20)
	const url = "http://mp.weixin.qq.com/s?__biz=example&mid=1"
	want := ArticleDrafts{Total: 2, Drafts: []ArticleDraft{{MediaID: "media-id-wx0000000000000002-0001", UpdateTime: 1767150000, Articles: []Article{
		{ArticleType: "news", Title: "春茶上市", Author: "Harbour Tea", Digest: "明前龙井", URL: url}, {ArticleType: "news", Title: "Opening hours"}}}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for offset, want := range map[int]int{0: 1, 2: 0, 99: 0} {
		if got, err := c.ArticleDrafts(t.Context(), open, offset, 1); err != nil || len(got.Drafts) != want || got.Total != 2 {
			t.Errorf("from %d: %+v, %v", offset, got, err)
		}
	}
	for name, err := range map[int]error{61015: second(c.DraftCount(t.Context(), component)), 61020: second(c.ArticleDrafts(t.Context(), open, 0, 21))} {
		var refusal *APIError
		if !errors.As(err, &refusal) || refusal.Code != name {
			t.Errorf("%v, want %d", err, name)
		}
	}
	for _, request := range wechat.Requests(wechattest.PathDraftBatchGet) {
		if !strings.Contains(request.Body, `"no_content":1`) {
			t.Errorf("asked for the content: %s", request.Body)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestArticleDraftsAreReadByTheirBytes(t *testing.T) {
	t.Parallel()
	one := []ArticleDraft{{MediaID: "m", UpdateTime: 1666920047}}
	for _, c := range []struct {
		name, body string
		want       ArticleDrafts
		bad        bool
	}{
		{"content missing", `{"total_count":1,"item":[{"media_id":"m","update_time":1666920047}]}`, ArticleDrafts{Drafts: one, Total: 1}, false},
		{"content null", `{"total_count":"1","item":[{"media_id":"m","update_time":"1666920047000","content":null}]}`, ArticleDrafts{Drafts: one, Total: 1}, false},
		{"articles an object", `{"total_count":1,"item":[{"media_id":"m","update_time":1666920047,"content":{"news_item":{}}}]}`, ArticleDrafts{Drafts: one, Total: 1}, false},
		{"title null", `{"total_count":1,"item":[{"media_id":"m","content":{"news_item":[{"title":null,"author":3,"need_open_comment":"1"}]}}]}`,
			ArticleDrafts{Drafts: []ArticleDraft{{MediaID: "m", Articles: []Article{{Author: "3", NeedOpenComment: 1}}}}, Total: 1}, false},
		{"no total", `{"item":[{"media_id":"m","update_time":1666920047}]}`, ArticleDrafts{Drafts: one, Total: 6}, false},
		{"no items", `{"total_count":5}`, ArticleDrafts{Total: 5}, false},
		{"items an object", `{"total_count":5,"item":{}}`, ArticleDrafts{Drafts: []ArticleDraft{}, Total: 5}, false},
		{"one without an id, one with a time in words", `{"total_count":2,"item":[{"title":"x"},{"media_id":"m","update_time":"soon"}]}`,
			ArticleDrafts{Drafts: []ArticleDraft{{MediaID: "m"}}, Total: 2, Unreadable: []Unreadable{{0, []string{"media_id"}, true}, {1, []string{"update_time"}, false}}}, false},
		{"no ids at all", `{"total_count":1,"item":[{"title":"x"}]}`, ArticleDrafts{}, true},
		{"neither", `{"errcode":0}`, ArticleDrafts{}, true},
		{"items a string", `{"total_count":1,"item":"[]"}`, ArticleDrafts{}, true},
	} {
		got, err := answering(t, c.body).ArticleDrafts(t.Context(), awkward, 5, 20)
		if (err != nil) != c.bad {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" && !c.bad {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestDraftCountIsReadByItsBytes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"total_count":0}`: 0, `{"errcode":0,"total_count":"5.0"}`: 5,
		`{"errcode":0}`: -1, `{"total_count":-2}`: -1, `{"total_count":null}`: -1, ``: -1,
	} {
		got, err := answering(t, body).DraftCount(t.Context(), awkward)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", body, got, err)
		}
	}
}

// TestQuotaOfZeros: WeChat's own sample gives no number.
func TestQuotaOfZeros(t *testing.T) {
	t.Parallel()
	for body, known := range map[string]bool{
		`{"errcode":0,"quota":{"daily_limit":0,"used":0,"remain":0}}`:                                               false,
		`{"errcode":0,"quota":{"daily_limit":"0","used":0.0,"remain":0},"rate_limit":{},"component_rate_limit":{}}`: false,
		`{"errcode":0,"quota":{"daily_limit":10,"used":10,"remain":0}}`:                                             true,
		`{"errcode":0,"quota":{"daily_limit":0,"used":1,"remain":0}}`:                                               true,
	} {
		quota, err := answering(t, body).DraftListQuota(t.Context(), awkward)
		if err != nil || quota.IsKnown() != known {
			t.Errorf("%s: %+v, %v", body, quota, err)
		}
	}
}

// TestWhatCouldNotBeReadIsTold: a list goes on without one bad entry, and the log can say so.
func TestWhatCouldNotBeReadIsTold(t *testing.T) {
	t.Parallel()
	drafts, err := answering(t, `{"errcode":0,"draft_list":[{"draft_id":8,"user_desc":{},"create_time":"soon","developer":null},{"user_version":"1"},{"draft_id":9}]}`).DraftList(t.Context(), awkward)
	want := []Unreadable{{0, []string{"create_time", "user_desc"}, false}, {1, []string{"draft_id"}, true}}
	if diff := cmp.Diff(want, drafts.Unreadable); err != nil || len(drafts.Drafts) != 2 || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got := want[0].String() + "; " + want[1].String(); got != "entry 0: create_time, user_desc can't be read; entry 1 is left out: its draft_id can't be read" {
		t.Error(got)
	}

	templates, err := answering(t, `{"errcode":0,"template_list":[{"template_id":"x"},{"template_id":1.0,"draft_id":"four","template_type":7,"category_list":{}}]}`).TemplateList(t.Context(), awkward)
	want = []Unreadable{{0, []string{"template_id"}, true}, {1, []string{"draft_id", "template_type"}, false}}
	if diff := cmp.Diff(want, templates.Unreadable); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if text, _ := templates.Templates[0].MarshalJSON(); string(text) != `{"template_id":1,"category_list":[]}` {
		t.Errorf("%s", text)
	}

	page, err := answering(t, `{"total_count":2,"list":[{"refresh_token":"r"},{"authorizer_appid":"wx1","refresh_token":null}]}`).Authorizers(t.Context(), awkward, "wx2", 0)
	if err != nil || page.Total != 2 || page.Entries != 2 || len(page.Authorizers) != 1 || page.Authorizers[0].AppID != "wx1" {
		t.Errorf("%+v, %v", page, err)
	}
}
