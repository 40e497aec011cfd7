// Package docs holds the pages against what they describe.
package docs

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "draw architecture.md's arrows and dashboard.svg anew")

const (
	module = "wechat-draftbox/"
	page   = "architecture.md"
	// arrowsBegin is the line of a picture after which its arrows are, up to the picture's end.
	arrowsBegin = "  %% arrows: go test ./docs -run Arrows -update\n"
	pictureEnd  = "```\n"
)

var (
	node  = regexp.MustCompile(`(\w+)\["((?:functions|pkg|cmd)/[\w/]+)"\]`)
	row   = regexp.MustCompile("(?m)^\\| `((?:functions|pkg|cmd)/[\\w/]+)` \\|")
	arrow = regexp.MustCompile(`(?m)^  (\w+) --> (.+)$`)
)

// imports maps each package of the module to those of the module that it imports, without its tests'.
type imports map[string]map[string]bool

func readImports(t *testing.T) imports {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./functions/...", "./pkg/...", "./cmd/...")
	list.Dir = ".."
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := imports{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		own := map[string]bool{}
		for _, path := range p.Imports {
			if name, ok := strings.CutPrefix(path, module); ok {
				own[name] = true
			}
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = own
	}
}

// reaches reports whether one of the imports of from leads to the package to.
func (i imports) reaches(from, to string) bool {
	for next := range i[from] {
		if next == to || i.reaches(next, to) {
			return true
		}
	}
	return false
}

// drawn are the imports that don't follow from others: a picture of all of them could not be read.
func (i imports) drawn(from string) (names []string) {
	for to := range i[from] {
		implied := false
		for other := range i[from] {
			implied = implied || other != to && i.reaches(other, to)
		}
		if !implied {
			names = append(names, to)
		}
	}
	slices.Sort(names)
	return names
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pictures cuts the page at the arrows: the even parts are not arrows, the odd ones are.
func pictures(t *testing.T, text string) (parts []string) {
	t.Helper()
	for {
		before, rest, found := strings.Cut(text, arrowsBegin)
		if !found {
			return append(parts, text)
		}
		arrows, after, found := strings.Cut(rest, pictureEnd)
		if !found {
			t.Fatal("a picture has no end")
		}
		parts, text = append(parts, before+arrowsBegin, arrows), pictureEnd+after
	}
}

func TestTheArrowsAreTheImports(t *testing.T) {
	t.Parallel()
	actual := readImports(t)
	parts := pictures(t, readPage(t, page))
	ids, paths := map[string]string{}, map[string]string{}
	for _, m := range node.FindAllStringSubmatch(strings.Join(parts, ""), -1) {
		ids[m[2]], paths[m[1]] = m[1], m[2]
	}
	if *update {
		for i := 1; i < len(parts); i += 2 {
			parts[i] = arrowsOf(actual, ids, parts[i-1])
		}
		if err := os.WriteFile(page, []byte(strings.Join(parts, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drawn := map[string][]string{}
	for i := 1; i < len(parts); i += 2 {
		for _, m := range arrow.FindAllStringSubmatch(parts[i], -1) {
			for id := range strings.SplitSeq(m[2], " & ") {
				drawn[paths[m[1]]] = append(drawn[paths[m[1]]], paths[id])
			}
		}
	}
	want := map[string][]string{}
	for from := range actual {
		if names := actual.drawn(from); names != nil {
			want[from] = names
		}
		slices.Sort(drawn[from])
	}
	maps.DeleteFunc(drawn, func(_ string, names []string) bool { return names == nil })
	if diff := cmp.Diff(want, drawn); diff != "" {
		t.Errorf("%s draws other arrows than the imports; -update draws them (-imports +drawn):\n%s", page, diff)
	}
}

// arrowsOf are the arrows of the packages that a picture names last, before its arrows.
func arrowsOf(actual imports, ids map[string]string, text string) string {
	var lines strings.Builder
	_, picture, _ := strings.Cut(text[strings.LastIndex(text, "```mermaid"):], "\n")
	for _, m := range node.FindAllStringSubmatch(picture, -1) {
		var to []string
		for _, name := range actual.drawn(m[2]) {
			if ids[name] != "" { // else the test says that it isn't drawn
				to = append(to, ids[name])
			}
		}
		if to != nil {
			fmt.Fprintf(&lines, "  %s --> %s\n", m[1], strings.Join(to, " & "))
		}
	}
	return lines.String()
}

func TestEachPackageHasASentence(t *testing.T) {
	t.Parallel()
	var described []string
	for _, m := range row.FindAllStringSubmatch(readPage(t, page), -1) {
		described = append(described, m[1])
	}
	slices.Sort(described)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(readImports(t))), described); diff != "" {
		t.Errorf("%s describes other packages than there are (-packages +described):\n%s", page, diff)
	}
}
