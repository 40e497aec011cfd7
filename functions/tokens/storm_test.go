package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// A small fault must not escalate: count the calls that reach WeChat, and the events that reach people.

// failures are the published failures that came since the events were looked at last, as "appid errcode".
func (s *fixture) failures() (all []string) {
	s.t.Helper()
	for _, e := range s.events() {
		if e.Kind == "Token Refresh Failed" {
			all = append(all, fmt.Sprint(e.AppID, " ", e.Errcode))
		}
	}
	return all
}

func (s *fixture) checkFailures(want ...string) {
	s.t.Helper()
	if got := s.failures(); fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("published failures %q, want %q", got, want)
	}
}

// After consecutive failures a token waits 1, 2, 5, 9 and again 9 minutes, for every caller.
func TestWaitsGrow(t *testing.T) {
	t.Parallel()
	const margin = 10 * time.Second // the clock moves by itself too
	for name, ask := range map[string]func(s *fixture){
		"schedule":  func(s *fixture) { s.refresh() },
		"rejection": func(s *fixture) { s.invoke(s.rejected(closed)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "dynamodb")
			s.issue(component)
			s.issue(closed, "expires_at", "1")
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001).Always())
			ask(s)
			for i, minutes := range []int{1, 2, 5, 9, 9} {
				wait := time.Duration(minutes) * time.Minute
				calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
				s.Clock.Forward(wait - margin)
				s.ticket()
				ask(s)
				if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n > 0 {
					t.Errorf("failure %d: tried before %v were over", i+1, wait)
				}
				s.Clock.Forward(margin)
				ask(s)
				if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n != 1 {
					t.Errorf("failure %d: %d calls after %v", i+1, n, wait)
				}
			}
			s.WeChat.Heal("")
			s.Clock.Forward(9 * time.Minute)
			ask(s)
			s.checkNewest(closed)
		})
	}
}

// A failed fetch of the component token delays the queue too.
func TestQueueHeedsTheComponentsWait(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(45009).Always())
	for range 10 {
		s.authorize(authorization(newcomer, "queryauthcode@@@1", s.now()))
		s.invoke(rejection(component, ""))
		s.refresh()
	}
	if n := s.WeChat.Calls(wechattest.PathComponentToken); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// Exceeded quotas wait until midnight in Beijing, or for a minute.
func TestWaitsForQuotas(t *testing.T) {
	t.Parallel()
	for errcode, untilTried := range map[int]func(now time.Time) time.Duration{
		45011: func(time.Time) time.Duration { return time.Minute },
		45009: func(now time.Time) time.Duration {
			const day = 24 * time.Hour
			beijing := now.UTC().Add(8 * time.Hour)
			return beijing.Truncate(day).Add(day).Sub(beijing)
		},
	} {
		t.Run(fmt.Sprint(errcode), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "dynamodb")
			s.issue(component)
			s.issue(own, "expires_at", "1")
			s.WeChat.Fail(wechattest.PathStableToken, wechattest.Refuse(errcode))
			s.refresh()
			wait := untilTried(s.Clock.Now())
			s.Clock.Forward(max(wait-time.Minute, wait/2))
			s.ticket()
			s.refresh()
			if n := s.WeChat.Calls(wechattest.PathStableToken); n != 1 {
				t.Errorf("%d calls within %v", n, wait)
			}
			s.Clock.Forward(time.Minute + 10*time.Second)
			s.ticket()
			s.refresh()
			s.checkNewest(own)
		})
	}
}

