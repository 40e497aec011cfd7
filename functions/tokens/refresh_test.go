package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

func TestRefreshRenewsWhatIsDue(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.advanceTo(15 * time.Minute)
		s.checkRefresh(3, 1, 0) // WeChat gives the own account's token until near its end
		s.checkNewest(allOwners...)
		s.Clock.Forward(10 * time.Minute)
		s.checkRefresh(1, 3, 0)
		s.checkNewest(allOwners...)
		s.checkEvents()
	})
}

func TestRefreshOfNothingDueCostsNothing(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.put("wx000000000000bare", "an-operators-own-bare-token") // nothing to renew it with
		s.put("wx00000000endless1", `{"access_token": "one that says nothing of its end", "appsecret": "s"}`)
		s.advanceTo(20*time.Minute + 5*time.Second)
		s.checkRefresh(0, 6, 0) // which records the two
		writes, events := s.writes(), s.AWS.Calls("events:PutEvents")
		s.checkRefresh(0, 6, 0)
		if n := s.WeChat.Calls(""); n > 0 {
			t.Errorf("%d calls of WeChat", n)
		}
		if n := s.writes() - writes; n > 0 {
			t.Errorf("%d writes", n)
		}
		if n := s.AWS.Calls("events:PutEvents") - events; n > 0 {
			t.Errorf("%d calls of EventBridge", n)
		}
		s.Clock.Forward(6 * time.Second) // 20 minutes or less
		s.checkRefresh(3, 3, 0)
		s.checkNewest(allOwners...)
	})
}

func TestRefreshResult(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	s.advanceTo(15 * time.Minute)
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001).When(about(open)))
	raw, err := s.tokens.Invoke(t.Context(), map[string]string{"task": "refresh-tokens"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"task":"refresh-tokens","refreshed":2,"fresh":1,"failed":1,"failures":[{"appid":"wx0000000000000002","errcode":48001,` +
		`"action":"Ask the account's administrator: the account itself has no right to this interface (it may have to be verified). (Who acts: the account's administrator.)"}]}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	got := s.checkEvents("Token Refresh Failed wx0000000000000002 48001")
	if !strings.Contains(got[0].Errmsg, "rid:") {
		t.Errorf("the event has not WeChat's own words: %+v", got[0])
	}
	if lines := s.Log.Lines(`"task":"refresh-tokens"`); len(lines) != 1 {
		t.Errorf("%d log lines with the result", len(lines))
	}
	s.Clock.Forward(time.Minute)
	s.checkRefresh(1, 3, 0)

	raw, err = s.tokens.Invoke(t.Context(), json.RawMessage(`{"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}`))
	if want := `{"task":"refresh-tokens","refreshed":0,"fresh":4,"failed":0,"failures":[]}`; err != nil || string(raw) != want {
		t.Errorf("scheduled event: %s (%v)", raw, err)
	}
}

// about holds for requests whose body names an account.
func about(appID string) func(wechattest.Request) bool {
	return func(r wechattest.Request) bool { return strings.Contains(r.Body, appID) }
}

func TestComponentFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(s *fixture)
		errcode int
		action  string // a part of it
		pushing bool   // WeChat is asked for tickets
		good    func(s *fixture)
	}{
		{"no ticket yet", func(s *fixture) { s.removeTicket() }, 0, "asked to push tickets", true, (*fixture).ticket},
		{"expired ticket", func(s *fixture) { s.Clock.Forward(13 * time.Hour) }, 61005, "asked to push tickets", true, (*fixture).ticket},
		{"another platform's ticket", func(s *fixture) {
			s.AWS.SetSecureParameter(ticketAt, `{"ticket":"ticket@@@another-platform","create_time":1}`)
		}, 61006, "asked to push tickets", true, (*fixture).ticket},
		{"malformed ticket", func(s *fixture) { s.AWS.SetSecureParameter(ticketAt, `{}`) }, 0, "correct what is stored in " + ticketAt, false, (*fixture).ticket},
		{"changed app secret", func(s *fixture) { s.platform("component_appsecret", "former-app-secret-00000000000000") }, 40125, "Put the current app secret", false, func(s *fixture) { s.StorePlatform() }},
		{"changed app secret, as some servers say it", func(s *fixture) {
			s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(40001))
		}, 40001, "Put the current app secret", false, func(*fixture) {}},
		{"wrong component_appid", func(s *fixture) { s.platform("component_appid", "wx0123456789abcdef") }, 40013, "Correct the appid", false, nil},
		{"platform without a key", func(s *fixture) { s.platform("message_token", "") }, 0, "correct what is stored in wechat/draftbox/platform", false, func(s *fixture) { s.StorePlatform() }},
		{"platform that is no JSON", func(s *fixture) { s.AWS.SetSecret("wechat/draftbox/platform", `{"component_appid": "wx`) }, 0, "correct what is stored in wechat/draftbox/platform", false, func(s *fixture) { s.StorePlatform() }},
		{"address not in the whitelist", func(s *fixture) { s.WeChat.RefuseAddress("203.0.113.7") }, 61004, "whitelist", false, func(s *fixture) { s.WeChat.RefuseAddress("") }},
		{"WeChat busy", func(s *fixture) { s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(-1).Always()) }, -1, "WeChat is busy", false, func(s *fixture) { s.WeChat.Heal("") }},
		{"WeChat cut off", func(s *fixture) { s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Reset().Always()) }, 0, "way to the internet", false, func(s *fixture) { s.WeChat.Heal("") }},
	} {
		for _, old := range []string{"none", "expired", "malformed"} {
			t.Run(test.name+"/"+old, func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, "secretsmanager")
				for _, account := range []string{closed, open} {
					s.issue(account)
					s.recordAccount(account, "kind", nil) // not learnt without a component token
				}
				s.advanceTo(15 * time.Minute)
				switch old {
				case "expired":
					s.issue(component, "expires_at", s.Clock.Now().Add(-time.Second).Format(time.RFC3339))
				case "malformed":
					s.put(component, `{"access_token": `)
				}
				test.prepare(s)
				writes := s.writes()
				for run := range 3 { // no writes in an error loop, and one event
					if test.errcode == 40001 {
						s.WeChat.Heal("")
						test.prepare(s)
					}
					got := s.checkRefresh(0, 0, 1)
					if len(got.Failures) != 1 {
						t.FailNow()
					}
					if f := got.Failures[0]; f.AppID != "" || f.Errcode != test.errcode || !strings.Contains(f.Action, test.action) {
						t.Errorf("failure %+v", f)
					}
					if run == 0 {
						s.checkEvents(fmt.Sprintf("Token Refresh Failed  %d", test.errcode))
					} else {
						s.checkEvents()
					}
				}
				if n := s.writes() - writes; n > 0 {
					t.Errorf("%d writes", n)
				}
				if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n > 0 {
					t.Errorf("%d authorizers were tried without a component token", n)
				}
				if s.WeChat.Pushing() != test.pushing {
					t.Errorf("WeChat was asked for tickets: %v", !test.pushing)
				}
				if test.good == nil {
					return
				}
				test.good(s)
				s.WeChat.Heal("")
				s.AWS.Heal("")
				if !test.pushing && test.errcode != 40125 { // a newer ticket and another app secret end the wait
					s.checkRefresh(0, 0, 1)
					s.Clock.Forward(time.Minute)
				}
				s.checkRefresh(3, 0, 0)
				s.checkNewest(component, closed, open)
			})
		}
	}
}

// removeTicket removes the ticket, as on a new platform.
func (s *fixture) removeTicket() {
	s.AWS.Fail("ssm:GetParameter", awstest.Refuse("ParameterNotFound", 400).On(ticketAt).Sticky())
}

// platform changes a key of the platform's secret; an empty value removes it.
func (s *fixture) platform(key, value string) {
	keys := make(map[string]string)
	text, _, _ := s.AWS.Secret("wechat/draftbox/platform")
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		s.t.Fatal(err)
	}
	if keys[key] = value; value == "" {
		delete(keys, key)
	}
	changed, _ := json.Marshal(keys)
	s.AWS.SetSecret("wechat/draftbox/platform", string(changed))
}

func TestAuthorizersAreRefreshedWhileTheOldComponentTokenLives(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issueAll()
	s.advanceTo(15 * time.Minute)
	s.WeChat.Fail(wechattest.PathComponentToken, wechattest.Refuse(45009).Always())
	s.checkRefresh(2, 1, 1)
	s.checkNewest(closed, open)
	s.checkEvents("Token Refresh Failed  45009")
}

