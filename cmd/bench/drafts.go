package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/runtimeapi"
)

const (
	noCache   = "DRAFT_CACHE_TTL=0s" // fetch the list each time, as the minimal Lambda does
	longCache = "DRAFT_CACHE_TTL=1h" // longer than any measurement
)

// event is GET /drafts, as an HTTP API sends it.
const event = `{"version": "2.0", "routeKey": "GET /drafts", "rawPath": "/drafts", "rawQueryString": "",
  "headers": {"accept": "application/json", "host": "abcdefghij.execute-api.us-east-1.amazonaws.com", "user-agent": "curl/8.11.1",
    "x-amzn-trace-id": "Root=1-65af81fb-4abb2a3b18a1751e4abb2a3b", "x-forwarded-for": "192.0.2.1", "x-forwarded-port": "443", "x-forwarded-proto": "https"},
  "requestContext": {"accountId": "123456789012", "apiId": "abcdefghij", "authorizer": {"iam": {"accessKey": "AKIAIOSFODNN7EXAMPLE",
      "accountId": "123456789012", "callerId": "AIDACKCEVSQ6C2EXAMPLE", "principalOrgId": null, "userArn": "arn:aws:iam::123456789012:user/ci", "userId": "AIDACKCEVSQ6C2EXAMPLE"}},
    "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com", "domainPrefix": "abcdefghij",
    "http": {"method": "GET", "path": "/drafts", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "curl/8.11.1"},
    "requestId": "JKJaXmPLvHcESHA=", "routeKey": "GET /drafts", "stage": "$default", "time": "02/Jan/2026:03:04:05 +0000", "timeEpoch": 1767323045000},
  "isBase64Encoded": false}`

// list invokes an instance, checks the number of drafts in the response, and returns the latency in milliseconds.
func list(ctx context.Context, instance *runtimeapi.Instance, drafts int) (float64, error) {
	result, err := instance.Invoke(ctx, []byte(event))
	if err != nil {
		return 0, err
	}
	var answer struct {
		StatusCode int
		Body       string
	}
	var body struct{ Count int }
	if err := json.Unmarshal(result.Payload, &answer); err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	json.Unmarshal([]byte(answer.Body), &body) // after an error the count is wrong
	if result.Error || answer.StatusCode != 200 || body.Count != drafts {
		return 0, fmt.Errorf("an answer without the %d drafts: %.200s", drafts, result.Payload)
	}
	return float64(result.Duration) / float64(time.Millisecond), nil
}

// start creates an instance; its process starts with the first invocation. Logs and metrics are discarded.
func start(ctx context.Context, binary string, env ...string) (*runtimeapi.Instance, error) {
	return runtimeapi.Start(ctx, runtimeapi.Function{
		Name: "bench", Binary: binary, Env: env, Timeout: 15 * time.Minute, Stderr: os.Stderr,
	})
}

// interleave runs the steps in alternation for so many rounds and returns the values of each. Each round starts with a
// different step, so that none always follows the same one.
func interleave(rounds int, steps ...func() (float64, error)) ([][]float64, error) {
	measured := make([][]float64, len(steps))
	for round := range rounds {
		for i := range steps {
			at := (round + i) % len(steps)
			value, err := steps[at]()
			if err != nil {
				return nil, err
			}
			measured[at] = append(measured[at], value)
		}
	}
	return measured, nil
}

// coldStarts measures the time from exec to the first response.
func coldStarts(ctx context.Context, b *bench, size int) ([]row, error) {
	w, err := newDraftWorld(0, size)
	if err != nil {
		return nil, err
	}
	defer w.close()
	step := func(binary string) func() (float64, error) {
		return func() (float64, error) {
			instance, err := start(ctx, binary, w.env...)
			if err != nil {
				return 0, err
			}
			defer instance.Close()
			return list(ctx, instance, size)
		}
	}
	var ours, minimal, alone runs
	for range b.runs {
		took, err := interleave(b.starts, step(b.contenders.drafts), step(b.contenders.minimal), step(b.contenders.alone))
		if err != nil {
			return nil, err
		}
		ours, minimal, alone = append(ours, took[0]), append(minimal, took[1]), append(alone, took[2])
	}
	return []row{
		compare(fmt.Sprintf("cold start, exec to first answer, %d drafts", size), "%.1f ms", 1.1, ours, minimal, alone),
	}, nil
}

