package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/wechat"
)

// gate is a proxy for the function's requests to AWS and WeChat.
type gate struct {
	mu   sync.Mutex
	n    int                       // requests since it was last set
	hold func(n int, serve func()) // nil: it is open
}

func (g *gate) set(hold func(n int, serve func())) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n, g.hold = 0, hold
}

// before serves next behind the gate, and returns where.
func (g *gate) before(t *testing.T, next http.Handler) (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.n++
		n, hold := g.n, g.hold
		g.mu.Unlock()
		if hold == nil {
			next.ServeHTTP(w, r)
			return
		}
		hold(n, func() { next.ServeHTTP(w, r) })
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// instance is a function behind a gate.
type instance struct {
	gate
	handler lambda.Handler
}

func (s *fixture) instance() *instance {
	l := &instance{}
	env := map[string]string{"WECHAT_API_BASE_URL": l.before(s.t, s.WeChat), "ACCOUNT_TOKEN_STORE": s.store}
	read, err := bootstrap.ReadSettings(func(name string) string { return env[name] })
	if err != nil {
		s.t.Fatal(err)
	}
	parts := bootstrap.New(read, s.AWS.Config(l.before(s.t, s.AWS)), telemetry.LogTo(slog.NewJSONHandler(s.Log, nil), slog.LevelDebug),
		telemetry.NewRecorder(s.Log, "tokens", s.Clock.Now), wechat.WithBackoff(func(int) time.Duration { return time.Millisecond }))
	parts.Now = s.Clock.Now
	s.t.Cleanup(parts.WeChat.CloseIdleConnections)
	l.handler = parts.Handler(wire(parts))
	return l
}

// run hands an event to the function, with the gate held like that.
func (l *instance) run(ctx context.Context, event any, hold func(n int, serve func())) error {
	l.set(hold)
	raw, err := json.Marshal(event)
	if err == nil {
		_, err = l.handler.Invoke(ctx, raw)
	}
	return err
}

// writer is something that writes the token of an account.
type writer struct {
	name  string
	event func(s *fixture, owner string) any
}

var (
	refreshing  = writer{"refresh", func(*fixture, string) any { return map[string]string{"task": "refresh-tokens"} }}
	rejecting   = writer{"rejection", func(s *fixture, owner string) any { return s.rejected(owner) }}
	importing   = writer{"import", func(*fixture, string) any { return map[string]string{"task": "import-accounts"} }}
	authorizing = writer{"authorization", func(s *fixture, owner string) any {
		return batch(authorization(owner, s.WeChat.NewCode(owner), s.Clock.Now().Unix()))
	}}
)

// Two writers without the lease: one stops before any of its requests, the other runs, then both finish. The token
// fetched last is stored.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		owner         string
		left          time.Duration
		first, second writer
	}{
		{component, 15 * time.Minute, refreshing, refreshing},
		{own, 8 * time.Minute, refreshing, refreshing}, // so that both force another one
		{own, 8 * time.Minute, rejecting, rejecting},
		{closed, 15 * time.Minute, refreshing, refreshing},
		{closed, 15 * time.Minute, refreshing, authorizing},
		{closed, 15 * time.Minute, authorizing, refreshing},
		{closed, 0, importing, refreshing},
	} {
		for _, store := range storesOf(test.owner) {
			t.Run(fmt.Sprintf("%s/%s of %q and %s", store, test.first.name, test.owner, test.second.name), func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, store, wechattest.WithRotatingRefreshTokens())
				s.alone(test.owner)
				s.AWS.Fail("dynamodb:UpdateItem", awstest.Deny().Sticky().On(leaseAt))
				a, b := s.instance(), s.instance()
				for k, held := 1, true; held; k++ {
					for m, both := 1+k%3, true; both; m += 3 { // every third one, for the sake of time
						s.issue(test.owner)
						s.advanceTo(test.left)
						if test.owner != component {
							s.issue(component)
						}
						if test.left == 0 { // for an import
							s.issue(test.owner, "refresh_token", "", "expires_at", "1")
						}
						held, both = s.interleave(a, b, test.first.event(s, test.owner), test.second.event(s, test.owner), k, m)
						if test.left == 0 {
							s.refresh() // an import leaves the fetch to it
						}
						s.checkNewest(test.owner)
						if t.Failed() {
							t.Fatalf("the %s stood before its request %d, while the %s went to before its request %d",
								test.first.name, k, test.second.name, m)
						}
					}
				}
			})
		}
	}
}

