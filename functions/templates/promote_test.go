package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

type template struct {
	ID      int64  `json:"template_id"`
	Type    int    `json:"template_type"`
	Version string `json:"user_version"`
	Source  string `json:"source_miniprogram_appid"`
	Created string `json:"created_at"`
}

// wantTemplate checks the status and the Location of a promotion, and returns the template.
func wantTemplate(t *testing.T, got functiontest.Response, status int) template {
	t.Helper()
	if got.Status != status {
		t.Fatalf("status %d, want %d: %s", got.Status, status, got.Body)
	}
	var made template
	got.Decode(t, &made)
	location := ""
	if status == 201 {
		location = fmt.Sprintf("/templates/%d", made.ID)
	}
	if got.Header["Location"] != location {
		t.Errorf("Location %q, want %q", got.Header["Location"], location)
	}
	return made
}

// only is the one template of this version that the simulated WeChat holds.
func only(t *testing.T, w *wechattest.Server, version string) wechattest.Template {
	t.Helper()
	var found []wechattest.Template
	for _, have := range w.Templates() {
		if have.Draft.UserVersion == version {
			found = append(found, have)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d templates of version %s", len(found), version)
	}
	return found[0]
}

// lostAnswers lists all the ways in which WeChat's response to a write can be lost.
func lostAnswers() map[string]wechattest.Fault {
	return map[string]wechattest.Fault{
		"dropped": wechattest.Drop(), "reset": wechattest.Reset(), "hanging": wechattest.Hang(),
		"busy": wechattest.Refuse(-1), "HTTP 500": wechattest.Status(500, ""), "HTTP 404": wechattest.Status(404, ""),
		"redirected": wechattest.Redirect("https://example.com/"), "empty": wechattest.Raw(""), "HTML": wechattest.Raw("<html></html>"),
		"a list": wechattest.Raw("[]"), "no errcode to read": wechattest.Raw(`{"errcode":"none"}`),
	}
}

// shortest is a deadline that leaves enough time for an addition even on a busy machine, and not much more.
var shortest = quickly.additionTime + 1500*time.Millisecond

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestPromote(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target, body, sent string
		version            string
	}{
		"draft 0":         {"/drafts/0/template", "", `{"draft_id":0,"template_type":0}`, "VVV"},
		"empty object":    {"/drafts/4/template", "{}", `{"draft_id":4,"template_type":0}`, "11"},
		"white space":     {"/drafts/4/template", " \n", `{"draft_id":4,"template_type":0}`, "11"},
		"ordinary":        {"/drafts/4/template", `{"template_type": 0}`, `{"draft_id":4,"template_type":0}`, "11"},
		"standard":        {"/drafts/4/template", `{"template_type": 1}`, `{"draft_id":4,"template_type":1}`, "11"},
		"latest":          {"/drafts/latest/template?source_miniprogram_appid=" + miniProgram, "", `{"draft_id":4,"template_type":0}`, "11"},
		"latest standard": {"/drafts/latest/template?source_miniprogram_appid=" + miniProgram, `{"template_type":1}`, `{"draft_id":4,"template_type":1}`, "11"},
		"latest of a version": {"/drafts/latest/template?user_version=VVV&source_miniprogram_appid=" + miniProgram, "",
			`{"draft_id":0,"template_type":0}`, "VVV"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			made := wantTemplate(t, function.HTTP(t.Context(), "POST", c.target, c.body), 201)
			if given := only(t, world.WeChat, c.version); made.ID != given.TemplateID || made.Type != given.TemplateType {
				t.Errorf("template %+v, but WeChat gave it id %d", made, given.TemplateID)
			}
			if made.Version != c.version || made.Source != miniProgram || made.Created == "" {
				t.Errorf("the answer is not the whole template: %+v", made)
			}
			requests := world.WeChat.Requests(wechattest.PathAddToTemplate)
			if len(requests) != 1 || requests[0].Body != c.sent {
				t.Errorf("sent %+v, want once %s", requests, c.sent)
			}
		})
	}
}

