package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// historyPage is an answer of GET /drafts/history.
type historyPage struct {
	Drafts []struct {
		Draft      json.RawMessage
		SeenAt     time.Time  `json:"seen_at"`
		GoneAt     *time.Time `json:"gone_at"`
		ReplacedBy *struct {
			DraftID    int64 `json:"draft_id"`
			CreateTime int64 `json:"create_time"`
		} `json:"replaced_by"`
		TemplateIDs []int64 `json:"template_ids"`
	}
	Next string
}

func getHistory(t *testing.T, drafts *functiontest.Function, query string) (page historyPage, ids []int64) {
	t.Helper()
	r := drafts.HTTP(t.Context(), "GET", "/drafts/history"+query, "")
	if r.Status != 200 || r.Header["Cache-Control"] != "private, no-cache" || r.Header["ETag"] == "" {
		t.Fatalf("%s: %+v", query, r)
	}
	r.Decode(t, &page)
	ids = []int64{}
	for _, d := range page.Drafts {
		var draft struct {
			ID int64 `json:"draft_id"`
		}
		if err := json.Unmarshal(d.Draft, &draft); err != nil || d.TemplateIDs == nil {
			t.Errorf("draft %s, templates %v", d.Draft, d.TemplateIDs)
		}
		ids = append(ids, draft.ID)
	}
	return page, ids
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.WeChat.UploadDraft(wechattest.Draft{UserVersion: "1.0\n第一版", SourceMiniProgramAppID: "wx7", Extra: map[string]any{"new_key": "<&>"}})
	whole := drafted(t, s.drafts, 5)
	s.baseline()
	s.Clock.Forward(time.Hour)
	s.upload("wx7", "1.1") // 6, in place of 5
	s.WeChat.RemoveDraft(4)
	s.watch()
	calls := s.WeChat.Calls("")

	wantCalls(t, map[string]int{"dynamodb:Query": 1}, s.calls(func() {
		page, ids := getHistory(t, s.drafts, "")
		if diff := cmp.Diff([]int64{6, 5, 4, 0}, ids); diff != "" || page.Next != "" {
			t.Fatalf("next %q, drafts (-want +got):\n%s", page.Next, diff)
		}
		if diff := cmp.Diff(whole, string(page.Drafts[1].Draft)); diff != "" {
			t.Errorf("a draft that is gone (-as it was +got):\n%s", diff)
		}
		current, replaced, removed := page.Drafts[0], page.Drafts[1], page.Drafts[2]
		if current.GoneAt != nil || current.ReplacedBy != nil || s.Clock.Now().Sub(current.SeenAt).Abs() > time.Minute {
			t.Errorf("in the box: %+v", current)
		}
		if replaced.GoneAt == nil || replaced.GoneAt.Sub(replaced.SeenAt).Round(time.Hour) != time.Hour ||
			replaced.ReplacedBy == nil || replaced.ReplacedBy.DraftID != 6 || replaced.ReplacedBy.CreateTime == 0 {
			t.Errorf("replaced: %+v", replaced)
		}
		if removed.GoneAt == nil || removed.ReplacedBy != nil {
			t.Errorf("removed: %+v", removed)
		}
	}))
	if s.WeChat.Calls("") != calls {
		t.Error("WeChat was asked")
	}
	r := s.drafts.HTTP(t.Context(), "GET", "/drafts/history", "")
	if again := s.drafts.HTTP(t.Context(), "GET", "/drafts/history", "", "If-None-Match", r.Header["ETag"]); again.Status != 304 {
		t.Errorf("with its ETag: %d", again.Status)
	}

	s.Clock.Forward(365*24*time.Hour + time.Minute) // HISTORY_RETENTION_DAYS
	if _, ids := getHistory(t, s.drafts, ""); !cmp.Equal(ids, []int64{6, 0}) {
		t.Errorf("after a year: %v", ids)
	}
}