// storesOf returns the stores that can hold an owner's token.
func storesOf(owner string) []string {
	if owner == component {
		return stores[:1]
	}
	return stores
}

// alone ends the other accounts' authorisations.
func (s *fixture) alone(appID string) {
	for _, other := range []string{closed, open, wechattest.ExampleNotGranted} {
		if other != appID {
			s.WeChat.AddAccount(wechattest.Account{AppID: other})
		}
	}
}

// interleave runs a to before its request k, then b to before its request m, then a to its end, and b to its end. held
// is whether a got as far as that, both whether b did too.
func (s *fixture) interleave(a, b *instance, eventA, eventB any, k, m int) (held, both bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	aDone, bStands, bDone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var errB error
	errA := a.run(ctx, eventA, func(n int, serve func()) {
		if n == k {
			held = true
			go func() {
				defer close(bDone)
				errB = b.run(ctx, eventB, func(n int, serve func()) {
					if n == m {
						both = true
						close(bStands)
						<-aDone
					}
					serve()
				})
			}()
			select {
			case <-bStands:
			case <-bDone:
			}
		}
		serve()
	})
	close(aDone)
	if held {
		<-bDone
	}
	if errA != nil || errB != nil {
		s.t.Errorf("runs that met: %v; %v", errA, errB)
	}
	return held, both
}

// A writer that crashes at any request loses nothing: the next run ends with working tokens, at once or once the
// earlier refresh token stops working.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		owner   string
		writers []writer
	}{
		{component, []writer{refreshing, rejecting}},
		{own, []writer{refreshing, rejecting}},
		{closed, []writer{refreshing, rejecting, authorizing, importing}},
	} {
		for _, store := range storesOf(test.owner) {
			for _, what := range test.writers {
				t.Run(fmt.Sprintf("%s/%s of %q", store, what.name, test.owner), func(t *testing.T) {
					t.Parallel()
					s := newFixture(t, store, wechattest.WithRotatingRefreshTokens())
					s.alone(test.owner)
					for k, died := 1, true; died; k++ {
						for later, served := range map[time.Duration]bool{lapse: false, 6 * time.Minute: true} {
							s.issue(test.owner)
							s.advanceTo(8 * time.Minute)
							if test.owner != component {
								s.issue(component)
							}
							if what.name == importing.name {
								s.issue(test.owner, "refresh_token", "", "expires_at", "1")
							}
							event := what.event(s, test.owner)
							died = s.crash(s.instance(), event, k, served)
							s.Clock.Forward(later)
							if what.name == authorizing.name {
								s.invoke(event) // the queue hands it out again
							}
							s.refresh()
							s.checkNewest(test.owner)
							if t.Failed() {
								t.Fatalf("it died at its request %d (served: %v), and the next run was %v later", k, served, later)
							}
						}
					}
				})
			}
		}
	}
}

// A run crashes after fetching a token, while another one is stopped before any of its requests. The lease serializes
// them, so that no token superseded by the crashed run is stored.
func TestCrashesAmongOthers(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{component, own, closed} {
		for _, store := range storesOf(owner) {
			for _, what := range []writer{refreshing, rejecting} {
				t.Run(fmt.Sprintf("%s/%s of %q", store, what.name, owner), func(t *testing.T) {
					t.Parallel()
					s := newFixture(t, store, wechattest.WithRotatingRefreshTokens())
					s.alone(owner)
					a := s.instance()
					fetched, waited := 0, 0
					for k, held := 1, true; held; k++ {
						s.issue(owner)
						s.advanceTo(8 * time.Minute)
						if owner != component {
							s.issue(component)
						}
						event := what.event(s, owner)
						held = false
						err := a.run(t.Context(), event, func(n int, serve func()) {
							if n == k {
								held = true
								if s.crashAfterFetch(s.instance(), event, owner) {
									fetched++
								} else {
									waited++
								}
								s.Clock.Forward(lapse)
							}
							serve()
						})
						if err != nil {
							t.Error(err)
						}
						s.checkNewest(owner)
						if t.Failed() {
							t.Fatalf("it stood before its request %d", k)
						}
					}
					if fetched == 0 || waited < 3 {
						t.Errorf("%d runs died after they fetched a token, %d waited for the lease", fetched, waited)
					}
				})
			}
		}
	}
}