// warmInstances are running processes of the contenders. uncached and cached are both drafts.
type warmInstances struct{ uncached, cached, minimal, alone, floor *runtimeapi.Instance }

func (i warmInstances) all() []*runtimeapi.Instance {
	return []*runtimeapi.Instance{i.uncached, i.minimal, i.alone, i.cached, i.floor}
}

func (i warmInstances) close() {
	for _, instance := range i.all() {
		if instance != nil {
			instance.Close()
		}
	}
}

func startWarm(ctx context.Context, b *bench, w *world, floorEnv []string) (i warmInstances, err error) {
	for _, s := range []struct {
		instance **runtimeapi.Instance
		binary   string
		env      []string
	}{
		{&i.uncached, b.contenders.drafts, append(w.env, noCache)},
		{&i.cached, b.contenders.drafts, append(w.env, longCache)},
		{&i.minimal, b.contenders.minimal, w.env},
		{&i.alone, b.contenders.alone, w.env},
		{&i.floor, b.contenders.floor, floorEnv},
	} {
		if *s.instance, err = start(ctx, s.binary, s.env...); err != nil {
			i.close()
			return i, err
		}
	}
	return i, nil
}

// warm measures invocations of running processes, and their peak memory.
func warm(ctx context.Context, b *bench, size int) ([]row, error) {
	w, err := newDraftWorld(0, size)
	if err != nil {
		return nil, err
	}
	defer w.close()
	floorEnv, err := w.floorEnv(ctx, b, size)
	if err != nil {
		return nil, err
	}
	const first = 5 // warm-up
	var times, memory [5]runs
	for range b.runs {
		instances, err := startWarm(ctx, b, w, floorEnv)
		if err != nil {
			return nil, err
		}
		defer instances.close()
		var steps []func() (float64, error)
		for _, instance := range instances.all() {
			steps = append(steps, func() (float64, error) { return list(ctx, instance, size) })
		}
		took, err := interleave(first+b.rounds, steps...)
		if err != nil {
			return nil, err
		}
		for i, instance := range instances.all() {
			peak, err := peakMemory(instance.PID())
			if err != nil {
				return nil, err
			}
			times[i], memory[i] = append(times[i], took[i][first:]), append(memory[i], []float64{peak})
		}
		instances.close()
	}
	what := fmt.Sprintf("warm `GET /drafts`, %d drafts", size)
	cached := compare(what+", cached", "%.2f ms", 1.3, times[3], times[4], nil)
	cached.floor, cached.minimal = cached.minimal, 0
	return []row{
		compare(what+", without cache", "%.2f ms", 1, times[0], times[1], times[2]),
		tail(what+", without cache, p99", times[0], times[1], times[2]),
		cached,
		compare(fmt.Sprintf("peak memory (VmHWM), %d drafts, without cache", size), "%.1f MB", 1.25, memory[0], memory[1], memory[2]),
		compare(fmt.Sprintf("peak memory (VmHWM), %d drafts, cached", size), "%.1f MB", 1.25, memory[3], memory[1], memory[2]),
	}, nil
}

