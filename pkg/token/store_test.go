package token_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/token"
)

const tokenTable = "tokens"

// fixture is a store of the accounts' records on a stand-in for AWS.
type fixture struct {
	token.Store
	aws     *awstest.Server
	secrets *secretsmanager.Client
	isTable bool
}

func newFixture(t *testing.T, isTable bool) *fixture {
	t.Helper()
	f := &fixture{aws: awstest.New(), isTable: isTable}
	f.aws.CreateTable(tokenTable, "appid", "")
	server := httptest.NewServer(f.aws)
	t.Cleanup(server.Close)
	cfg := f.aws.Config(server.URL)
	f.secrets = secretsmanager.NewFromConfig(cfg)
	if f.Store = token.NewSecretsStore(f.secrets, "wechat/draftbox", ""); isTable {
		f.Store = token.NewTableStore(dynamodb.NewFromConfig(cfg), tokenTable, time.Now)
	}
	return f
}

// forEachStore runs a test with both stores.
func forEachStore(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	for name, isTable := range map[string]bool{"secretsmanager": false, "dynamodb": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, isTable))
		})
	}
}

// set writes an account's record as an operator would.
func (f *fixture) set(owner string, keys map[string]any) {
	if f.isTable {
		item := map[string]any{"appid": owner}
		maps.Copy(item, keys)
		f.aws.SetItem(tokenTable, item)
		return
	}
	text, _ := json.Marshal(keys)
	f.aws.SetSecret("wechat/draftbox/accounts/"+owner, string(text))
}

// keys are what is stored for an account.
func (f *fixture) keys(owner string) (keys map[string]any) {
	if f.isTable {
		keys, _ = f.aws.Item(tokenTable, owner, "")
		return keys
	}
	text, _, _ := f.aws.Secret("wechat/draftbox/accounts/" + owner)
	json.Unmarshal([]byte(text), &keys)
	return keys
}

func (f *fixture) operation(secrets, table string) string {
	if f.isTable {
		return "dynamodb:" + table
	}
	return "secretsmanager:" + secrets
}

func (f *fixture) putOp() string    { return f.operation("PutSecretValue", "UpdateItem") }
func (f *fixture) createOp() string { return f.operation("CreateSecret", "UpdateItem") }

// get reads a record that is there.
func (f *fixture) get(t *testing.T, owner string) token.Record {
	t.Helper()
	r, err := f.Get(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// put stores access in place of previous, which has to succeed.
func (f *fixture) put(t *testing.T, previous token.Record, access string) token.Record {
	t.Helper()
	current, ok, err := f.Put(t.Context(), previous, withAccess(previous, access))
	if err != nil || !ok {
		t.Fatalf("put %s: %v, %v", access, ok, err)
	}
	return current
}

func withAccess(r token.Record, access string) token.Record {
	r.Access = secret.New(access)
	return r
}

func (f *fixture) checkStored(t *testing.T, owner, access string) {
	t.Helper()
	if got := f.get(t, owner).Access.Reveal(); got != access {
		t.Errorf("stored %q, want %q", got, access)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, f *fixture) {
		if r, err := f.Get(t.Context(), appID); !awserror.Is(err, awserror.NotFound) || r.IsStored() || r.Owner != appID {
			t.Errorf("without a record: %v", err)
		}
		began := time.Now().Add(-time.Second)
		expires := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		first := f.put(t, token.Record{Owner: appID, Refresh: secret.New("r"), AppSecret: secret.New("s"), ExpiresAt: expires}, "a1")
		read := f.get(t, appID)
		if !read.IsSameAs(first) || read.Version != first.Version || read.Version == "" || !first.IsStored() || read.UpdatedAt.Before(began) {
			t.Errorf("read %+v, want what was put: %+v", read, first)
		}
		second := f.put(t, first, "a2") // what Put returns can be replaced without a read
		if second.Version == first.Version {
			t.Error("the version is the former one")
		}
		second.Refresh, second.AppSecret, second.ExpiresAt = secret.Value{}, secret.Value{}, time.Time{}
		f.put(t, second, "a3")
		if read := f.get(t, appID); !read.Refresh.IsZero() || !read.AppSecret.IsZero() || !read.ExpiresAt.IsZero() || read.Access.Reveal() != "a3" {
			t.Errorf("what was taken away is there: %+v", read)
		}
	})
}

func TestPutKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, f *fixture) {
		f.set(appID, map[string]any{"access_token": "a", "expires_at": 1, "note": "<ours>", "tags": map[string]any{"team": "shop"}})
		f.put(t, f.put(t, f.get(t, appID), "b"), "c")
		keys := f.keys(appID)
		if tags, _ := keys["tags"].(map[string]any); keys["note"] != "<ours>" || tags["team"] != "shop" || keys["access_token"] != "c" {
			t.Errorf("stored %v", keys)
		}
	})
}

