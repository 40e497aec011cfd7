package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/wechat"
)

// drafts are in no order; 1 and 2 were uploaded in the same second, and 5 came without most of its keys.
func drafts(t *testing.T) (all []wechat.Draft) {
	t.Helper()
	err := json.Unmarshal([]byte(`[
		{"draft_id":2,"create_time":1000,"user_version":"1.0","source_miniprogram_appid":"wxa","developer":"草稿 & co"},
		{"draft_id":0,"create_time":3000,"user_version":"1.0","source_miniprogram_appid":"wxb","developer":"X"},
		{"draft_id":5},
		{"draft_id":1,"create_time":1000,"user_version":"","source_miniprogram_appid":"wxa","developer":"X"},
		{"draft_id":4,"create_time":2000,"user_version":"2.0","source_miniprogram_appid":"wxa","developer":"x"}
	]`), &all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func entry(d *wechat.Draft) (*wechat.Upload, int64) { return &d.Upload, d.DraftID }

func TestSelect(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]int64{
		"":                                    {0, 4, 2, 1, 5},
		"order=desc":                          {0, 4, 2, 1, 5},
		"order=asc":                           {5, 1, 2, 4, 0},
		"limit=2":                             {0, 4},
		"limit=2&order=asc":                   {5, 1},
		"limit=1000":                          {0, 4, 2, 1, 5},
		"source_miniprogram_appid=wxa":        {4, 2, 1},
		"source_miniprogram_appid=WXA":        {},
		"source_miniprogram_appid=":           {5},
		"developer=X":                         {0, 1},
		"developer=%E8%8D%89%E7%A8%BF+%26+co": {2},
		"user_version=1.0":                    {0, 2},
		"user_version=1":                      {},
		"user_version=1.0&source_miniprogram_appid=wxa":                                        {2},
		"source_miniprogram_appid=wxa&developer=X&user_version=&since=1000&until=1000&limit=1": {1},
		"since=1000":                        {0, 4, 2, 1},
		"since=1001":                        {0, 4},
		"until=1000":                        {2, 1, 5},
		"until=999":                         {5},
		"since=2000&until=2000":             {4},
		"since=3000&until=1000":             {},
		"since=-1":                          {0, 4, 2, 1, 5},
		"since=1970-01-01T00:33:20Z":        {0, 4},
		"since=1970-01-01t00:33:20z":        {0, 4},
		"since=1970-01-01T08:33:20%2B08:00": {0, 4},
		"since=1970-01-01T08:33:20+08:00":   {0, 4}, // the plus isn't escaped
		"since=1969-12-31T20:33:20-04:00":   {0, 4},
		"since=1970-01-01T00:33:20.5Z":      {0},
		"until=1970-01-01T00:33:20.5Z":      {4, 2, 1, 5},
		"since=9999-12-31T23:59:59Z":        {},
		"since=253402300799":                {},
		"until=0001-01-01T00:00:00Z":        {},
		"fresh=true":                        {0, 4, 2, 1, 5},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			q, err := api.ParseListQuery(values, nil)
			if err != nil {
				t.Fatal(err)
			}
			all := drafts(t)
			got := []int64{}
			for _, d := range api.Select(q, all, entry) {
				got = append(got, d.DraftID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if q.Fresh != (query == "fresh=true") {
				t.Errorf("Fresh is %v", q.Fresh)
			}
			for i, d := range drafts(t) {
				if all[i].DraftID != d.DraftID {
					t.Fatal("the list itself was put in order")
				}
			}
		})
	}
}

func TestParametersThatCantBeUsed(t *testing.T) {
	t.Parallel()
	known := []string{"developer", "fresh", "limit", "order", "since", "source_miniprogram_appid", "until", "user_version"}
	for query, named := range map[string]string{
		"sort=newest":                `"sort"`,
		"Limit=1":                    `"Limit"`,
		"=1":                         `""`,
		"access_token=84_hidden":     `"access_token"`,
		"limit=":                     "limit",
		"limit=0":                    "limit",
		"limit=1001":                 "limit",
		"limit=-1":                   "limit",
		"limit=1e3":                  "limit",
		"limit=99999999999999999999": "limit",
		"limit=1&limit=1":            "limit",
		"developer=a&developer=b":    "developer",
		"order=":                     "order",
		"order=ASC":                  "order",
		"fresh=":                     "fresh",
		"fresh=1":                    "fresh",
		"fresh=TRUE":                 "fresh",
		"since=":                     "since",
		"since=yesterday":            "since",
		"since=2017-01-01":           "since",
		"since=2017-01-01+00:00:00Z": "since",
		"since=1.5":                  "since",
		"since=1504790906000":        "since",
		"since=9223372036854775807":  "since",
		"until=-9223372036854775808": "until",
		"until=99999999999999999999": "until",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			_, err = api.ParseListQuery(values, nil)
			var problem *fault.Error
			if !errors.As(err, &problem) || problem.Meaning.Kind != fault.InvalidRequest {
				t.Fatalf("got %v", err)
			}
			about, there, _ := strings.Cut(problem.Meaning.Detail, "; there are ")
			if !strings.Contains(about, "query parameter "+named) {
				t.Errorf("%q does not name %s", problem.Meaning.Detail, named)
			}
			if there != strings.Join(known, ", ") {
				t.Errorf("%q does not name those there are", problem.Meaning.Detail)
			}
			if strings.Contains(problem.Meaning.Detail, "84_hidden") {
				t.Errorf("%q quotes the value", problem.Meaning.Detail)
			}
		})
	}
}