// A wait ends early once its cause is gone.
func TestWaitsEndEarly(t *testing.T) {
	t.Parallel()
	secret := func(s *fixture) { s.platform("note", "another version of the secret") }
	for _, c := range []struct {
		errcode int
		mend    map[string]func(*fixture)
		stays   map[string]func(*fixture)
	}{
		{61005, map[string]func(*fixture){"newer ticket": laterTicket}, map[string]func(*fixture){"another secret": secret}},
		{61006, map[string]func(*fixture){"newer ticket": laterTicket}, nil},
		{40091, map[string]func(*fixture){"newer ticket": laterTicket}, nil},
		{40094, map[string]func(*fixture){"newer ticket": laterTicket, "another secret": secret}, nil},
		{40125, map[string]func(*fixture){"another secret": secret}, map[string]func(*fixture){"newer ticket": laterTicket}},
		{40243, map[string]func(*fixture){"another secret": secret}, map[string]func(*fixture){"newer ticket": laterTicket}},
		{45009, nil, map[string]func(*fixture){"newer ticket": laterTicket, "another secret": secret}},
	} {
		check := func(name string, change func(*fixture), want int) {
			t.Run(fmt.Sprint(c.errcode, " ", name), func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, "secretsmanager")
				s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(c.errcode))
				s.refresh()
				calls := s.WeChat.Calls(wechattest.PathComponentToken)
				change(s)
				s.refresh()
				if n := s.WeChat.Calls(wechattest.PathComponentToken) - calls; n != want {
					t.Errorf("%d calls, want %d", n, want)
				}
			})
		}
		check("nothing changed", func(*fixture) {}, 0)
		for name, change := range c.mend {
			check(name, change, 1)
		}
		for name, change := range c.stays {
			check(name, change, 0)
		}
	}
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		s.issue(closed, "expires_at", "1")
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001))
		s.checkRefresh(0, 1, 1)
		s.checkRefresh(0, 1, 1)
		s.issue(closed, "expires_at", "1") // somebody else rewrote it
		s.checkRefresh(1, 1, 0)
		s.checkNewest(closed)
	})
}

// laterTicket lets WeChat push a ticket a second later.
func laterTicket(s *fixture) {
	s.Clock.Forward(time.Second)
	s.ticket()
}

// force overrides waits, but fetches nothing that isn't due.
func TestForce(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "dynamodb")
	s.issueAll()
	s.issue(closed, "expires_at", "1")
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61023))
	s.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Raw(`{"total_count":0,"list":[]}`))
	s.checkRefresh(0, 3, 1)
	s.checkRefresh(0, 3, 1)
	calls := s.WeChat.Calls("")
	if got := s.runForced(); got.Refreshed != 1 || got.Fresh != 3 || got.Failed != 0 {
		t.Errorf("forced: %+v", got)
	}
	if n := s.WeChat.Calls("") - calls; n != 1 {
		t.Errorf("%d calls", n)
	}
	s.checkNewest(closed)
	if _, err := s.tokens.Invoke(t.Context(), rawJSON(`{"task":"refresh-tokens","force":"yes"}`)); err == nil || !strings.Contains(err.Error(), "force") {
		t.Errorf("error %v", err)
	}
}

// A rejection during an outage: WeChat refuses the component token, and is too busy to issue another one.
func TestRejectionsWhileWeChatIsBroken(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.issue(closed)
	s.Clock.Forward(20 * time.Minute)
	s.WeChat.Fail("", wechattest.Refuse(40001).When(func(r wechattest.Request) bool { return r.Path != wechattest.PathComponentToken }).Always())
	s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(-1).Always())
	for range 20 {
		s.invoke(s.rejected(component))
		s.invoke(s.rejected(closed))
	}
	if n := s.WeChat.Calls(wechattest.PathComponentToken); n > 3 {
		t.Errorf("%d calls for the component token", n)
	}
	if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n > 1 {
		t.Errorf("%d calls for the account's token", n)
	}
	s.checkFailures(" -1", closed+" 40001")
}

