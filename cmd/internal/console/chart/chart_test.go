package chart

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the pictures that the tests expect")

var now = time.Date(2026, 1, 9, 12, 0, 0, 0, time.UTC)

// hostile is a text that would be markup if it weren't escaped.
const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`

func at(d time.Duration) *time.Time { return new(now.Add(d)) }

func draft(t *testing.T, entry string) (d HistoryDraft) {
	t.Helper()
	if err := json.Unmarshal([]byte(entry), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func pictures(t *testing.T) map[string]func(Page, io.Writer) error {
	t.Helper()
	drafts := []HistoryDraft{
		draft(t, `{"draft": {"draft_id": 9, "create_time": 1767942000, "user_version": "2.0.1", "user_desc": "pay there", "source_miniprogram": "Tea House", "source_miniprogram_appid": "wxa", "developer": "Lin"}, "template_ids": [3, 4]}`),
		draft(t, `{"draft": {"draft_id": 8, "create_time": 1767873600, "user_version": "1", "source_miniprogram_appid": "wxb"}, "gone_at": "2026-01-09T11:00:00Z"}`),
		draft(t, `{"draft": {"draft_id": 7, "create_time": 1767700000, "user_version": "2.0.0", "source_miniprogram": "Tea House", "source_miniprogram_appid": "wxa"}, "gone_at": "2026-01-09T07:05:00Z", "replaced_by": {"draft_id": 9, "create_time": 1767942000}}`),
		draft(t, `{"draft": {"draft_id": 0, "create_time": 1488965944, "user_version": "old", "source_miniprogram": "", "source_miniprogram_appid": "wxc"}}`),
	}
	tokens := []Token{
		{AppID: "wx1", Name: "Lantern Street", FetchedAt: at(-time.Hour), ExpiresAt: at(time.Hour), Renewals: []time.Time{now.Add(-100 * time.Minute), now.Add(-9 * time.Hour)}},
		{AppID: "wx2", Name: "读书会读书会读书会读书会读书会", FetchedAt: at(-3 * time.Hour), ExpiresAt: at(-10 * time.Minute), WaitUntil: at(9 * time.Minute), Errcode: new(61023)},
		{AppID: "wx3", FetchedAt: at(-110 * time.Minute), ExpiresAt: at(10 * time.Minute), WaitUntil: at(2 * time.Minute), Errcode: new(0)},
		{AppID: "wx4", ExpiresAt: nil, FetchedAt: at(-time.Minute)},
		{FetchedAt: at(-90 * time.Minute), ExpiresAt: at(30 * time.Minute)},
	}
	accounts := []Accounts{
		{Kind: "official-account", Status: "authorized", DraftSwitch: "open", Count: 5200}, {Status: "authorized", DraftSwitch: "closed", Count: 2500},
		{Kind: "official-account", Status: "authorized", DraftSwitch: "unknown", Errcode: 61007, Count: 1}, {Kind: "official-account", Status: "unauthorized", DraftSwitch: "open", Count: 299},
		{Kind: "mini-program", Status: "authorized", Count: 1999}, {Kind: "mini-program", Status: "unauthorized", Errcode: 61003, Count: 1},
	}
	calls := []Calls{
		{now.Add(-70 * time.Minute), "/old", 200, 0, 99}, {now.Add(-59 * time.Minute), "/wxa/gettemplatedraftlist", 200, 0, 3},
		{now, "/wxa/gettemplatedraftlist", 200, 0, 7}, {now, "/wxa/gettemplatedraftlist", 200, -1, 2}, {now, "/cgi-bin/draft/switch", 0, 0, 1}, {now, "/cgi-bin/draft/switch", 502, 0, 1},
	}
	var many []Token
	for i := range 1000 {
		many = append(many, Token{AppID: fmt.Sprint("wx", i), FetchedAt: at(-time.Duration(i*7) * time.Second), ExpiresAt: at(time.Duration(7200-i*7-i%2*300) * time.Second)})
	}
	return map[string]func(Page, io.Writer) error{
		"accounts":      func(p Page, w io.Writer) error { return p.Accounts(w, accounts, true) },
		"accounts-none": func(p Page, w io.Writer) error { return p.Accounts(w, nil, false) },
		"tokens":        func(p Page, w io.Writer) error { return p.Tokens(w, tokens, false) },
		"tokens-many":   func(p Page, w io.Writer) error { return p.Tokens(w, many, true) },
		"tokens-none":   func(p Page, w io.Writer) error { return p.Tokens(w, nil, false) },
		"history":       func(p Page, w io.Writer) error { return p.History(w, drafts, true) },
		"history-none":  func(p Page, w io.Writer) error { return p.History(w, nil, false) },
		"calls":         func(p Page, w io.Writer) error { return p.Calls(w, calls) },
		"calls-none":    func(p Page, w io.Writer) error { return p.Calls(w, nil) },
	}
}

func TestPictures(t *testing.T) {
	t.Parallel()
	for name, draw := range pictures(t) {
		for _, language := range []string{"en", "zh"} {
			t.Run(name+"-"+language, func(t *testing.T) {
				t.Parallel()
				var drawn bytes.Buffer
				if err := draw(Page{language, now}, &drawn); err != nil {
					t.Fatal(err)
				}
				checkMarkup(t, drawn.String())
				file := filepath.Join("testdata", name+"-"+language+".html")
				if *update {
					if err := os.WriteFile(file, drawn.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), drawn.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

var shares = regexp.MustCompile(`(?:x|width)="(-?[\d.]+)%"`)

// checkMarkup reports broken markup, scripts, styles forbidden by the page's policy, and elements outside the picture.
func checkMarkup(t *testing.T, drawn string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(strings.ReplaceAll(drawn, "<br>", "<br/>"))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if slices.Contains([]string{"script", "style", "img", "a", "foreignObject", "use"}, start.Name.Local) {
			t.Errorf("there is a <%s>", start.Name.Local)
		}
		for _, a := range start.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") || strings.HasSuffix(a.Name.Local, "href") {
				t.Errorf("<%s> has %s", start.Name.Local, a.Name.Local)
			}
		}
	}
	for _, share := range shares.FindAllStringSubmatch(drawn, -1) {
		if n, err := strconv.ParseFloat(share[1], 64); err != nil || n < 0 || n > 100 {
			t.Errorf("%s is outside", share[0])
		}
	}
}

func TestPeoplesTextIsNoMarkup(t *testing.T) {
	t.Parallel()
	p := Page{"en", now}
	var d HistoryDraft
	d.Draft.Version, d.Draft.Description, d.Draft.AppID, d.Draft.MiniProgram, d.Draft.Developer = hostile, hostile, hostile, hostile, hostile
	for name, draw := range map[string]func(io.Writer) error{
		"history": func(w io.Writer) error { return p.History(w, []HistoryDraft{d}, false) },
		"tokens":  func(w io.Writer) error { return p.Tokens(w, []Token{{AppID: hostile, Name: hostile}}, false) },
		"calls":   func(w io.Writer) error { return p.Calls(w, []Calls{{now, hostile, 200, 0, 1}}) },
		"accounts": func(w io.Writer) error {
			return p.Accounts(w, []Accounts{{hostile, hostile, hostile, 0, 1}}, false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var drawn bytes.Buffer
			if err := draw(&drawn); err != nil {
				t.Fatal(err)
			}
			checkMarkup(t, drawn.String())
		})
	}
}

// Every account is counted in a segment, the segments fill their bar, and none is too small to see.
func TestAccountParts(t *testing.T) {
	t.Parallel()
	c := countAccounts([]Accounts{
		{Kind: "mini-program", Status: "authorized", Count: 19_999}, {Kind: "mini-program", Status: "unauthorized", Count: 1},
		{Status: "authorized", DraftSwitch: "never heard of", Count: 2},
	})
	for _, length := range []percent{100, 5} {
		lane := Page{"en", now}.accountLane(c, miniProgram, length)
		last := lane.Segments[len(lane.Segments)-1]
		if lane.Count != 20_000 || last.Count != 1 || last.Width < 0.5 || math.Abs(float64(last.X+last.Width-length)) > 0.01 {
			t.Errorf("mini programs: %+v", lane)
		}
	}
	if lane := (Page{"en", now}).accountLane(c, officialAccount, 2); lane.Count != 2 || len(lane.Segments) != 1 || lane.Segments[0].Label != "switch unknown" {
		t.Errorf("a state that isn't known: %+v", lane)
	}
}

func TestHistorySpan(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Hour: time.Hour, 61 * time.Minute: 8 * time.Hour, 9 * day: 28 * day, 300 * day: maxSpan, 400 * day: time.Hour, 3000 * day: time.Hour,
	} {
		var d HistoryDraft
		d.Draft.CreateTime = now.Add(-age).Unix()
		if got := (Page{"en", now}).historySpan([]HistoryDraft{d}); got != want {
			t.Errorf("a draft of %v shows the last %v, want %v", age, got, want)
		}
	}
}

func TestEveryWordInBothLanguages(t *testing.T) {
	t.Parallel()
	verbs := regexp.MustCompile(`%(\[\d\])?[a-z]`)
	for key, w := range words {
		if w.en == "" || w.zh == "" || len(verbs.FindAllString(w.en, -1)) != len(verbs.FindAllString(w.zh, -1)) {
			t.Errorf("%s: %q, %q", key, w.en, w.zh)
		}
	}
}
