package main

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/apitest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// A fresh run's responses match the examples of the OpenAPI document, in this order, except for times and ids.
func TestExamples(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	document, err := apitest.Document()
	if err != nil {
		t.Fatal(err)
	}
	l, _ := startLocal(t, "../../template.yaml", nil)
	simulated := l.world.wechat
	switchOf := func(appID string) string { return "/accounts/" + appID + "/draft-switch" }

	played := map[string]bool{}
	for _, step := range []struct {
		example string
		prepare func()
		request string
		body    string
		status  int
	}{
		{"Drafts", nil, "GET /drafts", "", 200},
		{"DraftHistory", nil, "GET /drafts/history", "", 200},
		{"Draft", nil, "GET /drafts/4", "", 200},
		{"InvalidRequest", nil, "GET /drafts?colour=red", "", 400},
		{"NotFound", nil, "GET /drafts/9", "", 404},
		{"Accounts", nil, "GET /accounts", "", 200},
		{"SwitchClosed", nil, "GET " + switchOf(wechattest.ExampleClosed), "", 200},
		{"NotGranted", nil, "GET " + switchOf(wechattest.ExampleNotGranted), "", 403},
		{"ConfirmationRequired", nil, "POST " + switchOf(wechattest.ExampleClosed), "", 400},
		{"SwitchOpened", nil, "POST " + switchOf(wechattest.ExampleClosed), `{"confirm": "` + wechattest.ExampleClosed + `"}`, 200},
		{"SwitchOpening", func() { // the second check, after the opening, still says 0
			simulated.Fail("", wechattest.Pass().When(wechattest.Request.Checks),
				wechattest.Raw(`{"errcode":0,"errmsg":"ok","is_open":0}`).When(wechattest.Request.Checks))
		}, "POST " + switchOf(wechattest.ExampleOwn), `{"confirm": "` + wechattest.ExampleOwn + `"}`, 202},
		{"Template", nil, "POST /drafts/4/template", "", 201},
		{"Templates", nil, "GET /templates", "", 200},
		{"LibraryFull", func() {
			for range 199 {
				simulated.AddTemplate(wechattest.Template{})
			}
		}, "POST /drafts/0/template", "", 409},
		{"ArticleDrafts", func() {
			simulated.AddArticleDraft(wechattest.ExampleClosed, wechattest.ArticleDraft{MediaID: "m1", UpdateTime: 1504790906, Articles: []wechattest.Article{
				{Title: "Spring tea", Author: "Lin", Digest: "The first leaves", URL: "https://mp.weixin.qq.com/s/1"},
			}})
		}, "GET /accounts/" + wechattest.ExampleClosed + "/drafts", "", 200},
		{"EgressIp", func() {
			simulated.RefuseAddress("198.51.100.154")
			time.Sleep(3 * time.Second) // for so long the list of before is fresh
		}, "GET /drafts?fresh=true", "", 502},
	} {
		if step.prepare != nil {
			step.prepare()
		}
		played[step.example] = true
		method, target, _ := strings.Cut(step.request, " ")
		status, header, body := call(t, method, l.url+target, step.body)
		if status != step.status {
			t.Errorf("%s: %d, want %d: %s", step.request, status, step.status, body)
		}
		parsed, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		if err := apitest.CheckAnswer(t.Context(), method, parsed.Path, status, header, body); err != nil {
			t.Errorf("%s: %v", step.request, err)
		}
		var got any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %s: %v", step.request, body, err)
		}
		example := document.Components.Examples[step.example]
		if example == nil {
			t.Errorf("there is no example %s", step.example)
			continue
		}
		if diff := cmp.Diff(settled(example.Value.Value), settled(got)); diff != "" {
			t.Errorf("%s, the example %s (-document +answer):\n%s", step.request, step.example, diff)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(document.Components.Examples)), slices.Sorted(maps.Keys(played))); diff != "" {
		t.Errorf("examples (-document +played):\n%s", diff)
	}
}

var rid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}`)

// settled replaces the parts of a response that differ between runs.
func settled(v any) any {
	switch v := v.(type) {
	case map[string]any:
		_, template := v["template_id"]
		for key, value := range v {
			switch {
			case value != nil && slices.Contains([]string{"request_id", "rid", "fetched_at", "checked_at", "seen_at"}, key), template && strings.HasPrefix(key, "create"):
				v[key] = "settled"
			default:
				v[key] = settled(value)
			}
		}
	case []any:
		for at := range v {
			v[at] = settled(v[at])
		}
	case string:
		return rid.ReplaceAllString(v, "settled")
	case int:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}
