package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// newcomer is an account without an item.
const newcomer = "wx00000000newcomer"

// authorize passes messages to the function as a queue would, and returns the ids of those to be received again.
func (s *fixture) authorize(bodies ...string) (again []string) {
	s.t.Helper()
	raw, err := s.tokens.Invoke(s.t.Context(), batch(bodies...))
	if err != nil {
		s.t.Fatal(err)
	}
	var answer struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(raw, &answer); err != nil || !strings.Contains(string(raw), `"batchItemFailures":[`) {
		s.t.Fatalf("answer %s", raw)
	}
	for _, f := range answer.BatchItemFailures {
		again = append(again, f.ItemIdentifier)
	}
	return again
}

// receive puts a message into a queue and takes it out, as Lambda does, and returns its receipt handle.
func (s *fixture) receive(url, body string) string {
	s.t.Helper()
	server := httptest.NewServer(s.AWS)
	defer server.Close()
	client := sqs.NewFromConfig(s.AWS.Config(server.URL))
	if _, err := client.SendMessage(s.t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
		s.t.Fatal(err)
	}
	received, err := client.ReceiveMessage(s.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	if err != nil || len(received.Messages) != 1 {
		s.t.Fatalf("received %v (%v)", received, err)
	}
	return *received.Messages[0].ReceiptHandle
}

// now is the create_time of a push that comes now.
func (s *fixture) now() int64 { return s.Clock.Now().Unix() }

func TestAuthorization(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		// It is published once the tokens are stored, and the account's item says so.
		s.AWS.OnEvent(func(awstest.Event) {
			if text, _ := s.text(newcomer); text == "" || s.Account(newcomer)["status"] != "authorized" {
				t.Error("the event came first")
			}
		})
		at := s.now()
		if again := s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), at)); again != nil {
			t.Errorf("again: %v", again)
		}
		s.checkNewest(newcomer)
		want := map[string]any{"appid": newcomer, "kind": "official-account", "name": newcomer, "status": "authorized",
			"status_at": json.Number(fmt.Sprint(at)), "draft_switch": "unknown"}
		if diff := cmp.Diff(want, s.Account(newcomer)); diff != "" {
			t.Errorf("item (-want +got):\n%s", diff)
		}
		s.checkEvents("Account Authorized " + newcomer + " 0")
		s.checkRefresh(0, 2, 0)

		s.Clock.Forward(time.Minute) // updateauthorized: over what is there
		s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), s.now()))
		s.checkNewest(newcomer)
		s.checkEvents("Account Authorized " + newcomer + " 0")
	})
}

// The code may expire before the next refresh-tokens.
func TestAuthorizationFetchesTheComponentToken(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		if again := s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), s.now())); again != nil {
			t.Errorf("again: %v", again)
		}
		s.checkNewest(component, newcomer)
		s.checkEvents("Account Authorized " + newcomer + " 0")
	})
}

func TestAuthorizationAfterItEnded(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		a, _ := s.WeChat.Account(closed)
		a.Authorized, a.RefreshToken = false, ""
		s.WeChat.AddAccount(a)
		s.recordAccount(closed, "status", "unauthorized", "status_at", s.now(), "draft_switch", "open", "errcode", 61003, "team", "shop")
		s.Clock.Forward(time.Minute)
		s.authorize(authorization(closed, s.WeChat.NewCode(closed), s.now()))
		s.checkNewest(closed)
		if r := s.Account(closed); r["status"] != "authorized" || r["draft_switch"] != "open" || r["team"] != "shop" {
			t.Errorf("item %v", r)
		}
		s.advanceTo(15 * time.Minute)
		s.checkRefresh(3, 1, 0)
		s.checkNewest(closed)
	})
}

// A malformed record is replaced.
func TestAuthorizationOverMalformedTokens(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		s.put(closed, `{"access_token": "cut sho`)
		s.authorize(authorization(closed, s.WeChat.NewCode(closed), s.now()))
		s.checkNewest(closed)
	})
}