func TestPromoteBase64(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	result, err := function.Invoke(t.Context(), map[string]any{
		"httpMethod": "POST", "path": "/drafts/4/template", "isBase64Encoded": true,
		"body":           base64.StdEncoding.EncodeToString([]byte(`{"template_type": 1}`)),
		"requestContext": map[string]any{"requestId": "r"},
	})
	if err != nil || !strings.Contains(string(result), `"statusCode":201`) {
		t.Fatalf("%s, %v", result, err)
	}
	if got := only(t, world.WeChat, "11").TemplateType; got != 1 {
		t.Errorf("template type %d", got)
	}
}

func TestPromoteBadRequests(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	const latest = "/drafts/latest/template?source_miniprogram_appid=" + miniProgram
	for _, c := range []struct{ target, body, detail string }{
		{"/drafts/-1/template", "", "draft_id"},
		{"/drafts/x/template", "", "draft_id"},
		{"/drafts/4.0/template", "", "draft_id"},
		{"/drafts/9223372036854775808/template", "", "draft_id"},
		{"/drafts/4/template?template_type=1", "", "body"},
		{"/drafts/4/template", `{"template_type": 2}`, "template_type"},
		{"/drafts/4/template", `{"template_type": -1}`, "template_type"},
		{"/drafts/4/template", `{"template_type": "1"}`, "template_type"},
		{"/drafts/4/template", `{"template_type": null}`, "template_type"},
		{"/drafts/4/template", `{"template_type": 1.0}`, "template_type"},
		{"/drafts/4/template", `{"template_type": true}`, "template_type"},
		{"/drafts/4/template", `{"type": 1}`, "template_type"},
		{"/drafts/4/template", `{"template_type": 1, "draft_id": 4}`, "template_type"},
		{"/drafts/4/template", `{"template_type": 1} {}`, "template_type"},
		{"/drafts/4/template", `[]`, "template_type"},
		{"/drafts/4/template", `null`, "template_type"},
		{"/drafts/4/template", `1`, "template_type"},
		{"/drafts/4/template", `{`, "template_type"},
		{"/drafts/4/template", "template_type=1", "template_type"},
		{latest, `{"template_type": "0"}`, "template_type"},
		{"/drafts/latest/template", "", "source_miniprogram_appid"},
		{"/drafts/latest/template?user_version=11", "", "source_miniprogram_appid"},
		{"/drafts/latest/template?source_miniprogram_appid=", "", "source_miniprogram_appid"},
		{latest + "&developer=XXX", "", "developer"},
		{latest + "&template_type=1", "", "template_type"},
		{latest + "&source_miniprogram_appid=wx0", "", "source_miniprogram_appid"},
	} {
		got := function.HTTP(t.Context(), "POST", c.target, c.body)
		if got.Status != 400 {
			t.Errorf("%s %s: status %d", c.target, c.body, got.Status)
			continue
		}
		wantDetail(t, wantProblem(t, got, 400, "invalid-request"), c.detail)
	}
	if n := world.WeChat.Calls(""); n != 0 {
		t.Errorf("%d calls of WeChat for nothing", n)
	}
	got := function.HTTP(t.Context(), "GET", "/drafts/latest/template", "")
	wantProblem(t, got, 405, "method-not-allowed")
	if got.Header["Allow"] != "POST" {
		t.Errorf("Allow: %q", got.Header["Allow"])
	}
}

func TestPromoteTwice(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]wechattest.Option{
		"without draft ids": nil,
		"with draft ids":    {wechattest.WithTemplateDraftIDs()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t, options...)
			first := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
			for _, instance := range []*functiontest.Function{function, world.Start(quick)} {
				again := wantTemplate(t, instance.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 200)
				if again != first {
					t.Errorf("first %+v, then %+v", first, again)
				}
			}
			wantOne(t, world, wechattest.PathAddToTemplate, "")
		})
	}
}

