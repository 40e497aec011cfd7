package chart

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A HistoryDraft is an entry of GET /drafts/history.
type HistoryDraft struct {
	Draft struct {
		ID          int64  `json:"draft_id"`
		CreateTime  int64  `json:"create_time"`
		Version     string `json:"user_version"`
		Description string `json:"user_desc"`
		AppID       string `json:"source_miniprogram_appid"`
		MiniProgram string `json:"source_miniprogram"`
		Developer   string `json:"developer"`
	} `json:"draft"`
	SeenAt     time.Time  `json:"seen_at"`
	GoneAt     *time.Time `json:"gone_at"`
	ReplacedBy *struct {
		ID         int64 `json:"draft_id"`
		CreateTime int64 `json:"create_time"`
	} `json:"replaced_by"`
	TemplateIDs []int64 `json:"template_ids"`
}

// uploaded is when WeChat got the draft, or else when it was first seen.
func (d HistoryDraft) uploaded() time.Time {
	if d.Draft.CreateTime > 0 {
		return time.Unix(d.Draft.CreateTime, 0)
	}
	return d.SeenAt
}

// ended is when the draft left the box; zero: it is there. A watch sees a replacement later than it happened.
func (d HistoryDraft) ended() time.Time {
	switch {
	case d.GoneAt == nil:
		return time.Time{}
	case d.ReplacedBy != nil && d.ReplacedBy.CreateTime > 0:
		return time.Unix(d.ReplacedBy.CreateTime, 0)
	}
	return *d.GoneAt
}

// source names the mini program that the draft belongs to.
func (d HistoryDraft) source() string { return cmp.Or(d.Draft.AppID, d.Draft.MiniProgram) }

const (
	maxLanes = 12
	day      = 24 * time.Hour
	maxSpan  = 364 * day
)

// historySpans are the stretches of time that the lanes can show, which four ticks divide well.
var historySpans = []time.Duration{time.Hour, 8 * time.Hour, day, 8 * day, 28 * day, 92 * day, maxSpan}

type historyLane struct {
	Y    int
	Name string
	Bars []bar
}

// boxed is 1 for a draft in the box.
func boxed(d HistoryDraft) int {
	if d.GoneAt == nil {
		return 1
	}
	return 0
}

// historyItem is a draft in the list below the lanes.
type historyItem struct {
	ID, Version, Description, Source, AppID, Developer string
	Uploaded                                           time.Time
	Gone                                               *time.Time
	State, Class                                       string
	Kept                                               string
	Templates                                          []string
}

// History draws a lane for each mini program, in which each draft is a bar from its upload to its end, and lists the
// drafts below, newest first. more says that older drafts were left out.
func (p Page) History(w io.Writer, drafts []HistoryDraft, more bool) error {
	span := p.historySpan(drafts)
	a := axis{p.Now.Add(-span), p.Now}
	lanes, total := p.historyLanes(a, drafts)
	var items []historyItem
	for _, d := range drafts {
		items = append(items, p.historyItem(d))
	}
	note := ""
	if total > len(lanes) {
		note = p.say("lanesMore", len(lanes))
	}
	return p.render(w, "history", struct {
		Summary, Note string
		Height        int
		Lanes         []historyLane
		Ticks         []tick
		Items         []historyItem
		More          bool
	}{p.say("historySummary", len(drafts), total, p.span(span)), note, len(lanes)*rowHeight + 20, lanes, p.ticks(a, 4), items, more})
}

// historySpan is the shortest stretch that reaches back to all uploads of the last year. Older ones start at its edge.
func (p Page) historySpan(drafts []HistoryDraft) time.Duration {
	oldest := time.Duration(0)
	for _, d := range drafts {
		if age := p.Now.Sub(d.uploaded()); age <= maxSpan {
			oldest = max(oldest, age)
		}
	}
	for _, s := range historySpans {
		if oldest <= s {
			return s
		}
	}
	return maxSpan
}

// historyLanes are the lanes of the mini programs that were uploaded last, and how many there are in all.
func (p Page) historyLanes(a axis, drafts []HistoryDraft) (lanes []historyLane, total int) {
	var order []string
	bySource := map[string][]HistoryDraft{}
	for _, d := range drafts {
		if bySource[d.source()] == nil {
			order = append(order, d.source())
		}
		bySource[d.source()] = append(bySource[d.source()], d)
	}
	for i, source := range order[:min(len(order), maxLanes)] {
		all := bySource[source]
		lane := historyLane{Y: i * rowHeight, Name: shorten(cmp.Or(all[0].Draft.MiniProgram, source), 40)}
		slices.Reverse(all) // later ones are drawn on top, and those in the box above all
		slices.SortStableFunc(all, func(a, b HistoryDraft) int { return cmp.Compare(boxed(a), boxed(b)) })
		for _, d := range all {
			end, item := p.Now, p.historyItem(d)
			if d.GoneAt != nil {
				end = d.ended()
			}
			if end.Before(a.from) {
				continue
			}
			b := a.bar(d.uploaded(), end)
			b.Class, b.Title = item.Class, strings.Join(append([]string{"#" + item.ID + " " + item.Version, item.State}, item.Templates...), ", ")
			lane.Bars = append(lane.Bars, b)
		}
		lanes = append(lanes, lane)
	}
	return lanes, len(order)
}

func (p Page) historyItem(d HistoryDraft) historyItem {
	item := historyItem{
		ID: strconv.FormatInt(d.Draft.ID, 10), Version: d.Draft.Version, Description: d.Draft.Description,
		Source: d.Draft.MiniProgram, AppID: d.Draft.AppID, Developer: d.Draft.Developer,
		Uploaded: d.uploaded(), Gone: d.GoneAt, State: p.say("inBox"), Class: "current",
	}
	switch {
	case d.ReplacedBy != nil:
		item.State, item.Class = p.say("replacedBy", strconv.FormatInt(d.ReplacedBy.ID, 10)), "past"
	case d.GoneAt != nil:
		item.State, item.Class = p.say("removed"), "removed"
	}
	if d.GoneAt != nil {
		item.Kept = p.say("afterSpan", p.span(d.ended().Sub(d.uploaded())))
	}
	for _, id := range d.TemplateIDs {
		item.Templates = append(item.Templates, p.say("templateIs", strconv.FormatInt(id, 10)))
	}
	if len(d.TemplateIDs) > 0 {
		item.Class += " promoted"
	}
	return item
}
