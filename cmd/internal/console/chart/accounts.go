package chart

import (
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Accounts are a number of accounts that are alike in what their state depends on, with the names of GET /accounts.
type Accounts struct {
	Kind        string `json:"kind"`
	Status      string `json:"status"`
	DraftSwitch string `json:"draft_switch"`
	Errcode     int    `json:"errcode"`
	Count       int    `json:"count"`
}

const (
	officialAccount = "official-account"
	miniProgram     = "mini-program"
)

// accountStates are the states of each kind in the order in which they are drawn.
var accountStates = []struct {
	kind   string
	states []string
}{
	{officialAccount, []string{"open", "closed", "unknown", "unauthorized"}},
	{miniProgram, []string{"authorized", "unauthorized"}},
}

// accountCounts are accounts by kind and state.
type accountCounts struct {
	total   int
	byState map[[2]string]int
	refused map[int]int // by errcode
}

// countAccounts adds up. Accounts without a kind count as Official Accounts, as in the API.
func countAccounts(all []Accounts) accountCounts {
	c := accountCounts{byState: map[[2]string]int{}, refused: map[int]int{}}
	for _, a := range all {
		kind, state := officialAccount, a.DraftSwitch
		if a.Kind == miniProgram {
			kind, state = miniProgram, "authorized"
		}
		switch {
		case a.Status == "unauthorized":
			state = "unauthorized"
		case kind == officialAccount && state != "open" && state != "closed":
			state = "unknown"
		}
		c.total += a.Count
		c.byState[[2]string{kind, state}] += a.Count
		if a.Errcode != 0 {
			c.refused[a.Errcode] += a.Count
		}
	}
	return c
}

func (c accountCounts) sum(kind string, states []string) (n int) {
	for _, s := range states {
		n += c.byState[[2]string{kind, s}]
	}
	return n
}

type accountSegment struct {
	bar
	Kind, Label, Query string
	Count              int
}

type accountLane struct {
	Kind     string
	Count    int
	Segments []accountSegment
}

// Accounts draws one bar a kind, divided by state. Each part of the legend is a button with the query of GET /accounts
// that lists those accounts. partial says that not all accounts were counted.
func (p Page) Accounts(w io.Writer, all []Accounts, partial bool) error {
	c := countAccounts(all)
	most := 0
	for _, k := range accountStates {
		most = max(most, c.sum(k.kind, k.states))
	}
	var lanes []accountLane
	for _, k := range accountStates {
		if n := c.sum(k.kind, k.states); n > 0 {
			lanes = append(lanes, p.accountLane(c, k.kind, percent(max(2, 100*float64(n)/float64(most)))))
		}
	}
	note := ""
	if partial {
		note = p.say("accountsPartial", c.total)
	}
	return p.render(w, "accounts", struct {
		Summary, Note, Refused string
		Lanes                  []accountLane
	}{p.say("accountsSummary", c.total), note, p.refusedAccounts(c), lanes})
}

func (p Page) accountLane(c accountCounts, kind string, length percent) accountLane {
	states := accountStates[0].states
	if kind == miniProgram {
		states = accountStates[1].states
	}
	lane := accountLane{Kind: p.say(kind), Count: c.sum(kind, states)}
	sum := percent(0)
	for _, state := range states {
		n := c.byState[[2]string{kind, state}]
		if n == 0 {
			continue
		}
		query := url.Values{"kind": {kind}}
		if state == "authorized" || state == "unauthorized" {
			query.Set("status", state)
		} else {
			query.Set("status", "authorized")
			query.Set("draft_switch", state)
		}
		width := max(minWidth*100/length, percent(float64(n)/float64(lane.Count)*100))
		sum += width
		label := p.say(state)
		lane.Segments = append(lane.Segments, accountSegment{
			bar:  bar{Width: width, Class: state, Title: p.say("countOf", label, n)},
			Kind: lane.Kind, Label: label, Query: query.Encode(), Count: n,
		})
	}
	x := percent(0)
	for i := range lane.Segments {
		s := &lane.Segments[i]
		s.X, s.Width = x, s.Width*length/sum
		x += s.Width
	}
	return lane
}

func (p Page) refusedAccounts(c accountCounts) string {
	var parts []string
	total := 0
	for _, code := range slices.Sorted(maps.Keys(c.refused)) {
		total += c.refused[code]
		parts = append(parts, p.say("errcodeTimes", strconv.Itoa(code), c.refused[code]))
	}
	if total == 0 {
		return ""
	}
	return p.say("accountsRefused", total, strings.Join(parts, ", "))
}