// TestPromoteDatedAsUploaded: a template's create_time may be the upload's, and not that of the adding.
func TestPromoteDatedAsUploaded(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	draft := world.WeChat.Drafts()[1]
	id := world.WeChat.AddTemplate(wechattest.Template{CreateTime: draft.CreateTime, Draft: draft})
	if made := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 200); made.ID != id {
		t.Errorf("template %d, want %d", made.ID, id)
	}
}

func TestPromoteAtOnce(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	world.WeChat.Fail(wechattest.PathAddToTemplate, wechattest.Pass().Delayed(50*time.Millisecond).Always())
	const each = 4
	type result struct {
		version string
		got     functiontest.Response
	}
	results := make(chan result, 2*each)
	for range each {
		for id, version := range map[int]string{0: "VVV", 4: "11"} {
			go func() {
				results <- result{version, function.HTTP(t.Context(), "POST", fmt.Sprintf("/drafts/%d/template", id), "")}
			}()
		}
	}
	created := map[string]int{}
	for range 2 * each {
		r := <-results
		if r.got.Status == 201 {
			created[r.version]++
		}
		made := wantTemplate(t, r.got, max(r.got.Status, 200))
		if given := only(t, world.WeChat, r.version); made.ID != given.TemplateID {
			t.Errorf("version %s: template %d, but WeChat gave it id %d", r.version, made.ID, given.TemplateID)
		}
	}
	if created["11"] != 1 || created["VVV"] != 1 {
		t.Errorf("created: %v, want each once", created)
	}
}

// TestPromoteInTwoInstances has both read the library before either adds.
func TestPromoteInTwoInstances(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	stock(world.WeChat)
	var both sync.WaitGroup
	both.Add(2)
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Rewrite(func(body []byte) []byte {
		both.Done()
		both.Wait()
		return body
	}).Times(2))
	results := make(chan functiontest.Response, 2)
	for _, instance := range []*functiontest.Function{function, world.Start(quick)} {
		go func() { results <- instance.HTTP(t.Context(), "POST", "/drafts/4/template", "") }()
	}
	for range 2 {
		if made := wantTemplate(t, <-results, 201); made.ID != 4 {
			t.Errorf("template %d, want 4, the lower one", made.ID)
		}
	}
	if n := len(world.WeChat.Templates()); n != 6 { // nothing is deleted by itself
		t.Errorf("%d templates, want 4 and the two copies", n)
	}
	if made := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 200); made.ID != 4 {
		t.Errorf("afterwards template %d, want 4", made.ID)
	}
}

// TestPromoteBesideAnother has another program add another draft between the addition and the poll.
func TestPromoteBesideAnother(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	world.WeChat.Fail(wechattest.PathAddToTemplate, wechattest.Rewrite(func(body []byte) []byte {
		world.WeChat.AddTemplate(wechattest.Template{Draft: wechattest.Draft{UserVersion: "11", UserDesc: "111111", SourceMiniProgramAppID: "wx0000000000000077"}})
		return body
	}))
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Rewrite(func(body []byte) []byte {
		world.WeChat.AddTemplate(wechattest.Template{Draft: world.WeChat.Drafts()[0]})
		return body
	}))
	if made := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201); made.ID != 1 || made.Version != "11" {
		t.Errorf("template %+v, want id 1", made)
	}
}

// TestPromoteSameName: the library holds templates that look like the draft and are not.
func TestPromoteSameName(t *testing.T) {
	t.Parallel()
	seven := int64(7)
	draft := wechattest.Draft{DraftID: 20, CreateTime: 1700000000, UserVersion: "1.0.0", UserDesc: "release",
		SourceMiniProgramAppID: "wx0000000000000077", SourceMiniProgram: "Lantern", Developer: "Ann"}
	from := func(appID string) wechattest.Draft {
		other := draft
		other.SourceMiniProgramAppID = appID
		return other
	}
	nameless := draft
	nameless.Omit = []string{"source_miniprogram_appid", "source_miniprogram", "developer"}
	for name, c := range map[string]struct {
		draft    wechattest.Draft
		template wechattest.Template
	}{
		"an earlier upload's":           {draft, wechattest.Template{CreateTime: 1699999999, Draft: draft}},
		"another draft's, by its id":    {draft, wechattest.Template{DraftID: &seven, Draft: draft}},
		"another mini program's":        {draft, wechattest.Template{Draft: from("wx0000000000000078")}},
		"somebody's, of a nameless one": {nameless, wechattest.Template{Draft: draft}},
		"nobody's, of a nameless one":   {nameless, wechattest.Template{Draft: nameless}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			world.WeChat.UploadDraft(c.draft)
			other := world.WeChat.AddTemplate(c.template)
			made := wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/20/template", ""), 201)
			if made.ID != other+1 {
				t.Errorf("template %d, want %d", made.ID, other+1)
			}
		})
	}
}