// A failure that every authorizer would get is reported once and ends their refresh. Own accounts continue.
func TestPlatformFailuresAreReportedOnce(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(s *fixture)
		want    string
	}{
		{"whitelist", func(s *fixture) {
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61004).Always())
		}, "Token Refresh Failed  61004"},
		{"component token of another platform", func(s *fixture) {
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61011).Always())
		}, "Token Refresh Failed  61011"},
		{"platform's secret can't be read", func(s *fixture) {
			s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Deny().On("wechat/draftbox/platform").Sticky())
		}, "Token Refresh Failed  0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "secretsmanager")
			s.issue(own)
			for i := range 60 {
				appID := fmt.Sprintf("wx%016d", 100+i)
				s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
				s.issue(appID)
			}
			s.advanceTo(4 * time.Minute)
			s.issue(component)
			test.prepare(s)
			s.checkRefresh(1, 1, 1)
			s.checkEvents(test.want)
			if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n >= cautiousParallel+breakerThreshold {
				t.Errorf("%d authorizers were tried", n)
			}
			s.checkNewest(own)
		})
	}
}

func TestOneFailingAccountKeepsNoOtherFromBeingRefreshed(t *testing.T) {
	t.Parallel()
	const (
		broken  = "wx00000000aabroke1"
		refused = "wx00000000ccrefus1"
		denied  = "wx00000000bbdenie1"
		wrong   = "wx00000000ddwrong1"
	)
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.issueAll()
			for _, appID := range []string{refused, denied} {
				s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
				s.issue(appID)
			}
			s.WeChat.AddAccount(wechattest.Account{AppID: wrong, Secret: "0123456789abcdef0123456789abcdef"})
			s.issue(wrong, "appsecret", "former-app-secret-0000000000001")
			s.put(broken, `{"access_token": "cut sho`)
			s.advanceTo(4 * time.Minute)
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(40013).When(about(refused)).Always())
			name, _ := s.place(denied)
			s.AWS.Fail(s.putOp(), awstest.Deny().On(name).Sticky())
			got := s.checkRefresh(4, 0, 4)
			s.checkNewest(allOwners...)
			var failed []string
			for _, f := range got.Failures {
				failed = append(failed, fmt.Sprint(f.AppID, " ", f.Errcode))
			}
			want := []string{broken + " 0", denied + " 0", refused + " 40013", wrong + " 40125"}
			if diff := cmp.Diff(want, failed); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			if n := len(s.events()); n != 4 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// A failure that seems to concern the platform may be one account's own. Then only that one is reported, and the others
// continue.
func TestOneAccountDoesNotStandForThePlatform(t *testing.T) {
	t.Parallel()
	for _, errcode := range []int{40001, 61004, 61011, 40125} {
		t.Run(fmt.Sprint(errcode), func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "secretsmanager")
			accounts := s.issueMany(60)
			s.advanceTo(4 * time.Minute)
			s.issue(component)
			ill := accounts[7]
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(errcode).When(about(ill)).Always())
			got := s.checkRefresh(59, 1, 1)
			if len(got.Failures) == 1 && (got.Failures[0].AppID != ill || got.Failures[0].Errcode != errcode) {
				t.Errorf("failure %+v", got.Failures[0])
			}
			s.checkNewest(slices.DeleteFunc(accounts, func(a string) bool { return a == ill })...)
		})
	}
}

func TestOwnAccountIsForcedNearItsEnd(t *testing.T) {
	t.Parallel()
	forced := func(s *fixture) (n int) {
		for _, r := range s.WeChat.Requests(wechattest.PathStableToken) {
			if strings.Contains(r.Body, `"force_refresh":true`) {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		left             time.Duration
		refreshed, force int
	}{
		{20*time.Minute + 5*time.Second, 0, 0},
		{10*time.Minute + 5*time.Second, 0, 0},
		{10*time.Minute - time.Second, 1, 1},
		{6 * time.Minute, 1, 1},
		{4 * time.Minute, 1, 0}, // WeChat gives another one by itself
		{-time.Minute, 1, 0},
	} {
		t.Run(test.left.String(), func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
				s := newFixture(t)
				s.issue(own, "note", "somebody else's key")
				s.advanceTo(test.left)
				s.issue(component)
				writes := s.writes()
				s.checkRefresh(test.refreshed, 2-test.refreshed, 0)
				s.checkNewest(own)
				if n := forced(s); n != test.force {
					t.Errorf("%d forced refreshes", n)
				}
				if n := s.writes() - writes; n != test.refreshed {
					t.Errorf("%d writes", n)
				}
				if s.stored(own)["note"] != "somebody else's key" {
					t.Error("a key of somebody else was lost")
				}
			})
		})
	}
	t.Run("a stored expiry that is wrong", func(t *testing.T) {
		t.Parallel()
		s := newFixture(t, "secretsmanager")
		s.issue(component)
		s.issue(own, "expires_at", s.Clock.Now().Add(time.Minute).Format(time.RFC3339))
		s.checkRefresh(1, 1, 0)
		s.checkRefresh(0, 2, 0)
		s.checkNewest(own)
	})
}

