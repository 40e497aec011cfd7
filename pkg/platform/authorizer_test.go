package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

// fixture is a directory in a world, and what a learner of it needs.
type fixture struct {
	*functiontest.World
	directory platform.Directory
	accounts  state.Accounts
	parts     bootstrap.Deps
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{World: functiontest.New(t)}
	f.StorePlatform()
	f.StoreComponentToken()
	f.Start(func(parts bootstrap.Deps) trigger.Router {
		f.parts = parts
		f.directory = platform.Directory{
			WeChat: parts.WeChat, Tokens: parts.Tokens(parts.Secrets), Platform: platform.NewCache(parts.Secrets, time.Minute, parts.Now),
		}
		f.accounts = state.NewTable(dynamodb.NewFromConfig(parts.AWS), functiontest.StateTable, parts.Now).Accounts()
		return trigger.Router{}
	})
	return f
}

func (f *fixture) learner(calls int) *platform.Learner {
	return f.directory.Learner(f.accounts, calls, f.parts.Log.Logger)
}

func appID(n int) string { return fmt.Sprintf("wx%016d", 1000+n) }

// add adds n authorised accounts; one in three is a mini program.
func (f *fixture) add(n int) (appIDs []string) {
	for i := range n {
		f.WeChat.AddAccount(wechattest.Account{AppID: appID(i), Name: fmt.Sprint("Tea ", i), Authorized: true, MiniProgram: i%3 == 0,
			RefreshToken: fmt.Sprintf("refreshtoken@@@of-tea-number-%04d", i)})
		appIDs = append(appIDs, appID(i))
	}
	return appIDs
}

func TestEach(t *testing.T) {
	t.Parallel()
	f := start(t)
	want := append([]string{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted}, f.add(1100)...)
	f.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(-1), wechattest.Drop())
	var got []string
	err := f.directory.Each(t.Context(), func(one wechat.Authorizer) error {
		got = append(got, one.AppID)
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if n := f.WeChat.Calls(wechattest.PathAuthorizerList); n != 3+2 {
		t.Errorf("%d calls", n)
	}

	enough, seen := errors.New("enough"), 0
	err = f.directory.Each(t.Context(), func(wechat.Authorizer) error {
		seen++
		return enough
	})
	if !errors.Is(err, enough) || seen != 1 || f.WeChat.Calls(wechattest.PathAuthorizerList) != 6 {
		t.Errorf("error %v after %d accounts", err, seen)
	}
}

// A list that promises more than it gives ends where it has no more.
func TestEachEndsWithAnEmptyPage(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Raw(`{"total_count":9,"list":[{"authorizer_appid":"wx0000000000000001"}]}`),
		wechattest.Raw(`{"total_count":9,"list":[]}`))
	seen := 0
	err := f.directory.Each(t.Context(), func(wechat.Authorizer) error { seen++; return nil })
	if n := f.WeChat.Calls(""); err != nil || seen != 1 || n != 2 {
		t.Errorf("%d accounts by %d calls, error %v", seen, n, err)
	}
}

// An entry without an appid counts for the place of the next page.
func TestEachCountsUnreadableEntries(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Raw(`{"total_count":2,"list":[{"authorizer_appid":"wx0000000000000001"},{}]}`))
	seen := 0
	err := f.directory.Each(t.Context(), func(wechat.Authorizer) error { seen++; return nil })
	if n := f.WeChat.Calls(""); err != nil || seen != 1 || n != 1 {
		t.Errorf("%d accounts by %d calls, error %v", seen, n, err)
	}
}