// warmWithLatency does the same with a realistic upstream latency. It hides the programs' own cost, so it has no
// target.
func warmWithLatency(ctx context.Context, b *bench, size int) ([]row, error) {
	w, err := newDraftWorld(b.latency, size)
	if err != nil {
		return nil, err
	}
	defer w.close()
	instances, err := startWarm(ctx, b, w, nil)
	if err != nil {
		return nil, err
	}
	defer instances.close()
	step := func(instance *runtimeapi.Instance) func() (float64, error) {
		return func() (float64, error) { return list(ctx, instance, size) }
	}
	took, err := interleave(b.rounds/4+2, step(instances.uncached), step(instances.minimal), step(instances.alone))
	if err != nil {
		return nil, err
	}
	return []row{compare(fmt.Sprintf("warm `GET /drafts`, %d drafts, without cache, %v upstream", size, b.latency), "%.2f ms", 0,
		runs{took[0][1:]}, runs{took[1][1:]}, runs{took[2][1:]})}, nil
}

// floorEnv gives the floor the response and metrics line that drafts produces from its cache.
func (w *world) floorEnv(ctx context.Context, b *bench, size int) ([]string, error) {
	var lines bytes.Buffer
	instance, err := runtimeapi.Start(ctx, runtimeapi.Function{
		Name: "bench", Binary: b.contenders.drafts, Env: append(w.env, longCache), Timeout: time.Minute, Stdout: &lines, Stderr: os.Stderr,
	})
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	if _, err := list(ctx, instance, size); err != nil {
		return nil, err
	}
	result, err := instance.Invoke(ctx, []byte(event))
	if err != nil {
		return nil, err
	}
	instance.Close() // waits until its output was read
	written := bytes.SplitAfter(lines.Bytes(), []byte("\n"))
	if len(written) < 2 || !bytes.Contains(written[len(written)-2], []byte("CacheHits")) {
		return nil, fmt.Errorf("drafts wrote no metrics of an answer from its cache: %.500s", lines.Bytes())
	}
	dir := b.binaries.dir
	answer, line := filepath.Join(dir, fmt.Sprint("answer-", size)), filepath.Join(dir, fmt.Sprint("line-", size))
	if err := errors.Join(os.WriteFile(answer, result.Payload, 0o600), os.WriteFile(line, written[len(written)-2], 0o600)); err != nil {
		return nil, fmt.Errorf("write what the floor answers: %w", err)
	}
	return []string{"ANSWER=" + answer, "LINE=" + line}, nil
}

// peakMemory is a process's peak memory, in MB.
func peakMemory(pid int) (float64, error) { return memory(pid, "VmHWM:") }

// memoryNow is a process's memory in MB, or 0 if unknown.
func memoryNow(pid int) float64 {
	held, _ := memory(pid, "VmRSS:")
	return held
}

func memory(pid int, key string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of a process, which only Linux tells: %w", err)
	}
	var kB float64
	_, after, _ := strings.Cut(string(status), key)
	if _, err := fmt.Sscan(after, &kB); err != nil {
		return 0, fmt.Errorf("read the memory of a process: no %s in its status: %w", key, err)
	}
	return kB / 1024, nil
}

// secretReads counts the reads of the token in 1,000 invocations of one instance. WeChat has no latency here; the
// count doesn't depend on it.
func secretReads(ctx context.Context, b *bench) ([]row, error) {
	w, err := newWorld(0, 1)
	if err != nil {
		return nil, err
	}
	defer w.close()
	instance, err := start(ctx, b.contenders.drafts, append(w.env, noCache)...)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	for range 1000 {
		if _, err := list(ctx, instance, 1); err != nil {
			return nil, err
		}
	}
	return []row{atMost("calls of Secrets Manager in 1,000 invocations", w.aws.Calls("secretsmanager:*"), 1)}, nil
}

// sizes measures the binaries' sizes.
func sizes(_ context.Context, b *bench) ([]row, error) {
	var megabytes [3]float64
	for i, path := range []string{b.contenders.drafts, b.contenders.minimal, b.contenders.alone} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at a binary: %w", err)
		}
		megabytes[i] = float64(info.Size()) / (1 << 20)
	}
	return []row{{what: "size of the binary", format: "%.1f MB", value: megabytes[0], minimal: megabytes[1], alone: megabytes[2]}}, nil
}