func TestEmptyRefreshTokenNeverReplacesAStoredOne(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		for _, in := range []string{`"authorizer_refresh_token":"`, `"authorizer_refresh_token":null,"x":"`, `"nothing":"`} {
			s := newFixture(t)
			s.issue(component)
			s.issue(closed, "expires_at", s.Clock.Now().Format(time.RFC3339))
			before := s.stored(closed)["refresh_token"]
			s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Rewrite(func(body []byte) []byte {
				from := strings.Index(string(body), `"authorizer_refresh_token":"`)
				return []byte(string(body[:from]) + in + `"}`)
			}))
			s.checkRefresh(1, 1, 0)
			if after := s.stored(closed)["refresh_token"]; after != before || after == "" {
				t.Errorf("%s: the refresh token was replaced", in)
			}
		}
	})
}

func TestUnknownKeysAndUnixSecondsAreRead(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		a, _ := s.WeChat.Account(closed)
		s.put(closed, fmt.Sprintf(`{"access_token":"x","expires_at":%d,"refresh_token":%q,"owner":{"team":"<shop>"},"n":1.50}`,
			s.Clock.Now().Unix()+60, a.RefreshToken))
		s.checkRefresh(1, 1, 0)
		s.checkNewest(closed)
		if diff := cmp.Diff(map[string]any{"team": "<shop>"}, s.stored(closed)["owner"]); diff != "" || s.stored(closed)["n"] != 1.5 {
			t.Errorf("keys that are not the bundle's: %s", diff)
		}
	})
}

func TestUnauthorizedAccountsAreLeftAlone(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.recordAccount(closed, "status", "unauthorized", "status_at", 1)
		s.recordAccount(own, "status", "unauthorized", "status_at", 1)
		s.advanceTo(4 * time.Minute)
		_, version := s.text(closed)
		s.checkRefresh(3, 0, 0) // an own account has its app secret, whatever it authorises
		if _, now := s.text(closed); now != version {
			t.Error("an account that left was refreshed")
		}
		s.checkNewest(component, open, own)
	})
}

// A run stops before its deadline and reports its result; the next one continues.
func TestRefreshStopsInTime(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, way := range []string{"slow", "hanging"} {
			if way == "hanging" && store != stores[0] {
				continue // it concerns WeChat alone
			}
			t.Run(store+"/"+way, func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, store)
				accounts := s.issueMany(map[string]int{"slow": 220, "hanging": 2 * maxParallel}[way])
				s.advanceTo(4 * time.Minute)
				s.issue(component)
				fault := wechattest.Pass().Delayed(300 * time.Millisecond)
				if way == "hanging" {
					fault = wechattest.Hang()
				}
				s.WeChat.Fail(wechattest.PathAuthorizerToken, fault.Always())
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				got, err := s.run(ctx, s.tokens)
				if err != nil || ctx.Err() != nil {
					t.Fatalf("the run: %v, in time: %v", err, ctx.Err() == nil)
				}
				if way == "slow" && (got.Refreshed < maxParallel || got.Refreshed == len(accounts)) {
					t.Errorf("%d were refreshed, %d failed", got.Refreshed, got.Failed)
				}
				if way == "hanging" && (got.Refreshed > 0 || got.Failed != 1 || got.Failures[0].AppID != component) {
					t.Errorf("%d were refreshed, %d failed", got.Refreshed, got.Failed)
				}
				if n := len(s.events()); n != got.Failed {
					t.Errorf("%d failures, but %d events", got.Failed, n)
				}
				s.WeChat.Heal("")
				if next := s.refresh(); next.Refreshed+next.Fresh != 1+len(accounts) {
					t.Errorf("the next run: %+v", next)
				}
				s.checkNewest(accounts...) // also where the answer to a fetch came too late
			})
		}
	}
}

func TestListingThatFailsFailsTheRun(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.AWS.Fail(s.listOp(), awstest.Deny())
			if _, err := s.run(t.Context(), s.tokens); err == nil || !strings.Contains(err.Error(), s.listOp()) {
				t.Errorf("error %v", err)
			}
			s.checkNewest(component) // that one was refreshed all the same
		})
	}
}

