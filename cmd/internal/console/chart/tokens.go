package chart

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Token is an entry of the result of the task tokens.
type Token struct {
	AppID     string     `json:"appid"` // empty: the component's
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at"`
	FetchedAt *time.Time `json:"fetched_at"`
	WaitUntil *time.Time `json:"wait_until"`
	Errcode   *int       `json:"errcode"`

	Renewals []time.Time `json:"renewals"` // earlier fetches, as far as the page saw them
}

const (
	// maxTokenRows is how many tokens get a row of their own.
	maxTokenRows = 20
	// renewalWindow is how long before its end a token is renewed.
	renewalWindow = 20 * time.Minute
	// tokenSpan is the time before and after now that the picture shows: a token lives two hours.
	tokenSpan = 2 * time.Hour
	rowHeight = 34
)

// tokenStates in order of urgency.
var tokenStates = []string{"expired", "waiting", "failed", "missing", "due", "noExpiry", "live"}

func (p Page) tokenState(t Token) string {
	switch {
	case t.ExpiresAt != nil && !t.ExpiresAt.After(p.Now):
		return "expired"
	case t.WaitUntil != nil && t.WaitUntil.After(p.Now):
		return "waiting"
	case t.Errcode != nil:
		return "failed"
	case t.ExpiresAt == nil && t.FetchedAt == nil:
		return "missing"
	case t.ExpiresAt == nil:
		return "noExpiry"
	case t.ExpiresAt.Sub(p.Now) <= renewalWindow:
		return "due"
	}
	return "live"
}

type tokenRow struct {
	Y          int
	Name, Note string
	Bars       []bar
	Renewals   []percent
}

// Tokens draws the lives of tokens as bars around now. Where there are many, the most urgent get bars and all are counted
// by the minutes they have left. more says that not all tokens were read.
func (p Page) Tokens(w io.Writer, tokens []Token, more bool) error {
	a := axis{p.Now.Add(-tokenSpan), p.Now.Add(tokenSpan)}
	counts := map[string]int{}
	var rows []tokenRow
	for _, t := range tokens {
		counts[p.tokenState(t)]++
	}
	sorted := slices.SortedStableFunc(slices.Values(tokens), p.compareUrgency)
	shown := sorted[:min(len(sorted), maxTokenRows)]
	for i, t := range shown {
		rows = append(rows, p.tokenRow(a, t, i))
	}
	var legend []string
	var notes []string
	for _, s := range tokenStates {
		if counts[s] > 0 {
			legend = append(legend, p.say("countOf", p.say(s), counts[s]))
		}
	}
	var bins []tokenBin
	if len(sorted) > len(shown) {
		bins = p.tokenBins(tokens)
		notes = append(notes, p.say("tokensWorst", len(shown), len(tokens)))
	}
	if more {
		notes = append(notes, p.say("tokensMore", len(tokens)))
	}
	return p.render(w, "tokens", struct {
		Summary string
		Height  int
		Rows    []tokenRow
		Ticks   []tick
		Bins    []tokenBin
		Notes   []string
		More    bool
		Table   table
	}{p.say("tokensSummary", len(tokens), strings.Join(legend, ", ")), len(rows)*rowHeight + 20, rows, p.ticks(a, 4), bins, notes, more, p.tokenTable(shown)})
}

// compareUrgency puts the component first, then what needs attention, then what ends soonest.
func (p Page) compareUrgency(a, b Token) int {
	rank := func(t Token) int {
		if t.AppID == "" {
			return -1
		}
		return slices.Index(tokenStates, p.tokenState(t))
	}
	ends := func(t Token) int64 {
		if t.ExpiresAt == nil {
			return 0
		}
		return t.ExpiresAt.Unix()
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(ends(a), ends(b)))
}

func (p Page) tokenName(t Token) string {
	if t.AppID == "" {
		return p.say("platform")
	}
	return cmp.Or(t.Name, t.AppID)
}