// One error, many accounts: five calls and those under way, one failure, one event; in the runs that follow no more events.
func TestOneErrorOfManyAccounts(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name    string
		fault   wechattest.Fault
		errcode int
	}{{"day quota", wechattest.Refuse(45009), 45009}, {"whitelist", wechattest.Refuse(61004), 61004}, {"silence", wechattest.Reset(), 0}} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "dynamodb")
			accounts := s.issueMany(30)
			s.issue(component)
			for _, appID := range accounts {
				s.issue(appID, "expires_at", "1")
			}
			s.WeChat.Fail(wechattest.PathAuthorizerToken, fault.fault.Always())
			const most = cautiousParallel + breakerThreshold - 1
			for run := range 8 {
				calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
				got := s.refresh()
				if len(got.Failures) != 1 || got.Failed != 1 || got.Failures[0].AppID != "" || got.Failures[0].Errcode != fault.errcode {
					t.Errorf("run %d: failures %+v", run, got.Failures)
				}
				tried := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls
				if fault.errcode == 0 {
					tried /= 3 // a lost answer is asked for three times
				}
				if tried > most {
					t.Errorf("run %d: %d accounts were tried", run, tried)
				}
			}
			s.checkFailures(fmt.Sprint(" ", fault.errcode))
			s.WeChat.Heal("")
			if got := s.runForced(); got.Refreshed != 30 {
				t.Errorf("mended: %+v", got)
			}
			// The next fault is another one.
			for _, appID := range accounts {
				s.issue(appID, "expires_at", "1")
			}
			s.Clock.Forward(time.Hour)
			s.issue(component)
			s.WeChat.Fail(wechattest.PathAuthorizerToken, fault.fault.Always())
			s.refresh()
			s.checkFailures(fmt.Sprint(" ", fault.errcode))
		})
	}
}

// The same failure of one token is published once a day, another one once an hour.
func TestFailuresArePublishedRarely(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "dynamodb")
	s.issue(component, "expires_at", "")
	s.issue(closed, "expires_at", "1")
	fail := func(errcode int) {
		s.WeChat.Heal("")
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(errcode).Always())
	}
	runFor := func(d time.Duration) {
		for passed := time.Duration(0); passed < d; passed += 30 * time.Minute {
			s.refresh()
			s.Clock.Forward(30 * time.Minute)
		}
	}
	fail(48001)
	runFor(23 * time.Hour)
	s.checkFailures(closed + " 48001")
	runFor(2 * time.Hour)
	s.checkFailures(closed + " 48001") // a day later
	fail(50002)
	runFor(30 * time.Minute)
	s.checkFailures(closed + " 50002") // another one, more than an hour later
	fail(48001)
	runFor(30 * time.Minute)
	s.checkFailures()
	runFor(time.Hour)
	s.checkFailures(closed + " 48001")
}

// source is the queue of authorizations, as Lambda polls it.
type source struct {
	s      *fixture
	url    string
	client *sqs.Client
}

func (s *fixture) source() source {
	s.t.Helper()
	url := s.AWS.CreateQueue("authorizations", awstest.VisibilityTimeout(30*time.Minute))
	s.Env["AUTHORIZATION_QUEUE_URL"] = url
	s.tokens = s.Start(wire)
	server := httptest.NewServer(s.AWS)
	s.t.Cleanup(server.Close)
	return source{s, url, sqs.NewFromConfig(s.AWS.Config(server.URL))}
}

func (q source) send(body string) {
	q.s.t.Helper()
	if _, err := q.client.SendMessage(q.s.t.Context(), &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body}); err != nil {
		q.s.t.Fatal(err)
	}
}