// AWS throttles and fails. A fetched token is still stored.
func TestFailedWritesAreRepeated(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.issueAll()
			s.advanceTo(4 * time.Minute)
			for owner, fault := range map[string]awstest.Fault{closed: awstest.Throttle(), open: awstest.Drop(), own: awstest.DropAfter()} {
				name, _ := s.place(owner)
				s.AWS.Fail(s.putOp(), fault.On(name))
			}
			s.checkRefresh(4, 0, 0)
			s.checkNewest(allOwners...)
			if n := s.WeChat.Calls(wechattest.PathAuthorizerToken); n != 2 {
				t.Errorf("%d tokens were fetched for two accounts", n)
			}
		})
	}
}

// Without the state table there are no lease and no account items. Tokens are still refreshed.
func TestRefreshWithoutTheStateTable(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for name, prepare := range map[string]func(s *fixture){
			"missing": func(s *fixture) { s.Env["STATE_TABLE"] = "missing"; s.tokens = s.Start(wire) },
			"silent": func(s *fixture) {
				s.AWS.Fail("dynamodb:UpdateItem", awstest.Hang().On(leaseAt))
				s.AWS.Fail("dynamodb:BatchGetItem", awstest.Hang().Sticky())
			},
			"silent about waits": func(s *fixture) {
				s.AWS.Fail("dynamodb:GetItem", awstest.Hang().Sticky().On(functiontest.StateTable+"/wait/component"))
				s.AWS.Fail("dynamodb:BatchGetItem", awstest.Hang().Sticky())
				s.issue(component, "expires_at", "1")
			},
		} {
			t.Run(store+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, store)
				s.issueAll()
				accounts := s.issueMany(pageSize)
				s.advanceTo(4 * time.Minute)
				prepare(s)
				s.checkRefresh(4+len(accounts), 0, 0)
				s.checkNewest(allOwners...)
				s.checkNewest(accounts...)
				for _, call := range s.AWS.Recorded() {
					if call.Operation == "dynamodb:UpdateItem" && strings.HasPrefix(call.Resource, functiontest.StateTable+"/wait/") {
						t.Errorf("%s was noted after DynamoDB had been silent", call.Resource)
					}
				}
				if n := s.AWS.Calls("dynamodb:BatchGetItem"); n != 1 {
					t.Errorf("accounts were asked for %d times", n)
				}
			})
		}
	}
}

// An account with a token and without an item gets one. Kinds are learnt, a few in each run.
func TestRefreshRecordsAccounts(t *testing.T) {
	t.Parallel()
	const game, bare, other = "wx00000000000game1", "wx000000000000bare", "no-appid"
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.issue(component)
			s.issue(own)
			accounts := s.issueMany(platform.PerRun + 5)
			s.WeChat.AddAccount(wechattest.Account{AppID: game, Name: "Game", RefreshToken: "refreshtoken@@@game", Authorized: true, MiniProgram: true})
			s.issue(game)
			for _, appID := range append(accounts, own, game) {
				s.AWS.DeleteItem(functiontest.StateTable, "account", appID)
			}
			s.recordAccount(accounts[0], "kind", nil, "draft_switch", "open")
			s.put(bare, "a-bare-token")
			s.put(other, "a-bare-token")
			const fresh = 2 + platform.PerRun + 5 + 3
			for run, want := range []int{platform.PerRun, 6, 0} {
				infos, writes := s.WeChat.Calls(wechattest.PathAuthorizerInfo), s.writes()
				s.checkRefresh(0, fresh, 0)
				if n := s.WeChat.Calls(wechattest.PathAuthorizerInfo) - infos; n != want {
					t.Errorf("run %d: %d kinds were asked for, want %d", run, n, want)
				}
				if n := s.writes() - writes; want == 0 && n > 0 {
					t.Errorf("run %d: %d writes", run, n)
				}
				for _, appID := range append(accounts, own, game, bare) {
					if s.Account(appID)["status"] != "authorized" {
						t.Errorf("run %d: item of %s: %v", run, appID, s.Account(appID))
					}
				}
			}
			for appID, want := range map[string]map[string]any{
				game:        {"appid": game, "kind": "mini-program", "name": "Game", "status": "authorized", "draft_switch": "unknown"},
				own:         {"appid": own, "kind": "official-account", "status": "authorized", "draft_switch": "unknown"},
				accounts[0]: {"appid": accounts[0], "kind": "official-account", "status": "authorized", "draft_switch": "open"},
				bare:        {"appid": bare, "status": "authorized", "draft_switch": "unknown"},
				other:       nil,
			} {
				if diff := cmp.Diff(want, s.Account(appID), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("item of %s (-want +got):\n%s", appID, diff)
				}
			}
		})
	}
}