// drafted is the JSON of a draft in the box.
func drafted(t *testing.T, drafts *functiontest.Function, id int64) string {
	t.Helper()
	return drafts.HTTP(t.Context(), "GET", fmt.Sprint("/drafts/", id), "").Body
}

func TestHistoryQuery(t *testing.T) {
	t.Parallel()
	s := newWatchScene(t)
	s.WeChat.UploadDraft(wechattest.Draft{DraftID: 9, CreateTime: 1504790907, SourceMiniProgramAppID: "wx7", Developer: "草 & Y"})
	s.baseline()
	for query, want := range map[string][]int64{
		"":                                      {9, 4, 0},
		"?source_miniprogram_appid=wx7":         {9},
		"?developer=%E8%8D%89%20%26%20Y":        {9},
		"?developer=XXX":                        {4, 0},
		"?developer=XXX&since=1488965945":       {4},
		"?since=1504790906":                     {9, 4},
		"?since=2017-09-07T21:28:26.5%2B08:00":  {9},
		"?until=2017-09-07T21:28:26.5%2B08:00":  {4, 0},
		"?until=1488965944&since=1488965944":    {0},
		"?until=0001-01-01T00:00:00Z":           {},
		"?source_miniprogram_appid=":            {},
		"?since=0001-01-01T00:00:00Z&limit=100": {9, 4, 0},
	} {
		if page, ids := getHistory(t, s.drafts, query); !cmp.Equal(want, ids) || page.Next != "" {
			t.Errorf("%s: %v, next %q; want %v", query, ids, page.Next, want)
		}
	}

	var got []int64
	for query, pages := "?limit=1", 0; pages < 9; pages++ {
		page, ids := getHistory(t, s.drafts, query)
		if got = append(got, ids...); page.Next == "" {
			break
		}
		query = "?limit=1&next=" + page.Next
	}
	if !cmp.Equal(got, []int64{9, 4, 0}) {
		t.Errorf("page by page: %v", got)
	}

	first, _ := getHistory(t, s.drafts, "?limit=1")
	for query, parameter := range map[string]string{
		"?limit=0": "limit", "?limit=1001": "limit", "?since=yesterday": "since", "?until=1e9": "until", "?order=asc": "order", "?fresh=true": "fresh",
		"?user_version=1": "user_version", "?next=": "next", "?next=x": "next", "?next=" + first.Next[1:]: "next",
	} {
		r := s.drafts.HTTP(t.Context(), "GET", "/drafts/history"+query, "")
		slug, problem := r.Problem(t)
		if detail, _ := problem["detail"].(string); slug != "invalid-request" || !strings.Contains(strings.ReplaceAll(detail, `"`, ""), "query parameter "+parameter) {
			t.Errorf("%s: %s", query, r.Body)
		}
	}
}

// The history needs the table; the draft box doesn't, and doesn't ask for it either.
func TestWhileDynamoDBIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"throttled": awstest.Throttle().Sticky(), "denied": awstest.Deny().Sticky(), "failing": awstest.Refuse("InternalServerError", 500).Sticky(),
		"missing": awstest.Refuse("ResourceNotFoundException", 400).Sticky(), "not reached": awstest.Drop().Sticky(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, drafts := start(t)
			world.AWS.Fail("dynamodb:*", fault)
			r := drafts.HTTP(t.Context(), "GET", "/drafts/history", "")
			if slug, problem := r.Problem(t); slug != "aws-unavailable" || r.Status != 503 || problem["retryable"] != true {
				t.Errorf("got %s", r.Body)
			}
			calls := world.AWS.Calls("dynamodb:*")
			if got := ids(t, drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")); len(got) != 2 {
				t.Errorf("drafts %v", got)
			}
			if r := drafts.HTTP(t.Context(), "GET", "/drafts/4", ""); r.Status != 200 {
				t.Errorf("got %+v", r)
			}
			if world.AWS.Calls("dynamodb:*") != calls {
				t.Error("the draft box asked DynamoDB")
			}
		})
	}
}