// next lets time pass until the message comes, and hands it over. It reports how long that took, and whether the message is
// done.
func (q source) next() (waited time.Duration, done bool) {
	t := q.s.t
	t.Helper()
	waited = max(0, q.s.AWS.Messages(q.url)[0].Visible.Sub(q.s.Clock.Now()))
	q.s.Clock.Forward(waited + time.Second)
	received, err := q.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &q.url, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll}})
	if err != nil || len(received.Messages) != 1 {
		t.Fatalf("received %v (%v)", received, err)
	}
	m := received.Messages[0]
	raw, err := q.s.tokens.Invoke(t.Context(), map[string]any{"Records": []any{map[string]any{"eventSource": "aws:sqs", "messageId": *m.MessageId,
		"receiptHandle": *m.ReceiptHandle, "body": *m.Body, "attributes": m.Attributes}}})
	if err != nil {
		t.Fatal(err)
	}
	if done = string(raw) == `{"batchItemFailures":[]}`; !done {
		return waited, false
	}
	if _, err := q.client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	return waited, true
}

// An authorization during a fault that lasts 20 minutes: then the account works without anybody acting.
func TestAuthorizationDuringAFault(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.issue(component)
			q := s.source()
			code, began := s.WeChat.NewCode(newcomer), s.Clock.Now()
			s.WeChat.RefuseAddress("203.0.113.7")
			q.send(authorization(newcomer, code, s.now()))
			var waits []time.Duration
			for done := false; !done; {
				if s.AWS.Messages(q.url)[0].Visible.Sub(began) > 20*time.Minute {
					s.WeChat.RefuseAddress("")
				}
				var waited time.Duration
				waited, done = q.next()
				waits = append(waits, (waited + 5*time.Second).Truncate(10*time.Second))
				if len(waits) > 30 {
					t.Fatal("it never ends")
				}
			}
			want := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
			if fmt.Sprint(waits) != fmt.Sprint(want) {
				t.Errorf("waits %v, want %v", waits, want)
			}
			s.checkEvents("Token Refresh Failed "+newcomer+" 61004", "Account Authorized "+newcomer+" 0")
			s.checkNewest(newcomer)
		})
	}
}

// After its code expired, an authorization is tried once more, with WeChat's list of authorizers.
func TestAuthorizationWhoseCodeEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refreshToken string // in the list
		expiresIn    time.Duration
		want         []string
	}{
		"the list has it":    {"refreshtoken@@@listed", 0, []string{"Token Refresh Failed " + newcomer + " -1", "Account Authorized " + newcomer + " 0"}},
		"nothing has it":     {"", 0, []string{"Token Refresh Failed " + newcomer + " -1", "Token Refresh Failed " + newcomer + " 0"}},
		"the push says when": {"", 10 * time.Minute, []string{"Token Refresh Failed " + newcomer + " -1", "Token Refresh Failed " + newcomer + " 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "dynamodb")
			s.issue(component, "expires_at", "")
			q := s.source()
			s.WeChat.AddAccount(wechattest.Account{AppID: newcomer, RefreshToken: c.refreshToken, Authorized: true})
			s.WeChat.Fail(wechattest.PathQueryAuth, wechattest.Refuse(-1).Always())
			began, lifetime := s.Clock.Now(), time.Hour
			message := map[string]any{"task": "authorize", "appid": newcomer, "authorization_code": "queryauthcode@@@1", "create_time": s.now()}
			if c.expiresIn > 0 {
				lifetime = c.expiresIn
				message["expires_at"] = s.now() + int64(c.expiresIn/time.Second)
			}
			body, _ := json.Marshal(message)
			q.send(string(body))
			for done := false; !done; {
				_, done = q.next()
			}
			if took := s.Clock.Now().Sub(began); took < lifetime || took > lifetime+6*time.Minute {
				t.Errorf("it took %v, of a code that lives %v", took, lifetime)
			}
			events := s.checkEvents(c.want...)
			if last := events[len(events)-1]; last.Kind == "Token Refresh Failed" && !strings.Contains(last.Action, "authorise the platform again") {
				t.Errorf("action %q", last.Action)
			}
			if n := len(s.AWS.Messages(q.url)); n > 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// An authorization without a code that can be read comes by the list of authorizers.
func TestAuthorizationWithoutACode(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		s.WeChat.AddAccount(wechattest.Account{AppID: newcomer, RefreshToken: "refreshtoken@@@newcomers", Authorized: true})
		if again := s.authorize(authorization(newcomer, "", s.now())); again != nil {
			t.Errorf("again: %v", again)
		}
		s.checkNewest(newcomer)
		s.checkEvents("Account Authorized " + newcomer + " 0")
		if n := s.WeChat.Calls(wechattest.PathQueryAuth); n > 0 {
			t.Errorf("%d exchanges of no code", n)
		}
	})
}

// For an ignored mini program the code is exchanged and no token stored.
func TestAuthorizationOfAnIgnoredMiniProgram(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		s := newFixture(t, store)
		s.Env["MINI_PROGRAMS"] = "ignore"
		s.tokens = s.Start(wire)
		s.issue(component)
		s.WeChat.AddAccount(wechattest.Account{AppID: newcomer, MiniProgram: true})
		if again := s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), s.now())); again != nil {
			t.Errorf("again: %v", again)
		}
		if text, _ := s.text(newcomer); text != "" || s.Account(newcomer)["kind"] != "mini-program" {
			t.Errorf("stored %v, item %v", text != "", s.Account(newcomer))
		}
		s.checkEvents("Account Authorized " + newcomer + " 0")
	}
}

