package chart

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Calls are requests to one path that had the same result in the same minute.
type Calls struct {
	Minute  time.Time `json:"minute"`
	Path    string    `json:"path"`
	Status  int       `json:"status"` // HTTP; 0: no answer
	Errcode int       `json:"errcode"`
	Count   int       `json:"count"`
}

// result is the kind of result that the picture tells apart.
func (c Calls) result() string {
	switch {
	case c.Status == 0:
		return "lost"
	case c.Errcode != 0 || c.Status != 200:
		return "refused"
	}
	return "ok"
}

var callResults = []string{"ok", "refused", "lost"}

const (
	callsHeight = 80
	callMinutes = 60
)

type callColumn struct {
	bar
	Y, High int
}

type callLegend struct {
	Class, Label string
	Count        int
}

// Calls draws a column for each of the last sixty minutes, and counts calls and refusals by path.
func (p Page) Calls(w io.Writer, calls []Calls) error {
	now := p.Now.Truncate(time.Minute)
	a := axis{now.Add(-(callMinutes - 1) * time.Minute), now.Add(time.Minute)}
	minutes := make([]map[string]int, callMinutes)
	totals := map[string]int{}
	var counted []Calls
	for _, c := range calls {
		at := int(c.Minute.Sub(a.from) / time.Minute)
		if c.Minute.Before(a.from) || at >= callMinutes {
			continue
		}
		if minutes[at] == nil {
			minutes[at] = map[string]int{}
		}
		minutes[at][c.result()] += c.Count
		totals[c.result()] += c.Count
		counted = append(counted, c)
	}
	columns, most := p.callColumns(minutes)
	var legend []callLegend
	for _, r := range callResults {
		legend = append(legend, callLegend{r, p.say(r), totals[r]})
	}
	summary := p.say("callsSummary", totals["ok"]+totals["refused"]+totals["lost"], totals["refused"], totals["lost"])
	return p.render(w, "calls", struct {
		Summary string
		Most    int
		Columns []callColumn
		Ticks   []tick
		Legend  []callLegend
		Table   table
	}{summary, most, columns, p.ticks(axis{p.Now.Add(-time.Hour), p.Now}, 4), legend, p.callTable(counted)})
}

func (p Page) callColumns(minutes []map[string]int) (columns []callColumn, most int) {
	for _, m := range minutes {
		most = max(most, m["ok"]+m["refused"]+m["lost"])
	}
	for i, m := range minutes {
		y := callsHeight
		for _, r := range callResults {
			if m[r] == 0 {
				continue
			}
			high := max(2, callsHeight*m[r]/most)
			y -= high
			columns = append(columns, callColumn{Y: max(y, 0), High: high, bar: bar{
				X: percent(i) * 100 / callMinutes, Width: percent(90) / callMinutes, Class: r,
				Title: p.say("ago", p.say("minutes", callMinutes-1-i)) + " · " + p.say("countOf", p.say(r), m[r]),
			}})
		}
	}
	return columns, most
}

// callTable has a row for each path, the busiest first.
func (p Page) callTable(calls []Calls) table {
	t := table{Caption: p.say("call"), Head: []string{p.say("call"), p.say("calls"), p.say("why")}}
	totals, whys := map[string]int{}, map[string]map[string]int{}
	for _, c := range calls {
		totals[c.Path] += c.Count
		if whys[c.Path] == nil {
			whys[c.Path] = map[string]int{}
		}
		if c.result() != "ok" {
			whys[c.Path][p.why(c)] += c.Count
		}
	}
	paths := slices.SortedFunc(maps.Keys(totals), func(a, b string) int {
		return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b))
	})
	for _, path := range paths {
		var parts []string
		for _, why := range slices.Sorted(maps.Keys(whys[path])) {
			parts = append(parts, p.say("whyTimes", why, whys[path][why]))
		}
		t.Rows = append(t.Rows, []cell{text(path), text(p.number(totals[path])), text(cmp.Or(strings.Join(parts, ", "), "–"))})
	}
	return t
}

func (p Page) why(c Calls) string {
	switch {
	case c.Status == 0:
		return p.say("lost")
	case c.Errcode != 0:
		return p.say("errcode", strconv.Itoa(c.Errcode))
	}
	return p.say("http", strconv.Itoa(c.Status))
}
