package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"wechat-draftbox/pkg/standin/runtimeapi"
)

// concurrency is how many invocations share a function's one process. Lambda would start more instances instead.
const concurrency = 32

// A fleet is the bundle's functions, each in its own process.
type fleet map[string]*runtimeapi.Instance

// build compiles the functions for this machine into the folder to.
func build(ctx context.Context, functions []function, to string) error {
	packages := make([]string, len(functions))
	for at, f := range functions {
		absolute, err := filepath.Abs(f.Folder)
		if err != nil {
			return fmt.Errorf("build the functions: %w", err)
		}
		packages[at] = absolute
	}
	command := exec.CommandContext(ctx, "go", append([]string{
		"build", "-ldflags=-w", // no debug information: linking takes a quarter less time
		"-o", to + string(filepath.Separator),
	}, packages...)...)
	command.Dir = filepath.Dir(packages[0])
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("the functions don't build: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// startFleet creates an instance of each function whose binary is in folder.
func startFleet(ctx context.Context, functions []function, folder string, environment func(function) []string, log func(name string) io.Writer) (fleet, error) {
	started := fleet{}
	for _, f := range functions {
		out := log(f.Name)
		instance, err := runtimeapi.Start(ctx, runtimeapi.Function{
			Name:        f.LambdaName,
			Binary:      filepath.Join(folder, f.Name),
			Env:         environment(f),
			Timeout:     f.Timeout,
			Concurrency: concurrency,
			Stdout:      out,
			Stderr:      out,
		})
		if err != nil {
			started.close()
			return nil, err
		}
		started[f.Name] = instance
	}
	return started, nil
}

func (f fleet) invoke(ctx context.Context, name string, event []byte) (runtimeapi.Result, error) {
	instance, ok := f[name]
	if !ok {
		return runtimeapi.Result{}, fmt.Errorf("there is no function %s, but %s", name, strings.Join(slices.Sorted(maps.Keys(f)), ", "))
	}
	return instance.Invoke(ctx, event)
}

// answer returns a function's response, or its error.
func (f fleet) answer(ctx context.Context, name string, event []byte) ([]byte, error) {
	result, err := f.invoke(ctx, name, event)
	if err == nil && result.Error {
		err = fmt.Errorf("%s", result.Payload)
	}
	return result.Payload, err
}

func (f fleet) close() {
	for _, instance := range f {
		instance.Close()
	}
}

// environment returns a function's variables: those that the template declares, overridden by the shell, then those of
// the world.
func environment(f function, getenv func(string) string, world map[string]string) []string {
	all := maps.Clone(f.Environment)
	for name := range all {
		if value := getenv(name); value != "" {
			all[name] = value
		}
	}
	maps.Copy(all, world)
	pairs := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, name+"="+all[name])
	}
	return pairs
}

// A prefixed writer puts a name before each line, and drops metrics unless they are wanted. Writers to the same output
// share its lock.
type prefixed struct {
	name    string
	metrics bool
	to      io.Writer
	lock    *sync.Mutex

	partial []byte
}

func (p *prefixed) Write(b []byte) (int, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.partial = append(p.partial, b...)
	for {
		line, rest, complete := bytes.Cut(p.partial, []byte("\n"))
		if !complete {
			return len(b), nil
		}
		if p.metrics || !isMetrics(line) {
			if _, err := fmt.Fprintf(p.to, "%-9s | %s\n", p.name, line); err != nil {
				return 0, err
			}
		}
		p.partial = append(p.partial[:0], rest...)
	}
}

// isMetrics reports whether a line is in the embedded metric format.
func isMetrics(line []byte) bool {
	var metrics struct {
		AWS json.RawMessage `json:"_aws"`
	}
	return bytes.Contains(line, []byte(`"_aws"`)) && json.Unmarshal(line, &metrics) == nil && metrics.AWS != nil
}
