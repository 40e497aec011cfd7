package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	module  = "wechat-draftbox"
	drafts  = module + "/functions/drafts"
	minimal = module + "/pkg/bench/minimal"
)

// binaries builds programs as they are deployed.
type binaries struct{ dir string }

// build builds a package, and returns the binary's path. One that was built before is built from go's cache.
func (b binaries) build(ctx context.Context, pkg string, tags ...string) (string, error) {
	path := filepath.Join(b.dir, strings.NewReplacer("/", "-").Replace(strings.Join(append(tags, pkg), "-")))
	_, err := goTool(ctx, "build", "-trimpath", "-tags="+tagList(tags), "-ldflags=-s", "-o", path, pkg)
	return path, err
}

// contenders are the programs that are measured beside each other: drafts, the minimal Lambda with the same SDK clients,
// and the one with Secrets Manager's alone.
func (b binaries) contenders(ctx context.Context) (paths [3]string, err error) {
	clients, err := b.clients(ctx, drafts)
	if err != nil {
		return paths, err
	}
	alone, err := b.clients(ctx, minimal)
	if err != nil {
		return paths, err
	}
	// A file of the minimal Lambda links a client under the tag of its name.
	more := slices.DeleteFunc(slices.Clone(clients), func(client string) bool { return slices.Contains(alone, client) })
	if same, err := b.clients(ctx, minimal, more...); err != nil || !slices.Equal(same, clients) {
		return paths, fmt.Errorf("drafts links the SDK clients %v, the minimal Lambda %v (%w)", clients, same, err)
	}
	if paths[0], err = b.build(ctx, drafts); err != nil {
		return paths, err
	}
	if paths[1], err = b.build(ctx, minimal, more...); err != nil {
		return paths, err
	}
	paths[2], err = b.build(ctx, minimal)
	return paths, err
}

// clients are the SDK's service clients that a package links, in order of their names.
func (b binaries) clients(ctx context.Context, pkg string, tags ...string) (names []string, err error) {
	packages, err := goTool(ctx, "list", "-deps", "-tags="+tagList(tags), pkg)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(packages) {
		name, isService := strings.CutPrefix(strings.TrimSpace(line), "github.com/aws/aws-sdk-go-v2/service/")
		if isService && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func tagList(more []string) string {
	return strings.Join(append([]string{"lambda.norpc"}, more...), ",")
}

func goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