// import-accounts tries once an account recorded as unauthorized, and one that had to authorize again.
func TestImportTriesAccountsThatWereWrittenOff(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.alone(closed)
		s.issue(component)
		s.issue(closed, "expires_at", "1")
		s.recordAccount(closed, "status", "unauthorized")
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61003))
		s.WeChat.Fail(wechattest.PathAuthorizerInfo, wechattest.Refuse(61003).Always())
		s.checkImport(1, 0, 0, 1)
		if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n != 1 || s.Account(closed)["status"] != "unauthorized" {
			t.Errorf("%d fetches, item %v", n, s.Account(closed))
		}
		s.WeChat.Heal("")
		s.events()
		s.checkImport(1, 0, 1, 0)
		s.checkNewest(closed)
		s.checkEvents("Account Authorized " + closed + " 0")
		if s.Account(closed)["status"] != "authorized" {
			t.Errorf("item %v", s.Account(closed))
		}
		calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
		s.checkImport(1, 0, 0, 0)
		if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n > 0 {
			t.Errorf("%d fetches of an account that works", n)
		}

		// It had to authorise again, and WeChat lists a refresh token now.
		s.issue(closed, "expires_at", "1")
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(42002))
		s.refresh()
		s.checkFailures(closed + " 42002")
		s.AWS.DeleteItem(functiontest.StateTable, "account", closed)
		s.checkImport(1, 0, 1, 0)
		s.checkNewest(closed)
		if s.Account(closed)["status"] != "authorized" {
			t.Errorf("the missing item is %v", s.Account(closed))
		}
	})
}

// A frozen app secret, a support id in the old form, and an own account's whitelist: the failure names who has to
// act.
func TestFailuresSayWhoMendsThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		owner, path, errmsg string
		errcode             int
		action, told        string
	}{
		"frozen app secret of the platform":  {component, wechattest.PathComponentToken, "appsecret is frozen rid: 6949fe38-0627ff0d-47df91c7", 40243, "nfreeze", "6949fe38"},
		"frozen app secret of an account":    {own, wechattest.PathStableToken, "appsecret is frozen rid: 6949fe38-0627ff0d-47df91c7", 40243, "nfreeze", "6949fe38"},
		"support handle in the old form":     {closed, wechattest.PathAuthorizerToken, "access clientip is not registered not in whitelist hint: [jotvMa01143580]", 61004, "whitelist", "jotvMa01143580"},
		"an own account's whitelist":         {own, wechattest.PathStableToken, "invalid ip 198.51.100.7, not in whitelist rid: 1", 40164, "account's", "198.51.100.7"},
		"an own account's whitelist (61004)": {own, wechattest.PathStableToken, "access clientip is not registered requestIP: 198.51.100.7", 61004, "account's", "198.51.100.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "secretsmanager")
			s.issue(component)
			s.issue(c.owner, "expires_at", "1")
			s.WeChat.Fail(c.path, wechattest.Refuse(c.errcode, c.errmsg).Always())
			s.refresh()
			for _, e := range s.events() {
				if e.AppID != c.owner || e.Errcode != c.errcode || !strings.Contains(e.Action, c.action) || !strings.Contains(e.Errmsg, c.told) {
					t.Errorf("event %+v", e)
				}
				if strings.Contains(name, "own account") && strings.Contains(e.Action, "platform's settings") {
					t.Errorf("the platform's whitelist is named: %s", e.Action)
				}
			}
		})
	}
}