func TestPromoteLatestIsFresh(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	const target = "/drafts/latest/template?source_miniprogram_appid=" + miniProgram
	for _, version := range []string{"2.0", "2.1"} {
		world.WeChat.UploadDraft(wechattest.Draft{UserVersion: version, SourceMiniProgramAppID: miniProgram})
		if made := wantTemplate(t, function.HTTP(t.Context(), "POST", target, ""), 201); made.Version != version {
			t.Errorf("version %s, want %s", made.Version, version)
		}
	}
	for _, query := range []string{"?source_miniprogram_appid=wx0000000000000077", "?source_miniprogram_appid=" + miniProgram + "&user_version=2.0"} {
		wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/latest/template"+query, ""), 404, "not-found")
	}
}

// TestPromoteLatestTie: of two drafts of one second the higher id is newer.
func TestPromoteLatestTie(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	world.WeChat.Fail(wechattest.PathDraftList, wechattest.Raw(`{"draft_list":[
		{"draft_id":4,"create_time":5,"source_miniprogram_appid":"wx0000000000000077"},
		{"draft_id":0,"create_time":5,"source_miniprogram_appid":"wx0000000000000077"},
		{"draft_id":9,"create_time":4,"source_miniprogram_appid":"wx0000000000000077"},
		{"draft_id":10,"create_time":6,"source_miniprogram_appid":"wx0000000000000078"},
		{"draft_id":11,"create_time":6}]}`))
	function.HTTP(t.Context(), "POST", "/drafts/latest/template?source_miniprogram_appid=wx0000000000000077", "")
	requests := world.WeChat.Requests(wechattest.PathAddToTemplate)
	if len(requests) != 1 || requests[0].Body != `{"draft_id":4,"template_type":0}` {
		t.Errorf("sent %+v, want draft 4", requests)
	}
}

func TestPromoteMissing(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	problem := wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/999/template", ""), 404, "not-found")
	wantDetail(t, problem, "a newer upload of its mini program may have replaced it")
	if n := world.WeChat.Calls(wechattest.PathAddToTemplate); n != 0 {
		t.Errorf("%d additions of a draft that isn't there", n)
	}

	// One that vanishes between the reading and the addition.
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Rewrite(func(body []byte) []byte {
		world.WeChat.RemoveDraft(4)
		return body
	}))
	problem = wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 404, "not-found")
	wantDetail(t, problem, "a newer upload of its mini program may have replaced it")
	if said, _ := problem["wechat"].(map[string]any); said["errcode"] != 85064.0 {
		t.Errorf("WeChat's errcode is missing: %v", problem)
	}
	wantOne(t, world, wechattest.PathAddToTemplate, "")
}

func TestPromoteLibraryFull(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []wechattest.Fault
		size   float64
	}{
		"read afresh":    {[]wechattest.Fault{wechattest.Raw(`{"template_list":[{"template_id":0}]}`)}, 4},
		"read before it": {[]wechattest.Fault{wechattest.Pass(), wechattest.Refuse(45009)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t, wechattest.WithTemplateLimit(3))
			stock(world.WeChat) // three of the ordinary type, one standard
			world.WeChat.Fail(wechattest.PathTemplateList, c.faults...)
			problem := wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 409, "library-full")
			if problem["size"] != c.size || problem["limit"] != 200.0 {
				t.Errorf("size %v, limit %v, want %v and 200", problem["size"], problem["limit"], c.size)
			}
			wantDetail(t, problem, "4 templates")
			wantDetail(t, problem, "200")
			if said, _ := problem["wechat"].(map[string]any); said["errcode"] != 85065.0 {
				t.Errorf("WeChat's errcode is missing: %v", problem)
			}
			wantOne(t, world, wechattest.PathAddToTemplate, "")
		})
	}
}