func TestFurtherParameters(t *testing.T) {
	t.Parallel()
	read := ""
	extra := map[string]func(string) error{"template_type": func(v string) error {
		read = v
		return api.OneOf(v, "0", "1")
	}}
	if _, err := api.ParseListQuery(url.Values{"template_type": {"1"}, "order": {"asc"}}, extra); err != nil || read != "1" {
		t.Errorf("read %q, %v", read, err)
	}
	for _, values := range []url.Values{{"template_type": {"2"}}, {"other": {"1"}}} {
		_, err := api.ParseListQuery(values, extra)
		if err == nil || !strings.Contains(err.Error(), "template_type") {
			t.Errorf("%v: %v", values, err)
		}
	}
	if _, err := api.ParseListQuery(url.Values{"template_type": {"1"}}, nil); err == nil {
		t.Error("a parameter of another list is taken")
	}
}

// TestManyInAnyOrder: the order does not hang on the order in which WeChat sent them.
func TestManyInAnyOrder(t *testing.T) {
	t.Parallel()
	var all []wechat.Draft
	for i := range 1500 {
		var d wechat.Draft
		if err := json.Unmarshal(fmt.Appendf(nil, `{"draft_id":%d,"create_time":%d}`, i*7919%1500, i*31%40), &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	for _, order := range []string{"asc", "desc"} {
		q, err := api.ParseListQuery(url.Values{"order": {order}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := api.Select(q, all, entry)
		if len(got) != len(all) {
			t.Errorf("%d without a limit, want all", len(got))
		}
		sorted := slices.IsSortedFunc(got, func(a, b wechat.Draft) int {
			up := slices.Compare([]int64{a.CreateTime, a.DraftID}, []int64{b.CreateTime, b.DraftID})
			if order == "desc" {
				return -up
			}
			return up
		})
		if !sorted {
			t.Errorf("%s: not in order", order)
		}
	}
}

// FuzzParse: a query is refused for what it says, or selects in order and no more than it asks for.
func FuzzParse(f *testing.F) {
	for _, query := range []string{
		"", "source_miniprogram_appid=wxa&developer=X&user_version=1.0&order=asc&limit=2&fresh=true", "since=1000&until=2026-01-02T03:04:05+08:00",
		"since=-62135596801", "since=9223372036854775807", "limit=0", "limit=1&limit=2", "order=ASC", "developer=%E8%8D%89%E7%A8%BF+%26+co",
		"user_version=", "checkonly=0", "%zz", "a;b", "=", "&&", "limit=%00",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return // refused before
		}
		q, err := api.ParseListQuery(values, nil)
		if err != nil {
			var problem *fault.Error
			if !errors.As(err, &problem) || problem.Meaning.Kind != fault.InvalidRequest || !strings.Contains(problem.Meaning.Detail, "source_miniprogram_appid") {
				t.Errorf("the error is %v", err)
			}
			return
		}
		all := drafts(t)
		got := api.Select(q, all, entry)
		for i, one := range got {
			if wanted := values.Get("developer"); values.Has("developer") && one.Developer != wanted {
				t.Errorf("a draft of %q, and %q was asked for", one.Developer, wanted)
			}
			if i > 0 && (one.CreateTime < got[i-1].CreateTime) == (values.Get("order") == "asc") && one.CreateTime != got[i-1].CreateTime {
				t.Errorf("out of order: %v", got)
			}
		}
		if limit, _ := strconv.Atoi(values.Get("limit")); values.Has("limit") && len(got) > limit {
			t.Errorf("%d drafts, and at most %d were asked for", len(got), limit)
		}
	})
}