// crashAfterFetch runs an event until WeChat issued another token to owner, until it waits for the lease, or to its end. It
// reports whether a token was issued.
func (s *fixture) crashAfterFetch(l *instance, event any, owner string) (fetched bool) {
	held, attempts := s.leaseIsHeld(), s.AWS.Calls("dynamodb:UpdateItem")
	s.runUntil(l, event, func(_ int, serve func()) (dies bool) {
		before := s.WeChat.LiveToken(owner)
		serve()
		fetched = s.WeChat.LiveToken(owner) != before
		return fetched || held && s.AWS.Calls("dynamodb:UpdateItem") > attempts
	})
	return fetched
}

func (s *fixture) leaseIsHeld() bool {
	_, there := s.AWS.Item(functiontest.StateTable, "lease", "tokens")
	return there
}

// crash runs an event until its request k, which is served or not, and none after it. It reports whether the run got as
// far as that.
func (s *fixture) crash(l *instance, event any, k int, served bool) (died bool) {
	return s.runUntil(l, event, func(n int, serve func()) bool {
		if n < k || served {
			serve()
		}
		return n >= k
	})
}

// runUntil runs an event, one request at a time, until step says of one that the run dies with it. It reports whether it
// died. What a dead run does after that, in a goroutine that the end of the test waits for, arrives nowhere.
func (s *fixture) runUntil(l *instance, event any, step func(n int, serve func()) (dies bool)) (died bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	dead, ended := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { <-ended })
	var mu sync.Mutex // some requests come at once
	go func() {
		defer close(ended)
		defer cancel()
		l.run(ctx, event, func(n int, serve func()) {
			mu.Lock()
			defer mu.Unlock()
			if !died && !step(n, serve) {
				return
			}
			if !died {
				died = true
				cancel()
				close(dead)
			}
			panic(http.ErrAbortHandler)
		})
	}()
	select {
	case <-dead:
	case <-ended:
	}
	mu.Lock()
	defer mu.Unlock()
	return died
}

// Two concurrent runs, repeatedly, with varying latencies.
func TestOverlappingRuns(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		instances := []*instance{s.instance(), s.instance(), s.instance()}
		owners := []string{component, closed, own} // one of each kind
		for i := range 20 {                        // and that in each store, with steady and with rotating refresh tokens
			for _, owner := range owners {
				s.issue(owner)
			}
			s.advanceTo(8 * time.Minute)
			events := []any{refreshing.event(s, ""), refreshing.event(s, "")}
			if i%4 == 3 { // and a third
				events = append(events, []writer{rejecting, authorizing}[i/4%2].event(s, closed))
			}
			var runs sync.WaitGroup
			for j, event := range events {
				runs.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					err := instances[j].run(ctx, event, func(_ int, serve func()) {
						time.Sleep(rand.N(time.Millisecond))
						serve()
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			runs.Wait()
			s.checkNewest(owners...)
			if t.Failed() {
				t.Fatalf("round %d", i)
			}
		}
		var want []string
		for range 2 {
			want = append(want, "Account Authorized "+closed+" 0")
		}
		s.checkEvents(want...)
	})
}

func batch(bodies ...string) map[string]any {
	var records []map[string]string
	for i, body := range bodies {
		records = append(records, map[string]string{"eventSource": "aws:sqs", "messageId": fmt.Sprint("message-", i), "body": body})
	}
	return map[string]any{"Records": records}
}

func authorization(appID, code string, createTime int64) string {
	body, _ := json.Marshal(map[string]any{"task": "authorize", "appid": appID, "authorization_code": code, "create_time": createTime})
	return string(body)
}