func TestPromoteLostAnswer(t *testing.T) {
	t.Parallel()
	for name, fault := range lostAnswers() {
		t.Run(name+", added", func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			world.WeChat.Fail(wechattest.PathAddToTemplate, fault.After())
			made := wantTemplate(t, function.HTTP(within(t, shortest), "POST", "/drafts/4/template", ""), 201)
			if made.ID != 4 {
				t.Errorf("template %d, want 4", made.ID)
			}
			wantOne(t, world, wechattest.PathAddToTemplate, "")
			if n := len(world.Log.Lines("the answer to a write was lost")); n != 1 {
				t.Errorf("%d log lines about it", n)
			}
		})
		t.Run(name+", not added", func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			stock(world.WeChat)
			world.WeChat.Fail(wechattest.PathAddToTemplate, fault)
			problem := wantProblem(t, function.HTTP(within(t, shortest), "POST", "/drafts/4/template", ""), 504, "wechat-timeout")
			wantDetail(t, problem, "the answer to the addition was lost")
			wantDetail(t, problem, "was not repeated")
			wantOne(t, world, wechattest.PathAddToTemplate, "")
			if n := len(world.WeChat.Templates()); n != 4 {
				t.Errorf("%d templates, want 4", n)
			}
		})
	}
	// These take the genuine answer away or change it.
	for name, fault := range map[string]wechattest.Fault{
		"cut short": wechattest.CutShort(), "half of it": wechattest.Rewrite(wechattest.HalfOf), "huge": wechattest.Huge(),
		"dripping":   wechattest.Drip(time.Second),
		"with a BOM": wechattest.Rewrite(wechattest.WithBOM), "without errcode": wechattest.Raw("{}").After(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			world.WeChat.Fail(wechattest.PathAddToTemplate, fault)
			wantTemplate(t, function.HTTP(within(t, shortest), "POST", "/drafts/4/template", ""), 201)
			wantOne(t, world, wechattest.PathAddToTemplate, "")
		})
	}
}

// TestPromoteLostLeavesTime: however long an addition hangs, there is time for a slow poll of the library.
func TestPromoteLostLeavesTime(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	world.WeChat.Fail(wechattest.PathAddToTemplate, wechattest.Hang().After())
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Pass(), wechattest.Pass().Delayed(100*time.Millisecond).Times(3))
	wantTemplate(t, function.HTTP(within(t, shortest), "POST", "/drafts/4/template", ""), 201)
}

// TestPromoteUnseen: WeChat accepts the draft, and its list shows the template late or never.
func TestPromoteUnseen(t *testing.T) {
	t.Parallel()
	none := wechattest.Raw(`{"errcode":0,"template_list":[]}`)
	for name, c := range map[string]struct {
		faults []wechattest.Fault
		status int
	}{
		"at the third poll": {[]wechattest.Fault{none, none, none}, 201},
		"never":             {[]wechattest.Fault{none.Always()}, 504},
		"no list to see":    {[]wechattest.Fault{none, wechattest.Refuse(45009).Always()}, 504},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, function := start(t)
			world.WeChat.Fail(wechattest.PathTemplateList, c.faults...)
			got := function.HTTP(t.Context(), "POST", "/drafts/4/template", "")
			if c.status == 201 {
				wantTemplate(t, got, 201)
			} else {
				problem := wantProblem(t, got, 504, "wechat-timeout")
				wantDetail(t, problem, "WeChat accepted the draft")
				wantDetail(t, problem, "was not repeated")
			}
			wantOne(t, world, wechattest.PathAddToTemplate, "")
			world.WeChat.Heal("")
			wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 200)
		})
	}
}