func TestCodeThatWasUsedAlready(t *testing.T) {
	t.Parallel()
	for _, errcode := range []int{61009, 61010, 42003} {
		t.Run(fmt.Sprint(errcode), func(t *testing.T) {
			t.Parallel()
			forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
				s := newFixture(t)
				s.issue(component)
				s.WeChat.Fail(wechattest.PathQueryAuth, wechattest.Refuse(errcode).Always())

				// Stored tokens that are younger than the push are this authorisation's.
				at := s.now() - 5
				s.issue(closed)
				_, version := s.text(closed)
				if again := s.authorize(authorization(closed, "queryauthcode@@@used", at)); again != nil {
					t.Errorf("again: %v", again)
				}
				if _, now := s.text(closed); now != version {
					t.Error("younger tokens were replaced")
				}
				s.checkEvents("Account Authorized " + closed + " 0")

				// Older ones are not.
				s.issue(open, "refresh_token", "a-former-authorisations")
				s.Clock.Forward(time.Minute)
				calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
				s.authorize(authorization(open, "queryauthcode@@@used", s.now()))
				s.checkNewest(open)
				if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n != 1 {
					t.Errorf("%d refreshes", n)
				}
				s.checkEvents("Account Authorized " + open + " 0")

				// None are there.
				a := wechattest.Account{AppID: newcomer, RefreshToken: "refreshtoken@@@newcomers", Authorized: true}
				s.WeChat.AddAccount(a)
				s.authorize(authorization(newcomer, "queryauthcode@@@used", s.now()))
				s.checkNewest(newcomer)
				s.checkEvents("Account Authorized " + newcomer + " 0")

				// And WeChat's list has none.
				const nobodys = "wx00000000nobodys1"
				s.WeChat.AddAccount(wechattest.Account{AppID: nobodys, Authorized: true})
				if again := s.authorize(authorization(nobodys, "queryauthcode@@@used", s.now())); again != nil {
					t.Errorf("again: %v", again)
				}
				events := s.checkEvents("Token Refresh Failed " + nobodys + " 0")
				if len(events) == 1 && !strings.Contains(events[0].Action, "authorise the platform again") {
					t.Errorf("action %q", events[0].Action)
				}
				if text, _ := s.text(nobodys); text != "" || s.Account(nobodys) != nil {
					t.Error("something was stored for an account without tokens")
				}
			})
		})
	}
}

func TestAuthorizationThatIsOutdated(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.recordAccount(newcomer, "status", "unauthorized", "status_at", s.now())
	before := s.Account(newcomer)
	if again := s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), s.now()-1)); again != nil {
		t.Errorf("again: %v", again)
	}
	if text, _ := s.text(newcomer); text != "" || !cmp.Equal(before, s.Account(newcomer)) || s.WeChat.Calls("") > 0 {
		t.Error("an outdated push was acted on")
	}
	s.checkEvents()
}

// The account was unauthorized while its code was exchanged.
func TestAuthorizationThatIsOverBeforeItIsStored(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.AWS.Fail("secretsmanager:CreateSecret", awstest.Before(func() {
		s.recordAccount(newcomer, "status", "unauthorized", "status_at", s.now()+1)
	}))
	s.authorize(authorization(newcomer, s.WeChat.NewCode(newcomer), s.now()))
	if got := s.Account(newcomer)["status"]; got != "unauthorized" {
		t.Errorf("status %v", got)
	}
	s.checkEvents()
}

func TestCodeOfAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	if again := s.authorize(authorization(newcomer, s.WeChat.NewCode(closed), s.now())); again != nil {
		t.Errorf("again: %v", again)
	}
	s.checkEvents("Token Refresh Failed " + newcomer + " 0")
	if text, _ := s.text(newcomer); text != "" || s.Account(newcomer) != nil {
		t.Error("another account's tokens were stored")
	}
}

