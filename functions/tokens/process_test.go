package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/runtimeapi"
	"wechat-draftbox/pkg/standin/wechattest"
)

// bootstrapBinary builds the function as it is deployed.
func bootstrapBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags=lambda.norpc", "-o", path, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, out)
	}
	return path
}

// process is the built function in a process of its own, behind a gate.
type process struct {
	gate
	*runtimeapi.Instance
}

func (s *fixture) process(binary string) *process {
	p := &process{}
	instance, err := runtimeapi.Start(s.t.Context(), runtimeapi.Function{
		Name: "tokens", Binary: binary, Timeout: time.Minute, Stdout: s.Log, Stderr: s.Log,
		Env: []string{"WECHAT_API_BASE_URL=" + p.before(s.t, s.WeChat), "AWS_ENDPOINT_URL=" + p.before(s.t, s.AWS), "ACCOUNT_TOKEN_STORE=" + s.store,
			"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { instance.Close() })
	p.Instance = instance
	return p
}

// refresh runs refresh-tokens in the process.
func (p *process) refresh(ctx context.Context) (result refreshResult, err error) {
	answer, err := p.Invoke(ctx, []byte(`{"task":"refresh-tokens"}`))
	switch {
	case err != nil:
		return result, err
	case answer.Error:
		return result, fmt.Errorf("the handler failed: %s", answer.Payload)
	}
	return result, json.Unmarshal(answer.Payload, &result)
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	binary := bootstrapBinary(t)
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store, wechattest.WithRotatingRefreshTokens())
			s.alone(closed)
			owners := []string{component, closed}
			ended := func() {
				for _, owner := range owners {
					s.issue(owner, "expires_at", "1")
				}
			}
			p := s.process(binary)
			for k, killed := 1, true; killed; k++ {
				for later, served := range map[time.Duration]bool{0: false, 6 * time.Minute: true} {
					ended()
					if killed = s.kill(p, k, served); killed && p.PID() != 0 {
						t.Fatal("the process lives")
					}
					s.Clock.Forward(later)
					waits := k == 8 && !served && store == stores[0] // once, for the sake of time
					if !waits {
						s.AWS.DeleteItem(functiontest.StateTable, "lease", "tokens")
					}
					began := time.Now()
					if _, err := p.refresh(t.Context()); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(began); took > time.Minute/2 || waits && took < time.Second {
						t.Errorf("the dead run held up the next one for %v", took)
					}
					s.checkNewest(owners...)
					s.Clock.Forward(-later) // the processes' own clock is the machine's
					if t.Failed() {
						t.Fatalf("it was killed at its request %d (served: %v), and the next run was %v later", k, served, later)
					}
				}
			}

			other := s.process(binary)
			for range 20 {
				ended()
				var runs sync.WaitGroup
				for _, one := range []*process{p, other} {
					runs.Go(func() {
						if _, err := one.refresh(t.Context()); err != nil {
							t.Error(err)
						}
					})
				}
				runs.Wait()
				s.checkNewest(owners...)
			}
		})
	}
}

// kill runs refresh-tokens and kills the process at its request k, which is served or not. It reports whether it got as
// far as that.
func (s *fixture) kill(p *process, k int, served bool) (killed bool) {
	var kill sync.Once
	p.set(func(n int, serve func()) {
		if n < k {
			serve()
			return
		}
		if n == k && served {
			serve()
		}
		kill.Do(func() {
			killed = true
			p.Kill()
		})
	})
	defer p.set(nil)
	_, err := p.refresh(s.t.Context())
	if (err != nil) != killed {
		s.t.Errorf("killed: %v, error: %v", killed, err)
	}
	return killed
}