func TestPromoteTooLate(t *testing.T) {
	t.Parallel()
	world, _ := start(t)
	function := world.Start(wire)
	soon := within(t, 4*time.Second) // an addition needs five
	problem := wantProblem(t, function.HTTP(soon, "POST", "/drafts/4/template", ""), 504, "wechat-timeout")
	wantDetail(t, problem, "nothing was sent")
	if n := world.WeChat.Calls(wechattest.PathAddToTemplate); n != 0 {
		t.Errorf("%d additions", n)
	}
	// A template that exists needs no time.
	world.WeChat.AddTemplate(wechattest.Template{Draft: world.WeChat.Drafts()[1]})
	wantTemplate(t, function.HTTP(soon, "POST", "/drafts/4/template", ""), 200)
}

// TestPromoteWaits: a request waiting for another promotion ends at its own deadline and sends nothing.
func TestPromoteWaits(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	arrived := make(chan struct{})
	world.WeChat.Fail(wechattest.PathAddToTemplate, wechattest.Hang().When(func(wechattest.Request) bool { close(arrived); return true }))
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan functiontest.Response)
	go func() { first <- function.HTTP(ctx, "POST", "/drafts/4/template", "") }()
	<-arrived
	soon := within(t, 200*time.Millisecond)
	problem := wantProblem(t, function.HTTP(soon, "POST", "/drafts/0/template", ""), 504, "wechat-timeout")
	wantDetail(t, problem, "nothing was sent")
	if n := world.WeChat.Calls(wechattest.PathDraftList); n != 1 {
		t.Errorf("%d lists of drafts: the second promotion did not wait", n)
	}
	cancel()
	wantProblem(t, <-first, 504, "wechat-timeout")
	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/0/template", ""), 201) // nobody holds it up
}

func TestPromoteRefusedToken(t *testing.T) {
	t.Parallel()
	world, function := start(t)
	// Somebody fetches a new token and stores it, between the reading and the addition.
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Rewrite(func(body []byte) []byte {
		world.WeChat.ExpireTokens()
		world.StoreComponentToken()
		return body
	}))
	wantTemplate(t, function.HTTP(t.Context(), "POST", "/drafts/4/template", ""), 201)
	if n := world.WeChat.Calls(wechattest.PathAddToTemplate); n != 2 {
		t.Errorf("%d additions sent, want one refused and one more", n)
	}
	only(t, world.WeChat, "11")

	// Nobody does.
	world.WeChat.ExpireTokens()
	wantProblem(t, function.HTTP(t.Context(), "POST", "/drafts/0/template", ""), 502, "token-rejected")
	events := world.AWS.Events()
	if len(events) != 1 || events[0].DetailType != "Token Rejected" {
		t.Fatalf("events: %+v", events)
	}
	var detail struct{ AppID string }
	if err := json.Unmarshal(events[0].Detail, &detail); err != nil || detail.AppID != "" {
		t.Errorf("detail %s", events[0].Detail)
	}
}

