package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/trigger"
)

// miniProgram is the development mini program of the simulated WeChat's example drafts.
const miniProgram = "wx6XXXXXXXXXXXXXXX"

// start starts the function in a world with a component token.
func start(t *testing.T, options ...wechattest.Option) (*functiontest.World, *functiontest.Function) {
	t.Helper()
	world := functiontest.New(t, options...)
	world.StoreComponentToken()
	return world, world.Start(quick)
}

var quickly = timing{pollInterval: time.Millisecond, additionTime: 500 * time.Millisecond, historyTimeout: 2 * time.Second}

// quick wires the function as it is, but for its timing.
func quick(parts bootstrap.Deps) trigger.Router { return newHandler(parts, quickly).router() }

// wantProblem checks a response's status and slug, and returns its body.
func wantProblem(t *testing.T, got functiontest.Response, status int, slug string) map[string]any {
	t.Helper()
	if got.Status != status {
		t.Fatalf("status %d, want %d %s: %s", got.Status, status, slug, got.Body)
	}
	have, body := got.Problem(t)
	if have != slug {
		t.Errorf("%s, want %s: %s", have, slug, got.Body)
	}
	return body
}

func wantDetail(t *testing.T, problem map[string]any, text string) {
	t.Helper()
	if detail, _ := problem["detail"].(string); !strings.Contains(detail, text) {
		t.Errorf("the detail %q doesn't say %q", detail, text)
	}
}

// stock fills the library with four templates, ids 0 to 3.
func stock(w *wechattest.Server) {
	for _, template := range []wechattest.Template{
		{CreateTime: 1700000000, Draft: wechattest.Draft{UserVersion: "1.0", SourceMiniProgramAppID: miniProgram, Developer: "XXX"}},
		{CreateTime: 1700000300, Draft: wechattest.Draft{UserVersion: "1.1", SourceMiniProgramAppID: miniProgram, Developer: "YYY"}},
		{CreateTime: 1700000100, TemplateType: 1, Draft: wechattest.Draft{UserVersion: "1.0", Developer: "XXX",
			Extra: map[string]any{"audit_status": 2, "reason": "<无>"}}},
		{CreateTime: 1700000300, Draft: wechattest.Draft{UserVersion: "1.2", Developer: "XXX", Omit: []string{"source_miniprogram_appid"}}},
	} {
		w.AddTemplate(template)
	}
}

type listed struct {
	Templates []struct {
		ID int64 `json:"template_id"`
	}
	Count, Size, Limit int
	FetchedAt          time.Time `json:"fetched_at"`
}

func ids(l listed) []int64 {
	ids := []int64{}
	for _, t := range l.Templates {
		ids = append(ids, t.ID)
	}
	return ids
}

func TestList(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	world.Clock.Forward(time.Hour)
	began := world.Clock.Now().Truncate(time.Second)
	for query, want := range map[string][]int64{
		"":                               {3, 1, 2, 0},
		"?order=asc":                     {0, 2, 1, 3},
		"?order=desc&limit=1":            {3},
		"?template_type=0":               {3, 1, 0},
		"?template_type=1":               {2},
		"?template_type=1&developer=YYY": {},
		"?developer=XXX":                 {3, 2, 0},
		"?user_version=1.0":              {2, 0},
		"?source_miniprogram_appid=" + miniProgram:     {1, 0},
		"?since=1700000100&until=2023-11-14T22:15:00Z": {2},
		"?fresh=true": {3, 1, 2, 0},
	} {
		got := function.HTTP(t.Context(), "GET", "/templates"+query, "")
		if got.Status != 200 {
			t.Errorf("%s: status %d: %s", query, got.Status, got.Body)
			continue
		}
		var l listed
		got.Decode(t, &l)
		if diff := cmp.Diff(want, ids(l)); diff != "" {
			t.Errorf("%s: templates (-want +got):\n%s", query, diff)
		}
		if l.FetchedAt.Before(began) || l.FetchedAt.After(world.Clock.Now()) || l.FetchedAt.Location() != time.UTC {
			t.Errorf("%s: fetched at %v", query, l.FetchedAt)
		}
		if l.Count != len(want) || l.Size != 4 || l.Limit != 200 {
			t.Errorf("%s: count %d, size %d, limit %d, want %d, 4, 200", query, l.Count, l.Size, l.Limit, len(want))
		}
	}
	if n := world.WeChat.Calls(wechattest.PathTemplateList); n != 11 {
		t.Errorf("%d calls of WeChat for 11 requests", n)
	}
	for _, r := range world.WeChat.Requests(wechattest.PathTemplateList) {
		if strings.Contains(r.RawQuery, "template_type") {
			t.Error("a list of one type was asked for: size would be wrong")
		}
	}
}