func (p Page) tokenNote(t Token) string {
	var parts []string
	switch state := p.tokenState(t); {
	case state == "expired":
		parts = append(parts, p.say("expiredAgo", p.distance(*t.ExpiresAt)))
	case t.ExpiresAt != nil:
		parts = append(parts, p.say("expiresIn", p.distance(*t.ExpiresAt)))
	default:
		parts = append(parts, p.say(state))
	}
	if t.WaitUntil != nil && t.WaitUntil.After(p.Now) {
		parts = append(parts, p.say("nextTry", p.distance(*t.WaitUntil)))
	}
	if t.Errcode != nil && *t.Errcode != 0 {
		parts = append(parts, p.say("errcode", strconv.Itoa(*t.Errcode)))
	} else if t.Errcode != nil {
		parts = append(parts, p.say("failed"))
	}
	return strings.Join(parts, " · ")
}

func (p Page) tokenRow(a axis, t Token, at int) tokenRow {
	row := tokenRow{Y: at * rowHeight, Name: shorten(p.tokenName(t), 22), Note: p.tokenNote(t)}
	from, to := a.from, a.to
	if t.FetchedAt != nil {
		from = *t.FetchedAt
	}
	if t.ExpiresAt != nil {
		to = *t.ExpiresAt
	}
	state := p.tokenState(t)
	add := func(from, to time.Time, class string) {
		b := a.bar(from, to)
		b.Class, b.Title = class, p.tokenName(t)+": "+p.say(class)
		row.Bars = append(row.Bars, b)
	}
	switch state {
	case "missing":
	case "expired", "noExpiry":
		add(from, to, state)
	default:
		add(from, to, "live")
		if t.ExpiresAt != nil {
			add(to.Add(-renewalWindow), to, "due")
		}
	}
	if t.WaitUntil != nil && t.WaitUntil.After(p.Now) {
		add(p.Now, *t.WaitUntil, "waiting")
	}
	for _, r := range append(slices.Clone(t.Renewals), from) {
		if r.After(a.from) {
			row.Renewals = append(row.Renewals, a.at(r))
		}
	}
	return row
}

// tokenBin counts the tokens that end in a stretch of ten minutes.
type tokenBin struct {
	X, Width percent
	Y, High  int
	Label    string
	Class    string
	Count    int
}

const (
	binHeight  = 72
	binMinutes = 10
)

// tokenBins counts tokens by the minutes they have left; the first bin holds the expired ones, the last all others.
func (p Page) tokenBins(tokens []Token) []tokenBin {
	const last = int(tokenSpan/time.Minute)/binMinutes + 1
	bins := make([]tokenBin, last+1)
	for _, t := range tokens {
		at := last
		if t.ExpiresAt != nil {
			at = min(last, 1+int(t.ExpiresAt.Sub(p.Now)/time.Minute)/binMinutes)
			if !t.ExpiresAt.After(p.Now) {
				at = 0
			}
		}
		bins[at].Count++
	}
	most := 1
	for _, b := range bins {
		most = max(most, b.Count)
	}
	for i := range bins {
		b := &bins[i]
		b.Width = percent(100) / percent(len(bins))
		b.X, b.Class = b.Width*percent(i), "live"
		b.Label = p.say("binLabel", (i-1)*binMinutes, i*binMinutes)
		switch {
		case i == 0:
			b.Label, b.Class = p.say("expired"), "expired"
		case i == last:
			b.Label = p.say("binLast", (i-1)*binMinutes)
		case time.Duration(i*binMinutes)*time.Minute <= renewalWindow:
			b.Class = "due"
		}
		if b.Count > 0 {
			b.High = max(2, binHeight*b.Count/most)
		}
		b.Y = binHeight - b.High + 14
	}
	return bins
}

func (p Page) tokenTable(tokens []Token) table {
	t := table{Caption: p.say("token"), Head: []string{p.say("token"), "appid", p.say("state"), p.say("fetched"), p.say("expires"), p.say("waits")}}
	for _, token := range tokens {
		state := p.say(p.tokenState(token))
		if token.Errcode != nil && *token.Errcode != 0 {
			state += " (" + p.say("errcode", strconv.Itoa(*token.Errcode)) + ")"
		}
		t.Rows = append(t.Rows, []cell{text(p.tokenName(token)), text(token.AppID), text(state), moment(token.FetchedAt), moment(token.ExpiresAt), moment(token.WaitUntil)})
	}
	return t
}
