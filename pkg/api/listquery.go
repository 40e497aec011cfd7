package api

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wechat-draftbox/pkg/wechat"
)

// ListQuery is what a list's query asks for. All conditions have to hold.
type ListQuery struct {
	Fresh bool // not from a cache

	source, developer, version *string
	since, until               *time.Time
	ascending                  bool
	limit                      int
}

// ParseListQuery reads a list's query. extra are the route's further parameters, see [ReadQuery].
func ParseListQuery(values url.Values, extra map[string]func(string) error) (ListQuery, error) {
	q := ListQuery{limit: math.MaxInt}
	if len(values) == 0 {
		return q, nil
	}
	text := func(field **string) func(string) error {
		return func(v string) error { *field = &v; return nil }
	}
	at := func(field **time.Time) func(string) error {
		return func(v string) error {
			t, err := ParseTime(v)
			*field = &t
			return err
		}
	}
	parameters := map[string]func(string) error{
		"source_miniprogram_appid": text(&q.source),
		"developer":                text(&q.developer),
		"user_version":             text(&q.version),
		"since":                    at(&q.since),
		"until":                    at(&q.until),
		"order": func(v string) error {
			q.ascending = v == "asc"
			return OneOf(v, "asc", "desc")
		},
		"limit": func(v string) (err error) { q.limit, err = Limit(v); return err },
		"fresh": func(v string) error {
			q.Fresh = v == "true"
			return OneOf(v, "true", "false")
		},
	}
	maps.Copy(parameters, extra)
	return q, ReadQuery(values, parameters)
}

// ParseTime reads RFC 3339, which allows t and z too, or Unix seconds. A plus sign that wasn't escaped in the query
// arrives as a space.
func ParseTime(v string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, strings.ToUpper(strings.ReplaceAll(v, " ", "+"))); err == nil {
		return at, nil
	}
	seconds, err := strconv.ParseInt(v, 10, 64)
	if at := time.Unix(seconds, 0); err == nil && at.Year() >= 0 && at.Year() <= 9999 {
		return at, nil
	}
	return time.Time{}, errors.New("a time in RFC 3339 or Unix seconds")
}

// Select returns the entries of all that match the query, in its order: by create_time, then id, newest first by default.
// entry returns an entry's upload and id. all isn't changed.
func Select[T any](q ListQuery, all []T, entry func(*T) (*wechat.Upload, int64)) []T {
	sorted := make([]sortEntry, 0, len(all)) // smaller to move than the entries
	for i := range all {
		if upload, id := entry(&all[i]); q.matches(upload) {
			sorted = append(sorted, sortEntry{upload.CreateTime, id, i})
		}
	}
	slices.SortFunc(sorted, func(a, b sortEntry) int {
		order := cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.id, b.id))
		if !q.ascending {
			order = -order
		}
		return cmp.Or(order, cmp.Compare(a.index, b.index))
	})
	sorted = sorted[:min(len(sorted), q.limit)]
	selected := make([]T, len(sorted))
	for i, p := range sorted {
		selected[i] = all[p.index]
	}
	return selected
}

// sortEntry is the index of an entry in WeChat's list, with its sort key.
type sortEntry struct {
	created, id int64
	index       int
}

func (q ListQuery) matches(u *wechat.Upload) bool {
	is := func(wanted *string, value string) bool { return wanted == nil || *wanted == value }
	created := time.Unix(u.CreateTime, 0)
	return is(q.source, u.SourceMiniprogramAppID) && is(q.developer, u.Developer) && is(q.version, u.UserVersion) &&
		(q.since == nil || !created.Before(*q.since)) && (q.until == nil || !created.After(*q.until))
}