func TestAuthorizationsWorthARepeat(t *testing.T) {
	t.Parallel()
	refuse := func(errcode int) func(*fixture) {
		return func(s *fixture) { s.WeChat.Fail(wechattest.PathQueryAuth, wechattest.Refuse(errcode).Always()) }
	}
	for _, test := range []struct {
		name    string
		prepare func(s *fixture)
		after   time.Duration // 0: not again
	}{
		{"no component token yet", func(s *fixture) {
			s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Refuse("ResourceNotFoundException", 400).On("wechat/draftbox/component-token").Sticky())
		}, 30 * time.Second},
		{"component token expired", func(s *fixture) { s.WeChat.ExpireTokens() }, 30 * time.Second},
		{"busy", refuse(-1), 30 * time.Second},
		{"not in the whitelist", refuse(61004), 30 * time.Second},
		{"quota of the minute", refuse(45011), time.Minute},
		{"quota of the day", refuse(45009), 30 * time.Second},
		{"cut off", func(s *fixture) { s.WeChat.Fail("", wechattest.Reset().Always()) }, 30 * time.Second},
		{"no JSON", func(s *fixture) { s.WeChat.Fail("", wechattest.Raw("<html>").Always()) }, 30 * time.Second},
		{"AWS denies the write", func(s *fixture) { s.AWS.Fail("secretsmanager:CreateSecret", awstest.Deny().Sticky()) }, 30 * time.Second},
		{"the account can't be read", func(s *fixture) { s.AWS.Fail("dynamodb:GetItem", awstest.Deny().Sticky().On(accountAt(newcomer))) }, 30 * time.Second},
		{"the account can't be written", func(s *fixture) { s.AWS.Fail("dynamodb:UpdateItem", awstest.Deny().Sticky().On(accountAt(newcomer))) }, 30 * time.Second},
		{"AWS takes no event", func(s *fixture) { s.AWS.Fail("events:PutEvents", awstest.Deny().Sticky()) }, 30 * time.Second},
		{"platform's secret is malformed", func(s *fixture) { s.platform("component_appid", "") }, 30 * time.Second},
		{"the account did not grant it", refuse(48001), 0},
		{"its authorisation ended", refuse(61003), 0},
		{"a mistake of ours", refuse(61020), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, "secretsmanager")
			url := s.AWS.CreateQueue("authorizations", awstest.VisibilityTimeout(30*time.Minute))
			s.Env["AUTHORIZATION_QUEUE_URL"] = url
			s.tokens = s.Start(wire)
			s.issue(component)
			body := authorization(newcomer, s.WeChat.NewCode(newcomer), s.now())
			test.prepare(s)
			receipt := s.receive(url, body)
			good := map[string]string{"eventSource": "aws:sqs", "messageId": "good", "body": authorization(own, "x", 1)}
			s.recordAccount(own, "status", "unauthorized", "status_at", 9)
			raw, err := s.tokens.Invoke(t.Context(), map[string]any{"Records": []any{
				map[string]string{"eventSource": "aws:sqs", "messageId": "m", "receiptHandle": receipt, "body": body}, good}})
			if err != nil {
				t.Fatal(err)
			}
			want := `{"batchItemFailures":[{"itemIdentifier":"m"}]}`
			if test.after == 0 {
				want = `{"batchItemFailures":[]}`
			}
			if string(raw) != want {
				t.Errorf("answer %s, want %s", raw, want)
			}
			if test.after == 0 {
				return
			}
			visible := s.AWS.Messages(url)[0].Visible.Sub(s.Clock.Now())
			if visible > test.after || visible < test.after-10*time.Second {
				t.Errorf("it comes again in %v, want %v", visible, test.after)
			}
			s.checkToldOnce(test.name != "AWS takes no event")
			s.authorize(body)
			s.checkToldOnce(false)
			// Then it works.
			s.AWS.Heal("")
			s.WeChat.Heal("")
			s.StorePlatform()
			s.issue(component)
			s.tokens = s.Start(wire)
			if again := s.authorize(body); again != nil {
				t.Errorf("again: %v", again)
			}
			s.checkNewest(newcomer)
			if events := s.AWS.Events(); events[len(events)-1].DetailType != "Account Authorized" {
				t.Errorf("events %v", events)
			}
		})
	}
}

// checkToldOnce checks whether the failure of the newcomer's authorization was published once.
func (s *fixture) checkToldOnce(want bool) {
	s.t.Helper()
	n := 0
	for _, e := range s.events() {
		if e.Kind == "Token Refresh Failed" && e.AppID == newcomer {
			n++
		}
	}
	if n > 1 || want != (n == 1) {
		s.t.Errorf("the failure was published %d times, want it: %v", n, want)
	}
}

func TestMessagesThatAreNoAuthorizations(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	code := s.WeChat.NewCode(newcomer)
	for _, bad := range []string{"", "[]", `{"task":"authorize"}`, authorization("wx1", code, 1),
		strings.Replace(authorization(newcomer, code, 1), "authorize", "check-switch", 1), authorization(newcomer, code, 1)[1:]} {
		if again := s.authorize(bad); again != nil {
			t.Errorf("%q comes again", bad)
		}
	}
	if s.WeChat.Calls("") > 0 {
		t.Error("WeChat was called")
	}
	s.checkEvents()
}
