package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// functions are those that depend on WeChat.
var functions = []string{"callback", "drafts", "switch", "templates", "tokens"}

// TestSoak runs the functions' own code in one process. Go can't import main packages, so an overlay changes their
// package name and main.
func TestSoak(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	binary := filepath.Join(folder, "soak.test")
	build := exec.Command("go", "test", "-c", "-trimpath", "-vet=off", "-overlay", overlay(t, folder), "-o", binary, "./assembled")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := exec.Command(binary, "-test.timeout=10m")
	var said bytes.Buffer
	run.Stdout, run.Stderr = &said, &said
	err := run.Run()
	fmt.Print(said.String())
	if err != nil {
		t.Error(err)
	}
}

// overlay writes the overlay to a folder and returns its path.
func overlay(t *testing.T, folder string) string {
	t.Helper()
	replace := make(map[string]string) // by the path that the compiler sees
	add := func(name, text string) {
		there, err := filepath.Abs(filepath.Join("assembled", name))
		if err != nil {
			t.Fatal(err)
		}
		replace[there] = filepath.Join(folder, strings.ReplaceAll(name, string(filepath.Separator), "-"))
		if err := os.WriteFile(replace[there], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, function := range functions {
		files, err := filepath.Glob(filepath.Join("..", "..", "..", "functions", function, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				add(filepath.Join(function, filepath.Base(file)), asPackage(t, file, "function"+function))
			}
		}
	}
	var text bytes.Buffer
	if err := assembled.Execute(&text, functions); err != nil {
		t.Fatal(err)
	}
	add("assembled_test.go", text.String())
	listed, _ := json.Marshal(map[string]any{"Replace": replace}) // of texts
	path := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(path, listed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asPackage turns a program's file into one of a package that exports the wiring.
func asPackage(t *testing.T, file, name string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const program, start = "\npackage main\n", "\nfunc main() { bootstrap.Run(wire) }\n"
	source := "\n" + string(text)
	if strings.Count(source, program) != 1 || filepath.Base(file) == "main.go" && !strings.Contains(source, start) {
		t.Fatalf("%s is not the program that it was", file)
	}
	source = strings.Replace(source, program, "\npackage "+name+"\n", 1)
	return strings.Replace(source, start, "\nvar Wire = wire\n", 1)
}

var assembled = template.Must(template.New("assembled").Parse(`package assembled

import (
	"testing"

	"wechat-draftbox/pkg/standin/soak"
{{range .}}	function{{.}} "wechat-draftbox/pkg/standin/soak/assembled/{{.}}"
{{end}})

func TestOutages(t *testing.T) {
	soak.Run(t, map[string]soak.Wire{
{{range .}}		"{{.}}": function{{.}}.Wire,
{{end}}	})
}
`))
