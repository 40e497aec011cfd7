// Package chart draws the console's pictures as SVG inside pieces of HTML, each with a list or table that says the same
// in words.
//
// Horizontal positions are percentages and heights are pixels, so a picture fills any width while its text keeps its
// size. Colours are classes of the console's style sheet. People's text only passes through html/template.
package chart

import (
	"embed"
	"html/template"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed templates
var files embed.FS

// A Page is what all pictures depend on.
type Page struct {
	Language string // "en" or "zh"
	Now      time.Time
}

func (p Page) say(key string, values ...any) string {
	text, printer := words[key].en, message.NewPrinter(language.English)
	if p.Language == "zh" {
		text, printer = words[key].zh, message.NewPrinter(language.Chinese)
	}
	if text == "" {
		return key
	}
	return printer.Sprintf(text, values...)
}

// number writes a whole number with separators.
func (p Page) number(n int) string { return p.say("number", n) }

// span writes a duration by its largest unit.
func (p Page) span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < time.Minute:
		return p.say("seconds", int(d/time.Second))
	case d < 2*time.Hour && d != time.Hour:
		return p.say("minutes", int(d/time.Minute))
	case d < 48*time.Hour:
		return p.say("hours", int(d/time.Hour))
	default:
		return p.say("days", int(d/(24*time.Hour)))
	}
}

// distance says how far a moment is from now.
func (p Page) distance(at time.Time) string {
	if at.After(p.Now) {
		return p.say("in", p.span(at.Sub(p.Now)))
	}
	return p.say("ago", p.span(p.Now.Sub(at)))
}

// render writes the template of this name.
func (p Page) render(w io.Writer, name string, data any) error {
	functions := template.FuncMap{"say": p.say, "number": p.number, "distance": p.distance, "stamp": stamp}
	t, err := template.New("").Funcs(functions).ParseFS(files, "templates/*.html")
	if err != nil {
		return err
	}
	return t.ExecuteTemplate(w, name, data)
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// percent is a position or length along a picture's width.
type percent float64

func (p percent) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*100)/100, 'f', -1, 64) + "%"
}

// axis maps a stretch of time to the width of a picture.
type axis struct{ from, to time.Time }

func (a axis) at(t time.Time) percent {
	share := float64(t.Sub(a.from)) / float64(a.to.Sub(a.from))
	return percent(100 * min(max(share, 0), 1))
}

// bar is the stretch between two moments, wide enough to be seen.
func (a axis) bar(from, to time.Time) bar {
	x, end := a.at(from), a.at(to)
	return bar{X: min(x, 100-minWidth), Width: max(end-x, minWidth)}
}

const minWidth = percent(0.8)

type bar struct {
	X, Width percent
	Class    string
	Title    string
}

// tick is a labelled line across a picture.
type tick struct {
	X      percent
	Anchor string // text-anchor, so that the outermost labels stay inside
	Label  string
}

// ticks divides the axis into equal parts and labels them by their distance from now.
func (p Page) ticks(a axis, parts int) []tick {
	var all []tick
	for i := range parts + 1 {
		at := a.from.Add(a.to.Sub(a.from) * time.Duration(i) / time.Duration(parts))
		t := tick{X: a.at(at), Anchor: "middle", Label: p.say("now")}
		if at.Sub(p.Now).Abs() >= time.Second {
			t.Label = p.distance(at)
		}
		switch i {
		case 0:
			t.Anchor = "start"
		case parts:
			t.Anchor = "end"
		}
		all = append(all, t)
	}
	return all
}

// table says in words what a picture shows.
type table struct {
	Caption string
	Head    []string
	Rows    [][]cell
}

// cell is a text or a moment.
type cell struct {
	Text string
	At   time.Time
}

func text(s string) cell { return cell{Text: s} }

func moment(at *time.Time) cell {
	if at == nil {
		return cell{Text: "–"}
	}
	return cell{At: *at}
}

// shorten cuts a text to a width in Latin letters; other letters count twice.
func shorten(s string, width int) string {
	used := 0
	for i, r := range s {
		if used++; utf8.RuneLen(r) > 2 {
			used++
		}
		if used > width {
			return s[:i] + "…"
		}
	}
	return s
}