// TestFailures: what goes wrong comes back as it is, whether for the list or for one account.
func TestFailures(t *testing.T) {
	t.Parallel()
	refusedWith := func(code int) func(error) bool {
		return func(err error) bool {
			var refusal *wechat.APIError
			return errors.As(err, &refusal) && refusal.Code == code
		}
	}
	refuse := func(code int) func(*fixture) {
		return func(f *fixture) {
			for _, path := range []string{wechattest.PathAuthorizerList, wechattest.PathAuthorizerInfo} {
				f.WeChat.Fail(path, wechattest.Refuse(code).Always())
			}
		}
	}
	aws := func(fault awstest.Fault) func(*fixture) {
		return func(f *fixture) { f.AWS.Fail("secretsmanager:GetSecretValue", fault.Sticky()) }
	}
	for name, test := range map[string]struct {
		cause func(*fixture)
		is    func(error) bool
	}{
		"quota":               {refuse(45009), refusedWith(45009)},
		"whitelist":           {refuse(61004), refusedWith(61004)},
		"token refused":       {refuse(40001), refusedWith(40001)},
		"no platform":         {aws(awstest.Refuse("ResourceNotFoundException", 400)), func(err error) bool { return awserror.Is(err, awserror.NotFound) }},
		"secrets unavailable": {aws(awstest.Drop()), func(err error) bool { return awserror.Is(err, awserror.Unavailable) }},
		"malformed platform": {func(f *fixture) { f.AWS.SetSecret("wechat/draftbox/platform", "{}") }, func(err error) bool {
			var malformed *awserror.MalformedError
			return errors.As(err, &malformed)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			test.cause(f)
			if err := f.directory.Each(t.Context(), func(wechat.Authorizer) error { return nil }); !test.is(err) {
				t.Errorf("the list: %v", err)
			}
			if _, err := f.directory.Info(t.Context(), wechattest.ExampleClosed); !test.is(err) {
				t.Errorf("an account: %v", err)
			}
		})
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.add(1)
	for id, want := range map[string]wechat.AuthorizerInfo{
		wechattest.ExampleClosed: {Name: "Lantern Street", Kind: wechat.OfficialAccount}, appID(0): {Name: "Tea 0", Kind: wechat.MiniProgram},
	} {
		if got, err := f.directory.Info(t.Context(), id); got != want || err != nil {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	// A refused component token is read afresh.
	f.StoreComponentToken()
	f.WeChat.Fail(wechattest.PathAuthorizerInfo, wechattest.Refuse(42001))
	if _, err := f.directory.Info(t.Context(), appID(0)); err != nil || len(f.AWS.Events()) != 0 {
		t.Errorf("with another token stored: %v", err)
	}
	for _, raw := range []string{`{"errcode":0}`, `{}`, `{"authorizer_info":{}}`, `{"authorizer_info":null}`, `{"authorizer_info":"Tea"}`} {
		f.WeChat.Fail(wechattest.PathAuthorizerInfo, wechattest.Raw(raw))
		var failure *wechat.TransportError
		if got, err := f.directory.Info(t.Context(), appID(0)); !errors.As(err, &failure) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
}

func TestListIsReadOnce(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.add(600)
	list := f.directory.List()
	if f.WeChat.Calls("") != 0 {
		t.Error("the list was read before anybody needed it")
	}
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			refresh, err := list.RefreshToken(t.Context(), appID(n))
			if want := fmt.Sprintf("refreshtoken@@@of-tea-number-%04d", n); err != nil || refresh.Reveal() != want {
				t.Errorf("account %d: error %v", n, err)
			}
		})
	}
	all.Wait()
	for _, none := range []string{wechattest.ExampleRevoked, "wx0000000000000099"} {
		if refresh, err := list.RefreshToken(t.Context(), none); err != nil || !refresh.IsZero() {
			t.Errorf("%s is in the list, error %v", none, err)
		}
	}
	if n := f.WeChat.Calls(wechattest.PathAuthorizerList); n != 2 {
		t.Errorf("%d calls for two pages", n)
	}
}

func TestListThatCannotBeReadIsNotReadAgain(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(45009))
	list := f.directory.List()
	for range 3 {
		_, err := list.RefreshToken(t.Context(), wechattest.ExampleClosed)
		var refusal *wechat.APIError
		if !errors.As(err, &refusal) || refusal.Code != 45009 {
			t.Errorf("error %v", err)
		}
	}
	if n := f.WeChat.Calls(wechattest.PathAuthorizerList); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// learned is an account in short, as it was returned and as it is stored.
func (f *fixture) learned(t *testing.T, l *platform.Learner, id string) string {
	t.Helper()
	before, err := f.accounts.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	after := l.Learn(t.Context(), before)
	item := f.Account(id)
	kind, _ := item["kind"].(string)
	name, _ := item["name"].(string)
	if string(after.Kind) != kind || after.Name != name {
		t.Errorf("%s: returned %q %q, stored %q %q", id, after.Kind, after.Name, kind, name)
	}
	return kind + " " + name
}

func TestLearn(t *testing.T) {
	t.Parallel()
	f := start(t)
	ids := f.add(4)
	f.SetAccount(ids[1], map[string]any{"status": "authorized", "draft_switch": "open", "note": "keep me"})
	f.SetAccount(ids[2], map[string]any{"status": "unauthorized"})
	f.SetAccount(ids[3], map[string]any{"status": "authorized", "kind": "official-account", "name": "Old"})
	l := f.learner(platform.PerRun)
	for i, want := range []string{"mini-program Tea 0", "official-account Tea 1", " ", "official-account Old"} {
		if got := f.learned(t, l, ids[i]); got != want {
			t.Errorf("account %d: %q, want %q", i, got, want)
		}
	}
	if n := f.WeChat.Calls(wechattest.PathAuthorizerInfo); n != 2 {
		t.Errorf("%d calls, although one account left and one is known", n)
	}
	if got := f.Account(ids[1]); got["draft_switch"] != "open" || got["note"] != "keep me" {
		t.Errorf("recorded %v", got)
	}
}

func TestLearnerMakesOnlySoManyCalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	ids := f.add(30)
	l := f.learner(5)
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() { l.Learn(t.Context(), state.NewAccount(id)) })
	}
	all.Wait()
	stored := slices.DeleteFunc(ids, func(id string) bool { return f.Account(id) == nil })
	if n := f.WeChat.Calls(wechattest.PathAuthorizerInfo); n != 5 || len(stored) != 5 {
		t.Errorf("%d calls, %d accounts stored", n, len(stored))
	}
}

