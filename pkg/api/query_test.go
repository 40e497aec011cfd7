package api_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
)

func TestReadQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                  "",
		"limit=1000":        "",
		"order=up&limit=1":  "",
		"order=up&order=up": "order may stand there once",
		"limit=0":           "limit can't be used: it must be a whole number from 1 to 1000",
		"limit=1001":        "limit can't be used",
		"order=sideways":    "order can't be used: it must be one of up, down",
		"page=1":            `no query parameter "page"`,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		err = api.ReadQuery(values, map[string]func(string) error{
			"order": func(v string) error { return api.OneOf(v, "up", "down") },
			"limit": func(v string) error { _, err := api.Limit(v); return err },
		})
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", query, err)
			}
			continue
		}
		var problem *fault.Error
		if !errors.As(err, &problem) || problem.Meaning.Kind != fault.InvalidRequest || !strings.Contains(problem.Meaning.Detail, want) || !strings.HasSuffix(problem.Meaning.Detail, "there are limit, order") {
			t.Errorf("%q: %v", query, err)
		}
	}
}