// The failure of an account's empty record names the record.
func TestRecordWithoutAnything(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"access_token":""}`} {
		s := newFixture(t, "secretsmanager")
		s.issue(component)
		s.put(closed, text)
		got := s.checkRefresh(0, 1, 1)
		if f := got.Failures[0]; f.AppID != closed || !strings.Contains(f.Action, "wechat/draftbox/accounts/"+closed) {
			t.Errorf("failure %+v", f)
		}
	}
}

// overviewOf runs the task tokens.
func (s *fixture) overviewOf(next string) overview {
	s.t.Helper()
	raw, err := s.tokens.Invoke(s.t.Context(), map[string]string{"task": "tokens", "next": next})
	var got overview
	if err != nil || json.Unmarshal(raw, &got) != nil {
		s.t.Fatalf("%s (%v)", raw, err)
	}
	return got
}

// The task tokens lists the times of all tokens, 1,000 a call, and only reads.
func TestOverview(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "dynamodb")
	s.issue(component)
	for i := range 1005 {
		appID := fmt.Sprintf("wx%016d", 1000+i)
		s.recordAccount(appID, "name", "Shop")
		s.put(appID, fmt.Sprintf(`{"access_token":"t","expires_at":%d,"refresh_token":"r"}`, s.now()+3600))
	}
	const failing, tokenless = "wx0000000000001003", "wx0000000000001004"
	s.AWS.DeleteItem(functiontest.TokenTable, tokenless, "")
	s.put(failing, `{"access_token":"t","expires_at":1,"refresh_token":"r"}`)
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001).Always())
	s.refresh()
	calls, writes := s.WeChat.Calls(""), s.writes()
	first := s.overviewOf("")
	second := s.overviewOf(first.Next)
	if len(first.Tokens) != 999 || first.Tokens[0].AppID != component || second.Next != "" || len(second.Tokens) != 6 {
		t.Fatalf("pages of %d and %d, next %q and %q", len(first.Tokens), len(second.Tokens), first.Next, second.Next)
	}
	if c := first.Tokens[0]; c.ExpiresAt == nil || c.FetchedAt == nil || c.Kind != nil || c.WaitUntil != nil || c.Errcode != nil {
		t.Errorf("the component's %+v", c)
	}
	for _, e := range append(first.Tokens[1:], second.Tokens...) {
		if e.AppID == tokenless || e.Name == nil || e.Kind == nil || e.ExpiresAt == nil {
			t.Errorf("entry %+v", e)
		}
		if waits := e.WaitUntil != nil && e.Errcode != nil && *e.Errcode == 48001 && e.WaitUntil.After(s.Clock.Now()); waits != (e.AppID == failing) {
			t.Errorf("%s waits: %v", e.AppID, waits)
		}
	}
	if s.WeChat.Calls("") != calls || s.writes() != writes {
		t.Error("it doesn't only read")
	}
	for _, bad := range []string{`{"task":"tokens","next":"1"}`, `{"task":"tokens","next":1}`} {
		if _, err := s.tokens.Invoke(t.Context(), rawJSON(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