// TestLearnerStops where a failure concerns all accounts, and goes on where it concerns one.
func TestLearnerStops(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault wechattest.Fault
		aws   string // an operation that is denied
		stops bool
	}{
		"the account isn't authorised": {fault: wechattest.Refuse(61003)},
		"quota":                        {fault: wechattest.Refuse(45009), stops: true},
		"whitelist":                    {fault: wechattest.Refuse(61004), stops: true},
		"no info":                      {fault: wechattest.Raw(`{"errcode":0}`), stops: true},
		"writes denied":                {aws: "dynamodb:UpdateItem", stops: true},
		"secrets denied":               {aws: "secretsmanager:GetSecretValue", stops: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t)
			ids := f.add(3)
			if test.aws != "" {
				f.AWS.Fail(test.aws, awstest.Deny())
			} else {
				f.WeChat.Fail(wechattest.PathAuthorizerInfo, test.fault)
			}
			l := f.learner(2)
			if got := f.learned(t, l, ids[0]); got != " " {
				t.Errorf("learned %q", got)
			}
			want := "official-account Tea 1"
			if test.stops {
				want = " "
			}
			if got := f.learned(t, l, ids[1]); got != want {
				t.Errorf("the next one: %q, want %q", got, want)
			}
			if got := f.learned(t, l, ids[2]); got != " " {
				t.Errorf("a third call: %q", got)
			}
			if lines := f.Log.Lines("could not learn"); len(lines) != 1 {
				t.Errorf("log lines %q", lines)
			}
		})
	}
}

// A push may come while WeChat is asked. Neither loses what the other wrote.
func TestLearnBesideAnotherWriter(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.add(1)[0]
	f.AWS.Fail("dynamodb:UpdateItem", awstest.Before(func() {
		f.SetAccount(id, map[string]any{"status": "unauthorized", "status_at": 1413192605, "draft_switch": "open"})
	}))
	f.learned(t, f.learner(1), id)
	want := map[string]any{"appid": id, "kind": "mini-program", "name": "Tea 0", "status": "unauthorized", "status_at": json.Number("1413192605"), "draft_switch": "open"}
	if diff := cmp.Diff(want, f.Account(id)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLearnWithoutTime(t *testing.T) {
	t.Parallel()
	f := start(t)
	id := f.add(1)[0]
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := f.learner(1).Learn(ctx, state.NewAccount(id)); got.Kind != "" || f.Account(id) != nil {
		t.Errorf("learned %+v", got)
	}
}
