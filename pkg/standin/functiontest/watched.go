package functiontest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
)

// series is a metric with the names of its dimensions, which identify it in CloudWatch.
type series struct{ Namespace, Metric, Dimensions string }

// WantWatched compares the metrics in this world's log with those that the alarms and the dashboard of template.yaml
// read of the function in the test's folder. CloudWatch treats a typo in either as a metric without data.
func (w *World) WantWatched() {
	w.t.Helper()
	folder, err := os.Getwd() // go test runs a test in its folder
	if err != nil {
		w.t.Fatal(err)
	}
	watched := watchedIn(w.t, filepath.Join("..", "..", "template.yaml"))
	if diff := cmp.Diff(watched[filepath.Base(folder)], w.emitted(), cmpopts.EquateEmpty()); diff != "" {
		w.t.Errorf("metrics (-template.yaml reads +the function writes):\n%s", diff)
	}
}

// emitted returns the series in the log, as CloudWatch extracts them.
func (w *World) emitted() map[series]bool {
	w.t.Helper()
	found := make(map[series]bool)
	for _, line := range w.Log.Lines(`"_aws"`) {
		var values map[string]any
		var about struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if json.Unmarshal([]byte(line), &values) != nil || json.Unmarshal([]byte(line), &about) != nil {
			w.t.Fatalf("no embedded metrics: %s", line)
		}
		for _, m := range about.AWS.CloudWatchMetrics {
			for _, dimensions := range m.Dimensions {
				for _, name := range dimensions {
					if value, _ := values[name].(string); value == "" {
						w.t.Errorf("the dimension %s has no value: %s", name, line)
					}
				}
				for _, metric := range m.Metrics {
					if values[metric.Name] == nil {
						w.t.Errorf("%s has no value: %s", metric.Name, line)
					}
					found[series{m.Namespace, metric.Name, strings.Join(dimensions, ",")}] = true
				}
			}
		}
	}
	return found
}

// watchedIn returns the series that a template's alarms and dashboards read, except AWS's own, by the function's
// folder.
func watchedIn(t *testing.T, file string) map[string]map[series]bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	folders := make(map[string]string) // by the function's id in the template
	for id, resource := range template.Resources {
		if resource.Type == "AWS::Serverless::Function" {
			folders[id] = filepath.Base(plain(&resource.Properties).(map[string]any)["CodeUri"].(string))
		}
	}
	watched := make(map[string]map[series]bool)
	note := func(where, function string, s series) {
		folder, ok := folders[function]
		if !ok {
			t.Errorf("%s reads %s of %q, which is no function", where, s.Metric, function)
		}
		if watched[folder] == nil {
			watched[folder] = make(map[series]bool)
		}
		watched[folder][s] = true
	}
	for id, resource := range template.Resources {
		switch resource.Type {
		case "AWS::CloudWatch::Alarm":
			noteAlarm(id, plain(&resource.Properties), note)
		case "AWS::CloudWatch::Dashboard":
			noteDashboard(t, id, plain(&resource.Properties).(map[string]any)["DashboardBody"].(string), note)
		}
	}
	return watched
}

// noteAlarm collects the metrics of an alarm, which names one itself or several in expressions.
func noteAlarm(id string, properties any, note func(where, function string, s series)) {
	switch p := properties.(type) {
	case []any:
		for _, element := range p {
			noteAlarm(id, element, note)
		}
	case map[string]any:
		if namespace, ok := p["Namespace"].(string); ok {
			if isAWS(namespace) {
				return
			}
			var names []string
			var function string
			for _, d := range p["Dimensions"].([]any) {
				dimension := d.(map[string]any)
				names = append(names, dimension["Name"].(string))
				if dimension["Name"] == "FunctionName" {
					function = dimension["Value"].(string)
				}
			}
			note(id, function, series{namespace, p["MetricName"].(string), strings.Join(names, ",")})
			return
		}
		for _, value := range p {
			noteAlarm(id, value, note)
		}
	}
}

func isAWS(namespace string) bool { return strings.HasPrefix(namespace, "AWS/") }

// search is CloudWatch's expression for all series of a metric of the named functions.
var search = regexp.MustCompile(`^SEARCH\('\{([^,]+),([A-Za-z,]+)\} MetricName="(\w+)" FunctionName=\(([^)]+)\)', '\w+', \d+\)$`)

func noteDashboard(t *testing.T, id, body string, note func(where, function string, s series)) {
	t.Helper()
	var dashboard struct {
		Widgets []struct {
			Properties struct {
				Title   string
				Metrics [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &dashboard); err != nil {
		t.Fatalf("the body of %s: %v", id, err)
	}
	for _, widget := range dashboard.Widgets {
		where := fmt.Sprintf("%s, %q", id, widget.Properties.Title)
		var before []string
		for _, metric := range widget.Properties.Metrics {
			var row []string
			for _, element := range metric {
				switch e := element.(type) {
				case string:
					row = append(row, e)
				case map[string]any: // how it is drawn, or an expression
					expression, _ := e["expression"].(string)
					switch found := search.FindStringSubmatch(expression); {
					case found != nil:
						for function := range strings.SplitSeq(found[4], " OR ") {
							note(where, strings.Trim(function, `"`), series{found[1], found[3], found[2]})
						}
					case strings.Contains(expression, "SEARCH"):
						t.Errorf("%s: %s can't be read", where, expression)
					}
				}
			}
			if before = written(row, before); len(before) < 4 || isAWS(before[0]) {
				continue
			}
			var names []string
			for at := 2; at+1 < len(before); at += 2 {
				names = append(names, before[at])
			}
			function := slices.Index(before, "FunctionName") + 1
			note(where, before[function], series{before[0], before[1], strings.Join(names, ",")})
		}
	}
}

// written expands a widget's metric: "." repeats an element of the one before it, "..." all missing ones.
func written(row, before []string) []string {
	if len(row) > 0 && row[0] == "..." {
		row = append(slices.Clone(before[:max(0, len(before)-len(row)+1)]), row[1:]...)
	}
	for at := range row {
		if row[at] == "." && at < len(before) {
			row[at] = before[at]
		}
	}
	return row
}

var variable = regexp.MustCompile(`\$\{(\w+)(\.\w+)?\}`)

// plain is a node's value, with names in place of what only CloudFormation knows, as if every condition were true.
func plain(n *yaml.Node) any {
	switch {
	case n.Kind == yaml.AliasNode:
		return plain(n.Alias)
	case n.Tag == "!If":
		return plain(n.Content[1])
	case n.Tag == "!Sub" && n.Kind == yaml.SequenceNode:
		own := plain(n.Content[1]).(map[string]any)
		return variable.ReplaceAllStringFunc(n.Content[0].Value, func(whole string) string {
			name := variable.FindStringSubmatch(whole)[1]
			if value, ok := own[name].(string); ok {
				return value
			}
			return name
		})
	case n.Tag == "!Sub":
		return variable.ReplaceAllString(n.Value, "$1")
	case n.Kind == yaml.MappingNode:
		values := make(map[string]any)
		for at := 0; at+1 < len(n.Content); at += 2 {
			values[n.Content[at].Value] = plain(n.Content[at+1])
		}
		return values
	case n.Kind == yaml.SequenceNode:
		var values []any
		for _, element := range n.Content {
			values = append(values, plain(element))
		}
		return values
	}
	return n.Value
}