// TestBrokenReads has the reads of each route fail in every way that is no refusal.
func TestBrokenReads(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  wechattest.Fault
		want   string
		within time.Duration
	}{
		"dropped": {wechattest.Drop(), "502 wechat-unreachable", time.Minute}, "reset": {wechattest.Reset(), "502 wechat-unreachable", time.Minute},
		"busy":     {wechattest.Refuse(-1), "503 wechat-busy", time.Minute},
		"HTTP 500": {wechattest.Status(500, ""), "502 bad-upstream-answer", time.Minute},
		"HTTP 404": {wechattest.Status(404, ""), "502 bad-upstream-answer", time.Minute},
		"empty":    {wechattest.Raw(""), "502 bad-upstream-answer", time.Minute},
		"HTML":     {wechattest.Raw("<html></html>"), "502 bad-upstream-answer", time.Minute},
		"neither":  {wechattest.Raw("{}"), "502 bad-upstream-answer", time.Minute},
		"no ids": {wechattest.Raw(`{"draft_list":[{"create_time":1}],"template_list":[{"create_time":1}]}`),
			"502 bad-upstream-answer", time.Minute},
		"no list":    {wechattest.Raw(`{"draft_list":"none","template_list":"none"}`), "502 bad-upstream-answer", time.Minute},
		"redirected": {wechattest.Redirect("https://example.com/"), "502 bad-upstream-answer", time.Minute},
		"cut short":  {wechattest.CutShort(), "502 bad-upstream-answer", time.Minute},
		"huge":       {wechattest.Huge(), "502 bad-upstream-answer", time.Minute},
		"hanging":    {wechattest.Hang(), "504 wechat-timeout", time.Second / 2},
		"dripping":   {wechattest.Drip(time.Second), "504 wechat-timeout", time.Second / 2},
	} {
		for _, route := range []struct{ method, target, path string }{
			{"POST", "/drafts/4/template", wechattest.PathDraftList},
			{"POST", "/drafts/4/template", wechattest.PathTemplateList},
			{"GET", "/templates", wechattest.PathTemplateList},
		} {
			t.Run(name+" "+route.method+" "+route.path, func(t *testing.T) {
				t.Parallel()
				world, function := start(t)
				world.WeChat.Fail(route.path, c.fault.Always())
				got := function.HTTP(within(t, c.within), route.method, route.target, "")
				slug, _ := got.Problem(t)
				if have := fmt.Sprint(got.Status, " ", slug); have != c.want {
					t.Errorf("%s, want %s: %s", have, c.want, got.Body)
				}
				if n := world.WeChat.Calls(wechattest.PathAddToTemplate); n != 0 {
					t.Errorf("%d additions", n)
				}
			})
		}
	}
}

// TestWithoutToken has AWS fail, or hold no token that can be used.
func TestWithoutToken(t *testing.T) {
	t.Parallel()
	const secret = "wechat/draftbox/component-token"
	for name, c := range map[string]struct {
		prepare func(*functiontest.World)
		want    string
	}{
		"missing":   {func(*functiontest.World) {}, "500 misconfigured"},
		"malformed": {func(w *functiontest.World) { w.AWS.SetSecret(secret, "{") }, "500 misconfigured"},
		"expired": {func(w *functiontest.World) {
			w.AWS.SetSecret(secret, `{"access_token":"t","expires_at":"2020-01-01T00:00:00Z"}`)
		}, "502 token-rejected"},
		"of another kind": {func(w *functiontest.World) {
			w.AWS.SetSecret(secret, w.WeChat.IssueAccountToken(wechattest.ExampleClosed))
		}, "500 misconfigured"},
		"denied": {func(w *functiontest.World) {
			w.StoreComponentToken()
			w.AWS.Fail("secretsmanager:GetSecretValue", awstest.Deny().Sticky())
		}, "500 misconfigured"},
		"throttled": {func(w *functiontest.World) {
			w.StoreComponentToken()
			w.AWS.Fail("secretsmanager:GetSecretValue", awstest.Throttle().Sticky())
		}, "503 aws-unavailable"},
		"address refused": {func(w *functiontest.World) {
			w.StoreComponentToken()
			w.WeChat.RefuseAddress("203.0.113.7")
		}, "502 egress-ip-not-whitelisted"},
	} {
		for _, request := range []string{"POST /drafts/4/template", "GET /templates", "DELETE /templates/0"} {
			t.Run(name+" "+request, func(t *testing.T) {
				t.Parallel()
				world := functiontest.New(t)
				stock(world.WeChat)
				c.prepare(world)
				method, target, _ := strings.Cut(request, " ")
				got := world.Start(quick).HTTP(t.Context(), method, target, "")
				slug, body := got.Problem(t)
				if have := fmt.Sprint(got.Status, " ", slug); have != c.want {
					t.Errorf("%s, want %s: %s", have, c.want, got.Body)
				}
				if slug == "egress-ip-not-whitelisted" && body["egress_ip"] != "203.0.113.7" {
					t.Errorf("egress_ip %v", body["egress_ip"])
				}
				if n := len(world.WeChat.Templates()); n != 4 {
					t.Errorf("%d templates, want 4", n)
				}
			})
		}
	}
}