// The loser of a race gets the current record, and can replace it.
func TestPutAfterALostRace(t *testing.T) {
	t.Parallel()
	for _, existed := range []bool{false, true} {
		forEachStore(t, func(t *testing.T, f *fixture) {
			previous, op := token.Record{Owner: appID}, f.createOp()
			if existed {
				f.set(appID, map[string]any{"access_token": "old"})
				previous, op = f.get(t, appID), f.putOp()
			}
			f.aws.Fail(op, awstest.Before(func() { f.put(t, previous, "theirs") }))
			current, ok, err := f.Put(t.Context(), previous, withAccess(previous, "ours"))
			if ok || err != nil || current.Access.Reveal() != "theirs" || current.Owner != appID || !current.IsStored() {
				t.Fatalf("existed %v: got %q of %q, %v, %v", existed, current.Access.Reveal(), current.Owner, ok, err)
			}
			f.checkStored(t, appID, "theirs")
			f.put(t, current, "ours")
			f.checkStored(t, appID, "ours")
		})
	}
}

// A table sees the writes of others too, whether or not they raise the version.
func TestPutAfterAWriteOfSomebodyElse(t *testing.T) {
	t.Parallel()
	item := func(keys ...any) map[string]any {
		item := map[string]any{"appid": appID, "access_token": "a", "refresh_token": "r", "expires_at": "2026-01-02T03:04:05Z"}
		for i := 0; i+1 < len(keys); i += 2 {
			if item[keys[i].(string)] = keys[i+1]; keys[i+1] == nil {
				delete(item, keys[i].(string))
			}
		}
		return item
	}
	for _, c := range []struct {
		name      string
		theirs    map[string]any // nil: they deleted the item
		malformed bool
		ok        bool
	}{
		{"token", item("access_token", "theirs"), false, false},
		{"expiry", item("expires_at", 1), false, false},
		{"refresh token", item("refresh_token", "theirs"), false, false},
		{"no refresh token", item("refresh_token", nil), false, false},
		{"app secret", item("appsecret", "theirs"), false, false},
		{"version", item("version", 7), false, false},
		{"malformed", item("access_token", []any{"x"}), true, false},
		{"deleted", nil, false, false},
		{"another attribute", item("note", "theirs"), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, true)
			f.aws.SetItem(tokenTable, item())
			previous := f.get(t, appID)
			next := previous
			next.ExpiresAt = time.Date(2026, 5, 5, 5, 5, 5, 0, time.UTC)
			if c.theirs == nil {
				f.aws.DeleteItem(tokenTable, appID, "")
			} else {
				f.aws.SetItem(tokenTable, c.theirs)
			}
			current, ok, err := f.Put(t.Context(), previous, next)
			if ok != c.ok || (err != nil) != c.malformed || current.Owner != appID || current.IsStored() != (c.theirs != nil) {
				t.Fatalf("got %v, %v, %+v", ok, err, current)
			}
			if !ok {
				f.put(t, current, "ours")
				f.checkStored(t, appID, "ours")
			}
		})
	}
}