func TestListBadQuery(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	for _, query := range []string{"template_type=2", "template_type=", "template_type=00", "template_type=0&template_type=1",
		"limit=0", "limit=1001", "order=up", "since=today", "fresh=yes", "draft_id=4"} {
		problem := wantProblem(t, function.HTTP(t.Context(), "GET", "/templates?"+query, ""), 400, "invalid-request")
		name, _, _ := strings.Cut(query, "=")
		wantDetail(t, problem, name)
		wantDetail(t, problem, "developer, fresh, limit, order, since, source_miniprogram_appid, template_type, until, user_version")
	}
	if n := world.WeChat.Calls(""); n != 0 {
		t.Errorf("%d calls of WeChat for nothing", n)
	}
}

func TestListETag(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	first := function.HTTP(t.Context(), "GET", "/templates?limit=1", "")
	if got := first.Header["Cache-Control"]; got != "private, no-cache" {
		t.Errorf("Cache-Control %q", got)
	}
	tag := first.Header["ETag"]
	if again := function.HTTP(t.Context(), "GET", "/templates?limit=1", "", "if-none-match", tag); again.Status != 304 || again.Body != "" {
		t.Errorf("status %d for an ETag that holds", again.Status)
	}
	if other := function.HTTP(t.Context(), "GET", "/templates?limit=2", ""); other.Header["ETag"] == tag {
		t.Error("another query has the same ETag")
	}
	world.WeChat.AddTemplate(wechattest.Template{CreateTime: 1}) // shows in size alone
	if after := function.HTTP(t.Context(), "GET", "/templates?limit=1", "", "if-none-match", tag); after.Status != 200 {
		t.Errorf("status %d after the library has grown", after.Status)
	}
}

