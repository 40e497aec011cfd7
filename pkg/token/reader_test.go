package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	ttl       = 5 * time.Minute
	get       = "secretsmanager:GetSecretValue"
	appID     = "wx0000000000000001"
	component = "wechat/draftbox/component-token"
	account   = "wechat/draftbox/accounts/" + appID
)

// world is a reader, the stand-in for Secrets Manager that it reads, and a clock.
type world struct {
	*token.Reader
	aws *awstest.Server

	mu       sync.Mutex
	time     time.Time
	rejected []rejection
}

type rejection struct {
	Owner   string
	Errcode int
	Version string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{aws: awstest.New(), time: time.Now()}
	server := httptest.NewServer(w.aws)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	cfg := w.aws.Config(server.URL)
	cfg.RetryMaxAttempts = 1 // so that calls can be counted
	w.Reader = token.NewReader(token.NewSecretsStore(secretsmanager.NewFromConfig(cfg), "wechat/draftbox", ""), w, ttl, w.now)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

// freeze moves the wall clock and leaves the monotonic one where it is, as when Lambda freezes an instance.
func (w *world) freeze(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = functiontest.Frozen(w.time, d)
}

// TokenRejected implements [token.RejectionNotifier].
func (w *world) TokenRejected(_ context.Context, owner string, errcode int, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rejected = append(w.rejected, rejection{owner, errcode, version})
}

// calls counts what reached a WeChat that takes some tokens and refuses the others.
type calls struct {
	mu    sync.Mutex
	takes map[string]bool
	got   []string
}

func (c *calls) call(_ context.Context, t secret.Value) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, t.Reveal())
	if c.takes != nil && !c.takes[t.Reveal()] {
		return "", &wechat.APIError{Call: "/x", Code: 40001, Message: "invalid credential"}
	}
	return "done with " + t.Reveal(), nil
}

func expiring(access string, at time.Time) string {
	return fmt.Sprintf(`{"access_token":%q,"expires_at":%q}`, access, at.UTC().Format(time.RFC3339))
}

func TestOneReadWhenColdAndThenTheCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.SetSecret(account, "first")
	var c calls
	call := func() {
		t.Helper()
		if _, err := token.Call(t.Context(), w.Reader, appID, c.call); err != nil {
			t.Error(err)
		}
	}
	call()
	if n := w.aws.Calls(""); n != 1 {
		t.Errorf("cold: %d calls of AWS", n)
	}
	w.aws.SetSecret(account, "second")
	w.freeze(ttl - time.Second)
	call()
	if n := w.aws.Calls(""); n != 1 {
		t.Errorf("warm: %d calls of AWS", n)
	}
	w.freeze(time.Second)
	call()
	if n := w.aws.Calls(""); n != 2 {
		t.Errorf("after the TTL: %d calls of AWS", n)
	}
	w.freeze(-time.Hour) // a clock set right
	call()
	if n := w.aws.Calls(""); n != 3 {
		t.Errorf("after the clock went back: %d calls of AWS", n)
	}
	if diff := cmp.Diff([]string{"first", "first", "second", "second"}, c.got); diff != "" {
		t.Error(diff)
	}
}

func TestATokenIsNotUsedPastItsExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.SetSecret(account, expiring("first", w.now().Add(time.Minute)))
	var c calls
	token.Call(t.Context(), w.Reader, appID, c.call)
	w.freeze(time.Minute)

	version := w.aws.SetSecret(account, expiring("late", w.now().Add(-time.Second)))
	_, err := token.Call(t.Context(), w.Reader, appID, c.call)
	var refusal *wechat.APIError
	if !errors.As(err, &refusal) || refusal.Code != 42001 || !wechat.IsRefusedToken(err) || !strings.Contains(err.Error(), "has expired") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]rejection{{appID, 42001, version}}, w.rejected); diff != "" {
		t.Error(diff)
	}
	if n := w.aws.Calls(get); n != 2 {
		t.Errorf("%d reads, want one for each call", n)
	}

	w.aws.SetSecret(account, expiring("next", w.now().Add(time.Hour)))
	if _, err := token.Call(t.Context(), w.Reader, appID, c.call); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"first", "next"}, c.got); diff != "" {
		t.Errorf("an expired token was sent: %s", diff)
	}
}

func TestATokenThatHasYetToBeFetchedCountsAsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	version := w.aws.SetSecret(account, `{"refresh_token":"r"}`)
	var c calls
	_, err := token.Call(t.Context(), w.Reader, appID, c.call)
	if !wechat.IsRefusedToken(err) || len(c.got) != 0 || !strings.Contains(err.Error(), "no access token has been fetched yet") {
		t.Errorf("%v after %v", err, c.got)
	}
	if diff := cmp.Diff([]rejection{{appID, 42001, version}}, w.rejected); diff != "" {
		t.Error(diff)
	}
}