// A write whose answer was lost is repeated by the SDK, and counts as done.
func TestPutWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, f *fixture) {
		f.aws.Fail(f.createOp(), awstest.DropAfter())
		first := f.put(t, token.Record{Owner: appID}, "a1")
		f.aws.Fail(f.putOp(), awstest.DropAfter(), awstest.DropAfter())
		second := f.put(t, first, "a2")
		if got := f.get(t, appID); got.Version != second.Version || got.Access.Reveal() != "a2" {
			t.Errorf("stored version %q, want %q", got.Version, second.Version)
		}
		// Somebody replaced it before the repeat: theirs stays.
		f.aws.Fail(f.putOp(), awstest.DropAfter(), awstest.Before(func() { f.put(t, f.get(t, appID), "theirs") }))
		if _, _, err := f.Put(t.Context(), second, withAccess(second, "ours")); err != nil {
			t.Error(err)
		}
		f.checkStored(t, appID, "theirs")
	})
}

func TestPutsAtOnce(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, f *fixture) {
		previous := token.Record{Owner: appID}
		for round := range 5 {
			var mu sync.Mutex
			var won []token.Record
			var lost []string
			var writers sync.WaitGroup
			for i := range 8 {
				writers.Go(func() {
					current, ok, err := f.Put(t.Context(), previous, withAccess(previous, fmt.Sprint(round, "-", i)))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if ok {
						won = append(won, current)
					} else {
						lost = append(lost, current.Access.Reveal())
					}
				})
			}
			writers.Wait()
			if len(won) != 1 {
				t.Fatalf("%d of 8 writers won", len(won))
			}
			if access := won[0].Access.Reveal(); slices.ContainsFunc(lost, func(seen string) bool { return seen != access }) {
				t.Errorf("%s won, the others saw %v", access, lost)
			}
			previous = won[0]
		}
	})
}

func TestErrorsOfAStore(t *testing.T) {
	t.Parallel()
	const hidden = "84_hidden"
	for name, c := range map[string]struct {
		fault awstest.Fault
		kind  awserror.Kind
	}{
		"denied":    {awstest.Deny(), awserror.Denied},
		"invalid":   {awstest.Refuse("ValidationException", 400), awserror.Denied},
		"throttled": {awstest.Throttle(), awserror.Unavailable},
		"failing":   {awstest.Refuse("InternalServerError", 500), awserror.Unavailable},
		"cut off":   {awstest.Drop(), awserror.Unavailable},
		"no table":  {awstest.Refuse("ResourceNotFoundException", 400), awserror.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, f *fixture) {
				f.set(appID, map[string]any{"access_token": hidden, "refresh_token": hidden})
				previous := f.get(t, appID)
				f.aws.Fail(f.putOp(), c.fault.Sticky())
				f.aws.Fail(f.operation("GetSecretValue", "GetItem"), c.fault.Sticky())
				f.aws.Fail(f.operation("BatchGetSecretValue", "Scan"), c.fault.Sticky())
				kind := c.kind
				if kind == awserror.NotFound && f.putOp() == "dynamodb:UpdateItem" {
					kind = awserror.Denied // a missing table is no missing record
				}
				check := func(call string, err error) {
					t.Helper()
					if !awserror.Is(err, kind) || strings.Contains(err.Error(), hidden) {
						t.Errorf("%s: %v", call, err)
					}
				}
				_, ok, err := f.Put(t.Context(), previous, withAccess(previous, hidden+"2"))
				if check("Put", err); ok {
					t.Error("a failed write counts as done")
				}
				_, err = f.Get(t.Context(), appID)
				check("Get", err)
				for r, err := range f.All(t.Context()) {
					if check("All", err); r.Owner != "" {
						t.Errorf("the error names %q", r.Owner)
					}
				}
				f.aws.Heal("")
				f.checkStored(t, appID, hidden)
			})
		})
	}
}

