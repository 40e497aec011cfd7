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
	module         = "wechat-draftbox"
	draftsFunction = module + "/functions/drafts"
	minimalLambda  = module + "/cmd/bench/minimal"
	floorLambda    = module + "/cmd/bench/floor"
)

// binaries builds programs as they are deployed.
type binaries struct{ dir string }

// build builds a package, and returns the binary's path.
func (b binaries) build(ctx context.Context, pkg string, tags ...string) (string, error) {
	path := filepath.Join(b.dir, strings.NewReplacer("/", "-").Replace(strings.Join(append(tags, pkg), "-")))
	_, err := goTool(ctx, "build", "-trimpath", "-tags="+tagList(tags), "-ldflags=-s", "-o", path, pkg)
	return path, err
}

// contenders are the programs compared with each other.
type contenders struct {
	drafts  string
	minimal string // the minimal Lambda with the same SDK clients as drafts
	alone   string // the minimal Lambda with the client of Secrets Manager alone
	floor   string
}

func (b binaries) contenders(ctx context.Context) (c contenders, err error) {
	more, err := moreClients(ctx)
	if err != nil {
		return c, err
	}
	for _, build := range []struct {
		path *string
		pkg  string
		tags []string
	}{{&c.drafts, draftsFunction, nil}, {&c.minimal, minimalLambda, more}, {&c.alone, minimalLambda, nil}, {&c.floor, floorLambda, nil}} {
		if *build.path, err = b.build(ctx, build.pkg, build.tags...); err != nil {
			return c, err
		}
	}
	return c, nil
}

// moreClients are the SDK clients that drafts links and the minimal Lambda doesn't; the latter has a build tag for
// each.
func moreClients(ctx context.Context) ([]string, error) {
	wanted, err := clients(ctx, draftsFunction)
	if err != nil {
		return nil, err
	}
	alone, err := clients(ctx, minimalLambda)
	if err != nil {
		return nil, err
	}
	more := slices.DeleteFunc(slices.Clone(wanted), func(client string) bool { return slices.Contains(alone, client) })
	same, err := clients(ctx, minimalLambda, more...)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(same, wanted) {
		return nil, fmt.Errorf("drafts links the SDK clients %v, but the minimal Lambda %v", wanted, same)
	}
	return more, nil
}

// clients are the SDK's service clients that a package links, sorted.
func clients(ctx context.Context, pkg string, tags ...string) (names []string, err error) {
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