func TestListOddAnswers(t *testing.T) {
	t.Parallel()
	world, function := start(t, wechattest.WithEmptyListsLeftOut())
	for name, c := range map[string]struct {
		fault wechattest.Fault
		want  string
	}{
		"key left out":       {wechattest.Pass(), `[]`},
		"empty list":         {wechattest.Raw(`{"template_list":[]}`), `[]`},
		"BOM":                {wechattest.Raw("\ufeff" + `{"errcode":0,"template_list":[{"template_id":0}]}`), `[{"template_id":0}]`},
		"numbers as strings": {wechattest.Raw(`{"errcode":"0","template_list":[{"template_id":"47","template_type":"0","draft_id":"0","create_time":"1624000154"}]}`), `[{"template_id":47,"draft_id":0,"template_type":0,"create_time":1624000154,"created_at":"2021-06-18T07:09:14Z"}]`},
		"control characters": {wechattest.Raw("{\"template_list\":[{\"template_id\":1,\"user_desc\":\"a\nb\"}]}"), `[{"template_id":1,"user_desc":"a\nb"}]`},
		"the documented one": {wechattest.Raw(`{"errcode":0,"errmsg":"ok","template_list":[{"create_time":1624000154,"user_version":"1.0.0","user_desc":"尝试提交草稿箱","template_id":47,"source_miniprogram_appid":"wxxxxxx","source_miniprogram":"测试测试测试234","developer":"。","template_type":1,"category_list":[{"first_class":"工具","second_class":"效率","first_id":287,"second_id":616}],"audit_scene":0,"audit_status":2,"reason":""}]}`),
			`[{"template_id":47,"template_type":1,"create_time":1624000154,"created_at":"2021-06-18T07:09:14Z","user_version":"1.0.0","user_desc":"尝试提交草稿箱","source_miniprogram_appid":"wxxxxxx","source_miniprogram":"测试测试测试234","developer":"。","category_list":[{"first_class":"工具","second_class":"效率","first_id":287,"second_id":616}],"audit_scene":0,"audit_status":2,"reason":""}]`},
	} {
		world.WeChat.Fail(wechattest.PathTemplateList, c.fault)
		got := function.HTTP(t.Context(), "GET", "/templates", "")
		if got.Status != 200 {
			t.Errorf("%s: status %d: %s", name, got.Status, got.Body)
			continue
		}
		var body struct{ Templates json.RawMessage }
		got.Decode(t, &body)
		if diff := cmp.Diff(c.want, string(body.Templates)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	if got := function.HTTP(t.Context(), "DELETE", "/templates/0", ""); got.Status != 204 || got.Body != "" {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	if n := len(world.WeChat.Templates()); n != 3 {
		t.Errorf("%d templates are left", n)
	}
	if n := world.WeChat.Calls(wechattest.PathTemplateList); n != 0 {
		t.Errorf("%d lists for a deletion that was answered", n)
	}
	problem := wantProblem(t, function.HTTP(t.Context(), "DELETE", "/templates/0", ""), 404, "not-found")
	wantDetail(t, problem, "there is no template 0")
	if said, _ := problem["wechat"].(map[string]any); said["errcode"] != 85064.0 {
		t.Errorf("WeChat's errcode is missing: %v", problem)
	}
	for i, outcome := range []string{"deleted", "not-found"} {
		lines := world.Log.Lines(`"audit":"template-delete"`)
		if len(lines) != 2 {
			t.Fatalf("%d audit lines for 2 attempts", len(lines))
		}
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"time", "level", "msg"} {
			delete(line, key)
		}
		if diff := cmp.Diff(map[string]any{"audit": "template-delete", "template_id": 0.0, "outcome": outcome,
			"caller": "arn:aws:iam::123456789012:user/ci", "source_ip": "192.0.2.1", "request_id": "request-1"}, line); diff != "" {
			t.Errorf("audit line (-want +got):\n%s", diff)
		}
	}
	for _, id := range []string{"-1", "x", "1.0", "+1", "9223372036854775808", "%20"} {
		wantProblem(t, function.HTTP(t.Context(), "DELETE", "/templates/"+id, ""), 400, "invalid-request")
	}
	if n := world.WeChat.Calls(wechattest.PathDeleteTemplate); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

func TestDeleteLostAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range lostAnswers() {
		t.Run(name+", deleted", func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			world.WeChat.Fail(wechattest.PathDeleteTemplate, fault.After())
			if got := function.HTTP(within(t, time.Second), "DELETE", "/templates/2", ""); got.Status != 204 {
				t.Errorf("status %d: %s", got.Status, got.Body)
			}
			wantOne(t, world, wechattest.PathDeleteTemplate, `"outcome":"deleted"`)
		})
		t.Run(name+", not deleted", func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			world.WeChat.Fail(wechattest.PathDeleteTemplate, fault)
			problem := wantProblem(t, function.HTTP(within(t, time.Second), "DELETE", "/templates/2", ""), 504, "wechat-timeout")
			wantDetail(t, problem, "was not repeated")
			wantOne(t, world, wechattest.PathDeleteTemplate, `"outcome":"wechat-timeout"`)
		})
	}
}

// TestDeleteLostAnswerUnseen: a library that can't be read doesn't show that the template is gone.
func TestDeleteLostAnswerUnseen(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	world.WeChat.Fail(wechattest.PathDeleteTemplate, wechattest.Drop())
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Refuse(45009).Always())
	problem := wantProblem(t, function.HTTP(t.Context(), "DELETE", "/templates/2", ""), 504, "wechat-timeout")
	wantDetail(t, problem, "was not repeated")
	wantOne(t, world, wechattest.PathDeleteTemplate, `"outcome":"wechat-timeout"`)
}

