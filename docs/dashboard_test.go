package docs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const drawing = "dashboard.svg"

// TestTheDrawingOfTheDashboard keeps dashboard.svg as the template has the dashboard; -update draws it.
func TestTheDrawingOfTheDashboard(t *testing.T) {
	t.Parallel()
	want := draw(readDashboard(t))
	if *update {
		if err := os.WriteFile(drawing, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s isn't what the template makes; -update draws it (-template +drawn):\n%s", drawing, diff)
	}
}

// widget is a part of a CloudWatch dashboard.
type widget struct {
	Type                string
	X, Y, Width, Height int
	Properties          struct {
		Title       string
		Alarms      []string
		Metrics     [][]any
		Stat        string
		Period      int
		Annotations struct {
			Horizontal []struct{ Value int }
		}
	}
}

func readDashboard(t *testing.T) []widget {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources struct {
			Dashboard struct {
				Properties struct {
					DashboardBody yaml.Node `yaml:"DashboardBody"`
				} `yaml:"Properties"`
			} `yaml:"Dashboard"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Widgets []widget }
	body := resolve(&template.Resources.Dashboard.Properties.DashboardBody)
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return dashboard.Widgets
}

var reference = regexp.MustCompile(`\$\{([\w:.]+)\}`)

// resolve is a node's text, with short names in place of what AWS makes, and as if every condition held.
func resolve(n *yaml.Node) string {
	switch n.Tag {
	case "!If":
		return resolve(n.Content[1])
	case "!Ref":
		return shortName(n.Value)
	case "!Sub":
		text, own := n, map[string]string{}
		if n.Kind == yaml.SequenceNode {
			text = n.Content[0]
			for at := 0; at+1 < len(n.Content[1].Content); at += 2 {
				own[n.Content[1].Content[at].Value] = resolve(n.Content[1].Content[at+1])
			}
		}
		return reference.ReplaceAllStringFunc(text.Value, func(whole string) string {
			name := whole[2 : len(whole)-1]
			if value, ok := own[name]; ok {
				return value
			}
			return shortName(name)
		})
	}
	return n.Value
}

// shortName is what a reader calls a resource: drafts for DraftsFunction, TokenExpiry for TokenExpiryAlarm.Arn.
func shortName(id string) string {
	id, _, _ = strings.Cut(id, ".")
	if function, ok := strings.CutSuffix(id, "Function"); ok {
		return strings.ToLower(function)
	}
	return strings.TrimSuffix(id, "Alarm")
}

// lines says what a widget shows, a line for each metric.
func (w widget) lines() (lines []string) {
	if w.Type == "alarm" {
		return []string{"Alarms: " + strings.Join(w.Properties.Alarms, ", ")}
	}
	of := map[string][]string{} // what has a metric, by its name
	var names, before []string
	for _, metric := range w.Properties.Metrics {
		if options, ok := metric[0].(map[string]any); ok {
			lines = append(lines, searched(options["expression"].(string)))
			continue
		}
		var elements []string
		for _, element := range metric {
			elements = append(elements, element.(string))
		}
		before = writtenOut(elements, before)
		name := before[1]
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], before[len(before)-1])
	}
	for _, name := range names {
		lines = append(lines, name+": "+strings.Join(of[name], ", "))
	}
	for _, line := range w.Properties.Annotations.Horizontal {
		lines = append(lines, fmt.Sprintf("Its alarm is at %d.", line.Value))
	}
	return lines
}

// writtenOut is a metric of a dashboard without abbreviations: "." repeats an element of the one before it, "..." all that it
// lacks.
func writtenOut(metric, before []string) []string {
	if metric[0] == "..." {
		metric = append(slices.Clone(before[:len(before)-len(metric)+1]), metric[1:]...)
	}
	for at := range metric {
		if metric[at] == "." {
			metric[at] = before[at]
		}
	}
	return metric
}

var expression = regexp.MustCompile(`^SEARCH\('\{\w+,FunctionName,([\w,]+)\} MetricName="(\w+)" FunctionName=\(([^)]+)\)', '(\w+)', (\d+)\)$`)

func searched(text string) string {
	part := expression.FindStringSubmatch(text)
	if part == nil {
		return text
	}
	functions := strings.NewReplacer(`"`, "", " OR ", ", ").Replace(part[3])
	return fmt.Sprintf("%s by %s: %s", part[2], strings.ReplaceAll(part[1], ",", " and "), functions)
}

// The size of the drawing, in pixels: of a column and a row of the dashboard's grid, and of its text.
const (
	columnWidth, rowHeight = 42, 20
	lineHeight             = 16
	charWidth              = 6.4
	gap                    = 4
)

const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px }
.period { fill: #59636e }
rect { fill: #f6f8fa; stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .period { fill: #9198a1 }
  rect { fill: #151b23; stroke: #3d444d }
}
</style>
`

func draw(widgets []widget) string {
	var out strings.Builder
	rows := 0
	for _, w := range widgets {
		rows = max(rows, w.Y+w.Height)
	}
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="The dashboard: what each part shows">`+"\n%s",
		24*columnWidth, rows*rowHeight, style)
	for _, w := range widgets {
		x, y := w.X*columnWidth+gap/2, w.Y*rowHeight+gap/2
		width, height := w.Width*columnWidth-gap, w.Height*rowHeight-gap
		fmt.Fprintf(&out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n", x, y, width, height)
		at := y + 20
		write := func(class, text string) {
			fmt.Fprintf(&out, "<text x=\"%d\" y=\"%d\"%s>%s</text>\n", x+10, at, class, html.EscapeString(text))
			at += lineHeight
		}
		write(` class="title"`, w.Properties.Title)
		if w.Properties.Period != 0 {
			write(` class="period"`, w.Properties.Stat+", every "+strings.ReplaceAll(fmt.Sprintf("%d minutes", w.Properties.Period/60), "1440 minutes", "day"))
		}
		for _, line := range w.lines() {
			for _, part := range wrap(line, int(float64(width-20)/charWidth)) {
				write("", part)
			}
		}
	}
	return out.String() + "</svg>\n"
}

// wrap breaks a line at its blanks.
func wrap(line string, most int) (parts []string) {
	for len(line) > most {
		end := cmp.Or(max(strings.LastIndexByte(line[:most], ' '), 0), most)
		parts = append(parts, line[:end])
		line = strings.TrimLeft(line[end:], " ")
	}
	return append(parts, line)
}
