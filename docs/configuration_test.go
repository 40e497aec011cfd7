package docs

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const configuration = "configuration.md"

// TestEachParameterIsDescribed holds the page's parameters and their defaults against the template.
func TestEachParameterIsDescribed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for name, p := range template.Parameters {
		want[name] = p.Default
		if strings.HasPrefix(name, "Existing") { // of the variable
			want[name] = map[string]string{"ExistingStateTable": "wechat-draftbox-state", "ExistingTokenTable": "wechat-draftbox-tokens"}[name]
		}
	}
	got := map[string]string{}
	rows := regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\| (?:`[A-Z_]+` \\| )?(?:`([^`]+)`|empty) \\|")
	for _, m := range rows.FindAllStringSubmatch(readPage(t, configuration), -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s describes other parameters or defaults (-template +page):\n%s", configuration, diff)
	}
}

// TestEachVariableIsDescribed holds the page's variables against those that the functions read.
func TestEachVariableIsDescribed(t *testing.T) {
	t.Parallel()
	settings := readPage(t, "../pkg/bootstrap/settings.go")
	read, described := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:text|oneOf|duration)\("([A-Z_]+)"`).FindAllStringSubmatch(settings, -1) {
		read[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `([A-Z]+_[A-Z_]+)` \\|").FindAllStringSubmatch(readPage(t, configuration), -1) {
		described[m[1]] = true
	}
	if diff := cmp.Diff(read, described); diff != "" {
		t.Errorf("%s describes other variables (-read +described):\n%s", configuration, diff)
	}
}

// TestTheItemsAreDescribed holds the page's items of the state table against the comment of package state.
func TestTheItemsAreDescribed(t *testing.T) {
	t.Parallel()
	items := func(text, row string) []string {
		keys := map[string]bool{}
		for _, m := range regexp.MustCompile(row).FindAllStringSubmatch(text, -1) {
			keys[m[1]+" "+strings.ReplaceAll(m[2], "`", "")] = true
		}
		return slices.Sorted(maps.Keys(keys))
	}
	comment, _, _ := strings.Cut(readPage(t, "../pkg/state/table.go"), "\npackage state\n")
	_, page, _ := strings.Cut(readPage(t, configuration), "### Items of the state table\n")
	page, _, _ = strings.Cut(page, "An account's item")
	if diff := cmp.Diff(items(comment, `(?m)^//\t([a-z]+)  +(\S+(?: \S+)*)  +\S`), items(page, "(?m)^\\| `([a-z]+)` \\| ([^|]+) \\|")); diff != "" {
		t.Errorf("%s describes other items than package state (-package +page):\n%s", configuration, diff)
	}
}