// wantOne checks that a write was sent once, and wrote one audit line if expected.
func wantOne(t *testing.T, world *functiontest.World, path, audited string) {
	t.Helper()
	if n := world.WeChat.Calls(path); n != 1 {
		t.Errorf("%s was sent %d times", path, n)
	}
	if n := len(world.Log.Lines(audited)); audited != "" && n != 1 {
		t.Errorf("%d audit lines with %s", n, audited)
	}
}

// TestRefusals has WeChat and AWS refuse each call of each route.
func TestRefusals(t *testing.T) {
	t.Parallel()
	refusals := map[int]string{ // errcode to status and slug
		40001: "502 token-rejected", 42001: "502 token-rejected", 40014: "502 token-rejected", 42006: "502 token-rejected",
		48001: "403 not-granted", 61007: "403 not-granted", 48004: "403 not-granted",
		45009: "429 quota-exceeded", 45011: "429 quota-exceeded",
		61014: "500 misconfigured", 40013: "500 misconfigured", 61011: "500 misconfigured",
		61004: "502 egress-ip-not-whitelisted", 40164: "502 egress-ip-not-whitelisted", 89503: "502 egress-ip-not-whitelisted",
		48009: "410 interface-retired", 61020: "502 bad-upstream-answer", 123456: "502 bad-upstream-answer",
	}
	routes := []struct{ method, target, path string }{
		{"POST", "/drafts/4/template", wechattest.PathDraftList},
		{"POST", "/drafts/4/template", wechattest.PathTemplateList},
		{"POST", "/drafts/4/template", wechattest.PathAddToTemplate},
		{"POST", "/drafts/latest/template?source_miniprogram_appid=" + miniProgram, wechattest.PathAddToTemplate},
		{"GET", "/templates", wechattest.PathTemplateList},
		{"DELETE", "/templates/0", wechattest.PathDeleteTemplate},
	}
	for _, route := range routes {
		t.Run(route.method+" "+route.target+" "+route.path, func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			for code, want := range refusals {
				calls := world.WeChat.Calls(route.path)
				world.WeChat.Fail(route.path, wechattest.Refuse(code).Always())
				got := function.HTTP(t.Context(), route.method, route.target, "")
				world.WeChat.Heal("")
				slug, body := got.Problem(t)
				if have := fmt.Sprint(got.Status, " ", slug); have != want {
					t.Errorf("%d: %s, want %s", code, have, want)
				}
				if said, _ := body["wechat"].(map[string]any); said["errcode"] != float64(code) {
					t.Errorf("%d: the problem doesn't hold WeChat's errcode: %s", code, got.Body)
				}
				if n := world.WeChat.Calls(route.path) - calls; n != 1 {
					t.Errorf("%d: sent %d times", code, n)
				}
			}
			if n := len(world.WeChat.Templates()); n != 4 {
				t.Errorf("%d templates, want 4", n)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"delete.json": 204, "list.json": 200, "list-filtered.json": 200, "promote.json": 201, "promote-latest.json": 201,
		"promote-latest-of-none.json": 400, "promote-missing.json": 404, "promote-without-body.json": 201,
	}
	files, err := filepath.Glob("../../events/templates/*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files, want %d (%v)", len(files), len(want), err)
	}
	for _, file := range files {
		world := functiontest.New(t)
		world.StoreComponentToken()
		function := world.Start(wire)
		stock(world.WeChat)
		event, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		result, err := function.Invoke(t.Context(), json.RawMessage(event))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var got struct {
			StatusCode int
			Body       string
		}
		if err := json.Unmarshal(result, &got); err != nil || got.StatusCode != want[filepath.Base(file)] {
			t.Errorf("%s: status %d, want %d: %s", file, got.StatusCode, want[filepath.Base(file)], got.Body)
		}
	}
}