// The rejection of one version is reported once a minute: clients' requests must not become calls of WeChat's token API.
func TestRejectionsAreReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.aws.SetSecret(account, "old")
	call := func(times int) {
		for range times {
			if _, err := token.Call(t.Context(), w.Reader, appID, (&calls{takes: map[string]bool{}}).call); !wechat.IsRefusedToken(err) {
				t.Fatal(err)
			}
		}
	}
	want := []rejection{{appID, 40001, first}}
	check := func(when string) {
		t.Helper()
		if diff := cmp.Diff(want, w.rejected); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	call(20)
	check("20 calls")
	w.freeze(30 * time.Second)
	call(20)
	check("half a minute later")
	w.freeze(30 * time.Second)
	call(20)
	want = append(want, rejection{appID, 40001, first})
	check("a minute later")
	second := w.aws.SetSecret(account, "other")
	call(20)
	want = append(want, rejection{appID, 40001, second})
	check("another version")
}

func TestARefusedToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		stored string   // what the secret holds by the time of the refusal; empty: the same
		takes  []string // WeChat
		sent   []string
		code   int // of the error
	}{
		{"another one is stored", "new", []string{"new"}, []string{"old", "new"}, 0},
		{"the same is stored", "", nil, []string{"old"}, 40001},
		{"the same with another date is stored", `{"access_token":"old"}`, nil, []string{"old"}, 40001},
		{"the other one is refused too", "new", nil, []string{"old", "new"}, 40001},
		{"the other one has expired", `{"access_token":"new","expires_at":1}`, []string{"new"}, []string{"old"}, 40001},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			version := w.aws.SetSecret(component, "old")
			if _, err := token.Call(t.Context(), w.Reader, token.Component, (&calls{}).call); err != nil {
				t.Fatal(err)
			}
			if c.stored != "" {
				version = w.aws.SetSecret(component, c.stored)
			}
			upstream := &calls{takes: make(map[string]bool)}
			for _, one := range c.takes {
				upstream.takes[one] = true
			}
			got, err := token.Call(t.Context(), w.Reader, token.Component, upstream.call)
			if diff := cmp.Diff(c.sent, upstream.got); diff != "" {
				t.Errorf("sent: %s", diff)
			}
			if n := w.aws.Calls(get); n != 2 {
				t.Errorf("%d reads, want one more", n)
			}
			var want []rejection
			var refusal *wechat.APIError
			if c.code != 0 {
				want = []rejection{{token.Component, c.code, version}}
				if !errors.As(err, &refusal) || refusal.Code != c.code {
					t.Errorf("got %v", err)
				}
			} else if err != nil || got != "done with new" {
				t.Errorf("got %q, %v", got, err)
			}
			if diff := cmp.Diff(want, w.rejected); diff != "" {
				t.Errorf("rejected: %s", diff)
			}
		})
	}

	t.Run("other errors are passed on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.aws.SetSecret(component, "t")
		for _, want := range []error{&wechat.APIError{Code: 61004}, &wechat.APIError{Code: -1}, &wechat.TransportError{}, errors.New("x")} {
			_, err := token.Call(t.Context(), w.Reader, token.Component, func(context.Context, secret.Value) (int, error) { return 0, want })
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if w.aws.Calls(get) != 1 || w.rejected != nil {
			t.Errorf("%d reads, rejected %v", w.aws.Calls(get), w.rejected)
		}
	})

	t.Run("the fresh read fails", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.aws.SetSecret(component, "old")
		w.aws.Fail(get, awstest.Before(func() { w.aws.Fail(get, awstest.Deny()) }))
		_, err := token.Call(t.Context(), w.Reader, token.Component, (&calls{takes: map[string]bool{}}).call)
		if !awserror.Is(err, awserror.Denied) || w.rejected != nil {
			t.Errorf("got %v, rejected %v", err, w.rejected)
		}
	})
}

func TestAThousandCallersShareARead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.SetSecret(component, "old")
	upstream := &calls{takes: map[string]bool{"old": true}}
	all := func() {
		t.Helper()
		w.aws.Fail(get, awstest.Delay(50*time.Millisecond))
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if _, err := token.Call(t.Context(), w.Reader, token.Component, upstream.call); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
	}
	all()
	if n := w.aws.Calls(""); n != 1 {
		t.Errorf("cold: %d calls of AWS", n)
	}
	// A superseded token: all are refused, and one reads the new one.
	w.aws.SetSecret(component, "new")
	upstream.takes = map[string]bool{"new": true}
	upstream.got = nil
	all()
	if n := w.aws.Calls(""); n != 2 {
		t.Errorf("superseded: %d more calls of AWS", n-1)
	}
	if len(upstream.got) > 2000 || w.rejected != nil {
		t.Errorf("%d calls of WeChat, rejected %v", len(upstream.got), w.rejected)
	}
}

func TestEachCallerGivesUpOnItsOwnDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.SetSecret(component, "t")
	arrived := make(chan struct{})
	w.aws.Fail(get, awstest.Hang())
	loads, giveUp := context.WithTimeout(t.Context(), 30*time.Second)
	var first sync.WaitGroup
	first.Go(func() {
		close(arrived)
		_, err := token.Call(loads, w.Reader, token.Component, (&calls{}).call)
		if !awserror.Is(err, awserror.Unavailable) {
			t.Errorf("the one that reads: %v", err)
		}
	})
	<-arrived
	for w.aws.Calls(get) == 0 {
		time.Sleep(time.Millisecond)
	}

	var others sync.WaitGroup
	var waited atomic.Int32
	for range 5 {
		others.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := token.Call(ctx, w.Reader, token.Component, (&calls{}).call)
			if !awserror.Is(err, awserror.Unavailable) || time.Since(began) > 10*time.Second {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	}
	others.Wait()
	for range 5 {
		others.Go(func() {
			if _, err := token.Call(t.Context(), w.Reader, token.Component, (&calls{}).call); err == nil {
				waited.Add(1)
			}
		})
	}
	giveUp() // another one takes over
	first.Wait()
	others.Wait()
	if waited.Load() != 5 || w.aws.Calls(get) != 2 {
		t.Errorf("%d callers that waited got a token in %d reads", waited.Load(), w.aws.Calls(get))
	}
}

func TestErrorsOfASecret(t *testing.T) {
	t.Parallel()
	const hidden = "84_hidden"
	kind := func(k awserror.Kind) func(error) bool { return func(err error) bool { return awserror.Is(err, k) } }
	malformed := func(err error) bool { var m *awserror.MalformedError; return errors.As(err, &m) }
	unknown := func(err error) bool { var u *token.UnknownAccountError; return errors.As(err, &u) && u.AppID == appID }
	for _, c := range []struct {
		name, owner, stored string
		fault               *awstest.Fault
		is                  func(error) bool
	}{
		{"component missing", token.Component, "", nil, kind(awserror.NotFound)},
		{"account missing", appID, "", nil, unknown},
		{"malformed", appID, `{"access_token":"` + hidden, nil, malformed},
		{"denied", appID, hidden, new(awstest.Deny()), kind(awserror.Denied)},
		{"key denied", appID, hidden, new(awstest.Refuse("DecryptionFailure", 400)), kind(awserror.Denied)},
		{"to be deleted", appID, hidden, new(awstest.Refuse("InvalidRequestException", 400)), kind(awserror.Denied)},
		{"throttled", appID, hidden, new(awstest.Throttle()), kind(awserror.Unavailable)},
		{"failed", appID, hidden, new(awstest.Refuse("InternalServiceError", 500)), kind(awserror.Unavailable)},
		{"failed in a way of its own", appID, hidden, new(awstest.Refuse("Whatever", 503)), kind(awserror.Unavailable)},
		{"dropped", appID, hidden, new(awstest.Drop()), kind(awserror.Unavailable)},
		{"garbage", appID, hidden, new(awstest.Garbage()), kind(awserror.Unavailable)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.stored != "" {
				w.aws.SetSecret(account, c.stored)
			}
			if c.fault != nil {
				w.aws.Fail(get, *c.fault)
			}
			var upstream calls
			_, err := token.Call(t.Context(), w.Reader, c.owner, upstream.call)
			if err == nil || !c.is(err) || len(upstream.got) != 0 {
				t.Errorf("got %T: %v", err, err)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error shows the secret: %v", err)
			}
			w.aws.SetSecret(account, hidden)
			w.aws.SetSecret(component, hidden)
			if _, err := token.Call(t.Context(), w.Reader, c.owner, upstream.call); err != nil {
				t.Errorf("an error was kept: %v", err)
			}
		})
	}
}

func TestABinarySecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(w.aws)
	defer server.Close()
	client := secretsmanager.NewFromConfig(w.aws.Config(server.URL))
	name := account
	if _, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretBinary: []byte("84_bytes\n")}); err != nil {
		t.Fatal(err)
	}
	if got, err := token.Call(t.Context(), w.Reader, appID, (&calls{}).call); got != "done with 84_bytes" {
		t.Errorf("got %q, %v", got, err)
	}
}
