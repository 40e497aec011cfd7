package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// localAPI is the program of `make run`, with stand-ins that count its calls.
type localAPI struct {
	world  *world
	url    string
	client *http.Client

	command *exec.Cmd
}

var servesOn = regexp.MustCompile(`serves its API on (http://\S+)`)

// startAPI starts the local API without its schedules, which would request the drafts too. Settings are variables of
// the functions, NAME=value.
func (l *load) startAPI(ctx context.Context, settings ...string) (*localAPI, error) {
	binary, err := l.binaries.build(ctx, module+"/cmd/local")
	if err != nil {
		return nil, err
	}
	w, err := l.world()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, binary, "-quiet", "-parameter", "WatchDraftsState=DISABLED", "-parameter", "CheckSwitchesState=DISABLED",
		"-parameter", "RefreshTokensState=DISABLED")
	command.Dir = l.root
	command.Env = append(append(os.Environ(), w.env...), append(settings, "PORT=0")...)
	command.Stderr = os.Stderr
	a := &localAPI{world: w, command: command, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.crowd}}}
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("start the local API: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for a.url == "" && lines.Scan() {
		if found := servesOn.FindStringSubmatch(lines.Text()); found != nil {
			a.url = found[1]
		}
	}
	go io.Copy(io.Discard, stdout)
	if a.url == "" {
		a.stop()
		return nil, fmt.Errorf("start the local API: it said no address")
	}
	return a, nil
}

func (a *localAPI) stop() {
	a.client.CloseIdleConnections()
	a.command.Process.Signal(syscall.SIGTERM) // on which it stops its functions
	a.command.Wait()
	a.world.close()
}

// get requests a target and fails unless the status is 200.
func (a *localAPI) get(target string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+target, nil)
		if err != nil {
			return err
		}
		response, err := a.client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %.300s", response.Status, body)
		}
		return err
	}
}

// memoryOf measures the memory of a function's process.
func (a *localAPI) memoryOf(function string) func() float64 {
	return func() float64 {
		processes, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, name := range processes {
			stat, _ := os.ReadFile(name) // PID (NAME) STATE PARENT …; empty for a process that has ended
			fields := strings.Fields(string(stat))
			if len(fields) > 3 && fields[1] == "("+function+")" && fields[3] == strconv.Itoa(a.command.Process.Pid) {
				pid, _ := strconv.Atoi(fields[0])
				return memoryNow(pid)
			}
		}
		return 0
	}
}
