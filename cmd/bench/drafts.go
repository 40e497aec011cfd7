package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/runtimeapi"
)

// judged is the number of drafts at which the targets hold.
const judged = 50

// noCache has drafts fetch its list each time, as the minimal Lambda does.
const noCache = "DRAFT_CACHE_TTL=0s"

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

// list invokes an instance, sees to it that the answer holds so many drafts, and returns how long it took in
// milliseconds.
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
	json.Unmarshal([]byte(answer.Body), &body) // where it can't be read, the count is wrong
	if result.Error || answer.StatusCode != 200 || body.Count != drafts {
		return 0, fmt.Errorf("an answer without the %d drafts: %.200s", drafts, result.Payload)
	}
	return float64(result.Duration) / float64(time.Millisecond), nil
}

// start makes an instance; its process starts with the first invocation. Logs and metrics are written, and dropped.
func start(ctx context.Context, binary string, env ...string) (*runtimeapi.Instance, error) {
	return runtimeapi.Start(ctx, runtimeapi.Function{
		Name: "bench", Binary: binary, Env: env, Timeout: 15 * time.Minute, Stderr: os.Stderr,
	})
}

// cold measures from exec to the first answer.
func cold(ctx context.Context, b *bench, drafts int) ([]row, error) {
	w, err := newWorld(b.latency, drafts)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var times [3][]float64
	for range b.starts {
		for i, path := range b.contenders {
			instance, err := start(ctx, path, w.env...)
			if err != nil {
				return nil, err
			}
			took, err := list(ctx, instance, drafts)
			instance.Close()
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], took)
		}
	}
	var atMost []float64
	if drafts == judged {
		atMost = []float64{1.15, 1.6}
	}
	return []row{
		percentile(fmt.Sprintf("cold start, from exec to the answer with %d drafts, median", drafts), 0.5, times[0], times[1:], atMost...),
	}, nil
}

// percentile is the row of a quantile of times.
func percentile(what string, q float64, times []float64, minimal [][]float64, atMost ...float64) row {
	r := row{what: what, format: "%.1f", value: quantile(times, q), atMost: atMost}
	for _, m := range minimal {
		r.minimal = append(r.minimal, quantile(m, q))
	}
	return r
}

// warm measures invocations of running processes, and their memory after that.
func warm(ctx context.Context, b *bench, drafts int) ([]row, error) {
	w, err := newWorld(b.latency, drafts)
	if err != nil {
		return nil, err
	}
	defer w.close()

	var instances [4]*runtimeapi.Instance // drafts as it comes, and the others in the order of b.contenders
	for i, env := range [4][]string{w.env, append(w.env, noCache), w.env, w.env} {
		if instances[i], err = start(ctx, b.contenders[max(i-1, 0)], env...); err != nil {
			return nil, err
		}
		defer instances[i].Close()
	}
	const first = 5 // aren't warm yet
	var times [4][]float64
	for round := range first + b.rounds {
		for i, instance := range instances {
			took, err := list(ctx, instance, drafts)
			if err != nil {
				return nil, err
			}
			if round >= first {
				times[i] = append(times[i], took)
			}
		}
	}
	var memory [4]float64
	for i, instance := range instances {
		if memory[i], err = peakMemory(instance.PID()); err != nil {
			return nil, err
		}
	}

	var mostUncached, mostCached, mostMemory []float64 // of what the minimal Lambda with the same clients takes
	if drafts == judged {
		mostUncached, mostCached, mostMemory = []float64{1.2}, []float64{0.3}, []float64{1.3}
	}
	cached, uncached, minimal := times[0], times[1], times[2:]
	what := fmt.Sprintf("warm `GET /drafts` with %d drafts", drafts)
	return []row{
		percentile(what+", without cache, median", 0.5, uncached, minimal, mostUncached...),
		percentile(what+", without cache, p99", 0.99, uncached, minimal),
		percentile(what+", cached, median", 0.5, cached, minimal, mostCached...),
		percentile(what+", cached, p99", 0.99, cached, minimal),
		{what: fmt.Sprintf("peak memory (VmHWM) with %d drafts", drafts), format: "%.1f MB",
			value: max(memory[0], memory[1]), minimal: memory[2:], atMost: mostMemory},
	}, nil
}

// peakMemory is the most memory that a process has held, in MB.
func peakMemory(pid int) (float64, error) { return memory(pid, "VmHWM:") }

// memoryNow is what a process holds, in MB; 0 where that can't be told.
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

// secretReads counts the reads of the token in 1,000 invocations of one instance, from a WeChat without latency: the
// count doesn't depend on it.
func secretReads(ctx context.Context, b *bench) ([]row, error) {
	w, err := newWorld(0, 1)
	if err != nil {
		return nil, err
	}
	defer w.close()
	instance, err := start(ctx, b.contenders[0], append(w.env, noCache)...)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	for range 1000 {
		if _, err := list(ctx, instance, 1); err != nil {
			return nil, err
		}
	}
	return []row{{what: "calls of Secrets Manager in 1,000 invocations", format: "%.0f",
		value: float64(w.aws.Calls("secretsmanager:*")), limit: 1, atMost: []float64{1}}}, nil
}

// sizes are those of the binaries.
func sizes(_ context.Context, b *bench) ([]row, error) {
	var megabytes [3]float64
	for i, path := range b.contenders {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at a binary: %w", err)
		}
		megabytes[i] = float64(info.Size()) / (1 << 20)
	}
	return []row{{what: "size of the binary", format: "%.1f MB", value: megabytes[0], minimal: megabytes[1:]}}, nil
}