// A store reads its accounts in pages. One that can't be read is reported, and hides no other.
func TestAllAndOwners(t *testing.T) {
	t.Parallel()
	const count, malformed = 105, "wx0000000000000007"
	forEachStore(t, func(t *testing.T, f *fixture) {
		f.aws.SetSecret("wechat/draftbox/component-token", "the component's")
		f.aws.SetSecret("wechat/draftbox/accounts/deeper/"+appID, "nobody's")
		f.aws.SetSecret("wechat/draftbox/Accounts/"+appID, "nobody's") // the filter ignores case
		var want []string
		for i := range count {
			owner := fmt.Sprintf("wx%016d", i)
			f.set(owner, map[string]any{"access_token": "t" + owner, "note": strings.Repeat("x", 20_000)})
			want = append(want, owner)
		}
		f.set(malformed, map[string]any{"access_token": 84_0000, "expires_at": "84_hidden"})
		var got, failed, owners []string
		for r, err := range f.All(t.Context()) {
			if err != nil {
				failed = append(failed, r.Owner)
			} else if r.Access.Reveal() != "t"+r.Owner || !r.IsStored() {
				t.Errorf("%s has the token of another one", r.Owner)
			}
			got = append(got, r.Owner)
		}
		pages := 0
		for page, err := range f.Owners(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			owners = append(owners, page...)
			pages++
		}
		slices.Sort(got)
		slices.Sort(owners)
		if !slices.Equal(got, want) || !slices.Equal(owners, want) || !slices.Equal(failed, []string{malformed}) {
			t.Errorf("%d records, %d owners, failed %v", len(got), len(owners), failed)
		}
		if pages < 2 {
			t.Errorf("%d pages", pages)
		}
		for range f.All(t.Context()) { // a caller may stop
			break
		}
		for range f.Owners(t.Context()) {
			break
		}
		// The second page fails.
		for op, list := range map[string]func() error{
			f.operation("BatchGetSecretValue", "Scan"): func() (last error) {
				for _, last = range f.All(t.Context()) {
				}
				return last
			},
			f.operation("ListSecrets", "Scan"): func() (last error) {
				for _, last = range f.Owners(t.Context()) {
				}
				return last
			},
		} {
			f.aws.Fail(op, awstest.Before(func() {}), awstest.Deny())
			if err := list(); !awserror.Is(err, awserror.Denied) {
				t.Errorf("%s: %v", op, err)
			}
			f.aws.Heal("")
		}
	})
}

// Somebody moved AWSCURRENT back to a version that has a successor already.
func TestPutAfterARollback(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	first := f.put(t, token.Record{Owner: appID}, "a1")
	second := f.put(t, first, "a2")
	_, err := f.secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String(account), VersionStage: aws.String("AWSCURRENT"),
		RemoveFromVersionId: &second.Version, MoveToVersionId: &first.Version,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.put(t, f.get(t, appID), "a3")
	f.checkStored(t, appID, "a3")
}

// A secret may have been made without a value, as by a stack of the operator's.
func TestPutIntoASecretWithoutAValue(t *testing.T) {
	t.Parallel()
	f := newFixture(t, false)
	if _, err := f.secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(account)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), appID); !awserror.Is(err, awserror.NotFound) {
		t.Errorf("got %v", err)
	}
	f.put(t, token.Record{Owner: appID}, "a1")
	f.checkStored(t, appID, "a1")
}

func TestRecord(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, c := range []struct {
		expires time.Time
		expired bool
	}{{time.Time{}, false}, {now.Add(time.Second), false}, {now.Round(0), true}, {now.Add(-time.Second), true}} {
		if got := (token.Record{ExpiresAt: c.expires}).IsExpired(now); got != c.expired {
			t.Errorf("%v: expired %v", c.expires, got)
		}
	}
	if (token.Record{Refresh: secret.New("r")}).IsOwnAccount() || !(token.Record{AppSecret: secret.New("s")}).IsOwnAccount() {
		t.Error("an own account is one with an app secret")
	}
	f := newFixture(t, false)
	f.set(appID, map[string]any{"access_token": "a", "note": "stays"})
	other := token.Record{Owner: "x", Access: secret.New("b"), Refresh: secret.New("r"), Version: "9"}
	with := f.get(t, appID).With(other)
	if with.Owner != appID || with.Version == "9" || !with.IsSameAs(other) {
		t.Errorf("got %+v", with)
	}
	if _, ok, err := f.Put(t.Context(), f.get(t, appID), with); !ok || err != nil {
		t.Fatal(err)
	}
	if keys := f.keys(appID); keys["note"] != "stays" || keys["refresh_token"] != "r" {
		t.Errorf("stored %v", keys)
	}
}
