package renewal_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/token"
)

const (
	appID      = "wx0000000000000001"
	stateTable = "state"
	tokenTable = "tokens"
)

// fixture is a renewer on a stand-in for AWS.
type fixture struct {
	renewal.Renewer
	aws     *awstest.Server
	skew    atomic.Int64 // of the clock
	warned  lineCounter  // lines of the log, from warnings up
	isTable bool
}

func newFixture(t *testing.T, isTable bool) *fixture {
	t.Helper()
	f := &fixture{aws: awstest.New(), isTable: isTable}
	f.aws.CreateTable(stateTable, "pk", "sk")
	f.aws.CreateTable(tokenTable, "appid", "")
	server := httptest.NewServer(f.aws)
	t.Cleanup(func() {
		server.CloseClientConnections() // a call may hang on purpose
		server.Close()
	})
	cfg := f.aws.Config(server.URL)
	f.Now = func() time.Time { return time.Now().Add(time.Duration(f.skew.Load())) }
	f.Secrets = token.NewSecretsStore(secretsmanager.NewFromConfig(cfg), "p", "")
	f.Table = token.NewTableStore(dynamodb.NewFromConfig(cfg), tokenTable, f.Now)
	if f.AccountTokens = f.Secrets; isTable {
		f.AccountTokens = f.Table
	}
	f.State = state.NewTable(dynamodb.NewFromConfig(cfg), stateTable, f.Now)
	f.Log = slog.New(slog.NewTextHandler(io.MultiWriter(&f.warned, t.Output()), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return f
}

type lineCounter struct{ lines atomic.Int32 }

func (c *lineCounter) Write(b []byte) (int, error) {
	c.lines.Add(1)
	return len(b), nil
}

// forEachStore runs a test with the accounts' tokens in either store.
func forEachStore(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	for name, isTable := range map[string]bool{"secretsmanager": false, "dynamodb": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, isTable))
		})
	}
}

// put stores a token that lives for two hours, over whatever is there.
func (f *fixture) put(t *testing.T, owner, access string) token.Record {
	t.Helper()
	previous, err := f.Read(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	current, ok, err := f.store(owner).Put(t.Context(), previous, f.fetched(previous, access))
	if !ok || err != nil {
		t.Fatalf("put %s: %v, %v", access, ok, err)
	}
	return current
}

func (f *fixture) store(owner string) token.Store {
	if owner == token.Component {
		return f.Secrets
	}
	return f.AccountTokens
}

func (f *fixture) fetched(r token.Record, access string) token.Record {
	r.Access, r.ExpiresAt = secret.New(access), f.Now().Add(2*time.Hour)
	return r
}

func (f *fixture) putOp() string {
	if f.isTable {
		return "dynamodb:UpdateItem"
	}
	return "secretsmanager:PutSecretValue"
}

var errFetch = errors.New("WeChat is busy")

// The loser of a race fetches again and replaces the current record. Where that fails, what is there now expires
// within five minutes.
func TestUpdateToken(t *testing.T) {
	t.Parallel()
	denied := awstest.Deny()
	for _, c := range []struct {
		name    string
		races   int            // how many writes lose
		fetches []string       // what WeChat gives; empty: it fails
		fault   *awstest.Fault // of the write after the lost ones
		stored  string
		doubted bool // the stored token expires within five minutes
		changed bool
		err     bool
	}{
		{name: "no race", fetches: []string{"ours"}, stored: "ours", changed: true},
		{name: "the same token", fetches: []string{"old"}, stored: "old"},
		{name: "no fetch", fetches: []string{""}, stored: "old", err: true},
		{name: "no write", fetches: []string{"ours"}, fault: &denied, stored: "old", err: true},
		{name: "race", races: 1, fetches: []string{"ours", "ours again"}, stored: "ours again", changed: true},
		{name: "race for the same token", races: 1, fetches: []string{"ours", "theirs 1"}, stored: "theirs 1", changed: true},
		{name: "race, then no fetch", races: 1, fetches: []string{"ours", ""}, stored: "theirs 1", doubted: true, changed: true, err: true},
		{name: "race, then no write", races: 1, fetches: []string{"ours", "ours again"}, fault: &denied, stored: "theirs 1", doubted: true, changed: true, err: true},
		{name: "two races", races: 2, fetches: []string{"ours", "ours again"}, stored: "theirs 2", doubted: true, changed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, f *fixture) {
				component := f.put(t, token.Component, "the component's")
				previous := f.put(t, appID, "old")
				for i := range c.races {
					f.aws.Fail(f.putOp(), awstest.Before(func() { f.put(t, appID, []string{"theirs 1", "theirs 2"}[i]) }))
					f.aws.Fail(f.putOp(), awstest.Before(func() {})) // which theirs meets
				}
				if c.fault != nil {
					f.aws.Fail(f.putOp(), *c.fault)
				}
				fetches := 0
				changed, err := f.UpdateToken(t.Context(), previous, func(_ context.Context, previous token.Record) (token.Record, error) {
					fetches++
					access := c.fetches[fetches-1]
					if access == "" {
						return previous, errFetch
					}
					return f.fetched(previous, access), nil
				})
				if changed != c.changed || (err != nil) != c.err || fetches != len(c.fetches) {
					t.Errorf("changed %v, error %v, %d fetches", changed, err, fetches)
				}
				got, err := f.Read(t.Context(), appID)
				if left := got.ExpiresAt.Sub(f.Now()); err != nil || got.Access.Reveal() != c.stored || (left <= 5*time.Minute) != c.doubted {
					t.Errorf("stored: %q for %v (%v)", got.Access.Reveal(), left, err)
				}
				if now, err := f.Read(t.Context(), token.Component); err != nil || now.Version != component.Version {
					t.Errorf("the component's token was written (%v)", err)
				}
			})
		})
	}
}

// What others left in a race may be no token.
func TestUpdateTokenInPlaceOfNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		others func(f *fixture)
		failed map[string]any // what is there where WeChat fails; nil: nothing
	}{
		{"deleted", func(f *fixture) { f.aws.DeleteItem(tokenTable, appID, "") }, nil},
		{"malformed", func(f *fixture) { f.aws.SetItem(tokenTable, map[string]any{"appid": appID, "note": "x"}) },
			map[string]any{"appid": appID, "note": "x"}},
	} {
		for _, fails := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, true)
				previous := f.put(t, appID, "old")
				f.aws.Fail(f.putOp(), awstest.Before(func() { c.others(f) }))
				fetches := 0
				_, err := f.UpdateToken(t.Context(), previous, func(_ context.Context, previous token.Record) (token.Record, error) {
					if fetches++; fails && fetches == 2 {
						return previous, errFetch
					}
					return f.fetched(previous, "ours"), nil
				})
				item, _ := f.aws.Item(tokenTable, appID, "")
				if fails {
					if diff := cmp.Diff(c.failed, item); diff != "" || !errors.Is(err, errFetch) {
						t.Errorf("stored: %s; error %v", diff, err)
					}
				} else if err != nil || item["access_token"] != "ours" || c.failed != nil && item["note"] != "x" {
					t.Errorf("stored %v (%v)", item, err)
				}
			})
		}
	}
}

func TestIsDueAndIsRecent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	f.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	ago := func(d time.Duration) time.Time { return f.Now().Add(-d) }
	in := func(d time.Duration) time.Time { return f.Now().Add(d) }
	for _, c := range []struct {
		expires, updated time.Time
		due, recent      bool
	}{
		{in(20 * time.Minute), ago(time.Hour), true, false},
		{in(20*time.Minute + time.Second), ago(time.Hour), false, false},
		{ago(time.Minute), ago(10 * time.Minute), true, false},
		{in(time.Hour), ago(10*time.Minute - time.Second), false, true},
		{in(110*time.Minute + time.Second), ago(time.Hour), false, true},
		{in(110 * time.Minute), time.Time{}, false, false},
		{time.Time{}, time.Time{}, false, false},
	} {
		r := token.Record{Access: secret.New("a"), ExpiresAt: c.expires, UpdatedAt: c.updated}
		if due, recent := f.IsDue(r), f.IsRecent(r); due != c.due || recent != c.recent {
			t.Errorf("expires %v, updated %v: due %v, recent %v", c.expires, c.updated, due, recent)
		}
	}
	if !f.IsDue(token.Record{Refresh: secret.New("r")}) {
		t.Error("a token that has yet to be fetched is not due")
	}
}
