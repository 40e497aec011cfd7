package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

func TestRefreshTokensAreTakenFromTheList(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		var foreign, missing []string
		for i := range 501 { // two pages
			appID := fmt.Sprintf("wx%016d", 100+i)
			s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
			switch {
			case i%100 == 0:
				s.put(appID, `{"access_token":"x","expires_at":1,"refresh_token":"somebody-elses"}`)
				foreign = append(foreign, appID)
			case i%100 == 50 || i == 499:
				s.put(appID, `{"access_token":"x","expires_at":1}`)
				missing = append(missing, appID)
			}
		}
		s.checkRefresh(1+len(foreign)+len(missing), 0, 0)
		s.checkNewest(foreign...)
		s.checkNewest(missing...)
		if n := s.WeChat.Calls(wechattest.PathAuthorizerList); n != 2 {
			t.Errorf("the list of two pages was asked for %d times", n)
		}
		if n, want := s.WeChat.Calls(wechattest.PathAuthorizerToken), 2*len(foreign)+len(missing); n != want {
			t.Errorf("%d refreshes, want %d", n, want)
		}
		s.checkEvents()
		s.checkRefresh(0, 1+len(foreign)+len(missing), 0)
	})
}

// fetches is how often WeChat was asked for an authorizer's token.
func (s *fixture) fetches(appID string) (n int) {
	for _, r := range s.WeChat.Requests(wechattest.PathAuthorizerToken) {
		if about(appID)(r) {
			n++
		}
	}
	return n
}

func TestAccountsThatHaveToAuthoriseAgain(t *testing.T) {
	t.Parallel()
	const nobodys = "wx00000000nobodys"
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.WeChat.AddAccount(wechattest.Account{AppID: nobodys, Authorized: true}) // its code was never exchanged
		s.recordAccount(nobodys)
		s.put(nobodys, `{"access_token":"x","expires_at":1,"refresh_token":"somebody-elses"}`)
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61023).When(about(closed)).Always())
		s.issue(component)
		s.issue(closed, "expires_at", "1")
		s.issue(open, "expires_at", "1")
		s.checkRefresh(1, 1, 2)
		s.checkEvents("Token Refresh Failed "+closed+" 61023", "Token Refresh Failed "+nobodys+" 61023")
		for range 11 { // every ten minutes
			s.Clock.Forward(10 * time.Minute)
			s.ticket()
			got := s.refresh()
			if len(got.Failures) != 2 {
				t.Fatalf("failures %+v", got.Failures)
			}
			for _, f := range got.Failures {
				if f.Errcode != 61023 || !strings.Contains(f.Action, "authorise the platform again") {
					t.Errorf("failure %+v", f)
				}
			}
		}
		s.checkEvents()
		if s.fetches(closed) != 1 || s.fetches(nobodys) != 1 || s.WeChat.Calls(wechattest.PathAuthorizerList) != 1 {
			t.Errorf("in 12 runs %d and %d fetches, %d lists", s.fetches(closed), s.fetches(nobodys), s.WeChat.Calls(wechattest.PathAuthorizerList))
		}
		// It is retried once a day, and not published again.
		s.Clock.Forward(20 * time.Hour)
		s.ticket()
		s.refresh()
		if s.fetches(closed) != 1 {
			t.Errorf("22 hours later %d fetches", s.fetches(closed))
		}
		s.Clock.Forward(3 * time.Hour)
		s.ticket()
		s.refresh()
		s.checkEvents()
		if s.fetches(closed) != 2 || s.fetches(nobodys) != 2 {
			t.Errorf("a day later %d and %d fetches", s.fetches(closed), s.fetches(nobodys))
		}
		// Its next authorization resolves it.
		s.WeChat.Heal("")
		s.authorize(authorization(closed, s.WeChat.NewCode(closed), s.now()))
		s.checkNewest(closed)
		s.checkEvents("Account Authorized " + closed + " 0")
		if got := s.refresh(); len(got.Failures) != 1 || got.Failures[0].AppID != nobodys {
			t.Errorf("failures %+v", got.Failures)
		}
	})
}

func TestListThatFailsIsReadOnce(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.issue(own)
	for i := range 40 {
		s.put(fmt.Sprintf("wx%016d", 100+i), `{"access_token":"x","expires_at":1}`)
	}
	s.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(45009).Always())
	s.checkRefresh(0, 2, 40)
	if n := s.WeChat.Calls(wechattest.PathAuthorizerList); n != 1 {
		t.Errorf("the list was asked for %d times", n)
	}
}

func TestAuthorisationThatEnded(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.advanceTo(15 * time.Minute)
		s.WeChat.PushTo("http://192.0.2.1/") // nobody hears of it
		a, _ := s.WeChat.Account(closed)
		a.Authorized, a.RefreshToken = false, ""
		s.WeChat.AddAccount(a)

		got := s.checkRefresh(2, 1, 1)
		if f := got.Failures[0]; f.AppID != closed || f.Errcode != 61003 {
			t.Errorf("failure %+v", f)
		}
		events := s.checkEvents("Account Unauthorized "+closed+" 0", "Token Refresh Failed "+closed+" 61003")
		if events[0].ID == "" {
			t.Error("the event has no id")
		}
		account := s.Account(closed)
		if account["status"] != "unauthorized" || account["status_at"] != nil {
			t.Errorf("the account's item is %v", account)
		}
		calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
		s.checkRefresh(0, 3, 0)
		s.checkEvents()
		if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n > 0 {
			t.Errorf("%d more calls", n)
		}
	})
}

// The account authorized again while the refusal was being handled.
func TestAuthorisationThatCameAfterTheRefusal(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.issue(closed, "expires_at", "1")
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61003))
	s.WeChat.Fail(wechattest.PathAuthorizerInfo, wechattest.Refuse(61003))
	s.AWS.Fail("dynamodb:GetItem", awstest.Before(func() { s.recordAccount(closed, "status_at", s.now()+10) }).On(accountAt(closed)))
	s.checkRefresh(0, 1, 1)
	s.checkEvents("Token Refresh Failed " + closed + " 61003")
	if got := s.Account(closed)["status"]; got != "authorized" {
		t.Errorf("status %v", got)
	}
	s.Clock.Forward(time.Minute)
	s.checkRefresh(1, 1, 0)
	s.checkNewest(closed)
}

// A single unconfirmed refusal doesn't mark an account as unauthorized.
func TestSingleRefusalEndsNoAuthorization(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(component)
		s.issue(closed, "expires_at", "1")
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61003))
		s.checkRefresh(0, 1, 1)
		s.checkEvents("Token Refresh Failed " + closed + " 61003")
		if n := s.WeChat.Calls(wechattest.PathAuthorizerInfo); n != 1 || s.Account(closed)["status"] != "authorized" {
			t.Errorf("asked %d times, item %v", n, s.Account(closed))
		}
		s.Clock.Forward(time.Minute)
		s.checkRefresh(1, 1, 0)
		s.checkNewest(closed)
	})
}

func TestTokenRejectedRenews(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issueAll()
		s.Clock.Forward(11 * time.Minute)
		s.ticket()
		for _, owner := range allOwners {
			s.WeChat.KickToken(owner) // somebody else fetched it
			event := s.rejected(owner)
			s.invoke(event)
			s.checkNewest(owner)
			_, version := s.text(owner)
			s.invoke(event) // EventBridge delivers at least once
			if _, now := s.text(owner); now != version {
				t.Errorf("the token of %q was renewed although it had been replaced", owner)
			}
		}
		s.checkEvents()
	})
}

func TestTokenRejectedForcesAnOwnAccount(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.issue(own)
		s.Clock.Forward(11 * time.Minute)
		before := s.stored(own)["access_token"]
		s.invoke(s.rejected(own)) // WeChat refuses it and gives it all the same
		s.checkNewest(own)
		if s.stored(own)["access_token"] == before {
			t.Error("the rejected token was stored again")
		}
		if n := s.WeChat.Calls(wechattest.PathStableToken); n != 2 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestTokenRejectedWhileYoung(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		for name, age := range map[string]func(s *fixture, owner string){
			"by its end and its version": func(s *fixture, owner string) { s.issue(owner); s.Clock.Forward(9 * time.Minute) },
			"by its end": func(s *fixture, owner string) {
				s.issue(owner, "expires_at", s.Clock.Now().Add(125*time.Minute).Format(time.RFC3339))
				s.Clock.Forward(11 * time.Minute)
			},
			"by its version": func(s *fixture, owner string) {
				s.issue(owner, "expires_at", s.Clock.Now().Add(30*time.Minute).Format(time.RFC3339))
				s.Clock.Forward(9 * time.Minute)
			},
			"without an end": func(s *fixture, owner string) { s.issue(owner, "expires_at", ""); s.Clock.Forward(9 * time.Minute) },
		} {
			for _, owner := range allOwners {
				s := newFixture(t)
				age(s, owner)
				_, version := s.text(owner)
				calls := s.WeChat.Calls("")
				s.invoke(s.rejected(owner))
				events := s.checkEvents("Token Refresh Failed " + owner + " 40001")
				if len(events) == 1 && !strings.Contains(events[0].Action, "somebody else seems to fetch this token") {
					t.Errorf("%s: action %q", name, events[0].Action)
				}
				if _, now := s.text(owner); now != version || s.WeChat.Calls("") != calls {
					t.Errorf("%s: the token of %q was fetched", name, owner)
				}
			}
		}
	})
}

// An expired token needs no competing refresher to explain it, however recent its version.
func TestTokenRejectedAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	for _, owner := range allOwners {
		s.issue(owner, "expires_at", s.Clock.Now().Add(-time.Second).Format(time.RFC3339))
	}
	s.WeChat.ExpireTokens()
	for _, owner := range allOwners {
		s.invoke(s.rejected(owner))
	}
	s.checkNewest(allOwners...)
	s.checkEvents()
}

func TestTokenRejectedThatNothingIsDoneAbout(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.issue(closed)
	s.recordAccount(closed, "status", "unauthorized")
	s.Clock.Forward(time.Hour)
	writes := s.writes()
	s.invoke(s.rejected(closed))                    // it left
	s.invoke(rejection("wx0000000000000009", "v1")) // nothing is stored for it
	s.invoke(rejection(open, ""))
	if s.WeChat.Calls("") > 0 || s.writes() > writes {
		t.Errorf("%d calls of WeChat, %d writes", s.WeChat.Calls(""), s.writes()-writes)
	}
	s.checkEvents()
	for _, bad := range []string{`{"detail-type":"Token Rejected","detail":[]}`, `{"detail-type":"Token Rejected"}`} {
		if _, err := s.tokens.Invoke(t.Context(), rawJSON(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Deny())
	if _, err := s.tokens.Invoke(t.Context(), s.rejected(component)); err == nil {
		t.Error("a rejection was dropped that could not be looked into")
	}
}

func TestTokenRejectedThatCannotBeMended(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.issue(closed)
	s.Clock.Forward(time.Hour)
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001))
	s.invoke(s.rejected(closed))
	s.checkEvents("Token Refresh Failed " + closed + " 48001")
	calls := s.WeChat.Calls("")
	s.invoke(s.rejected(closed)) // within a minute
	if n := s.WeChat.Calls("") - calls; n > 0 {
		t.Errorf("%d more calls", n)
	}
	s.checkEvents()
	s.Clock.Forward(time.Minute)
	s.invoke(s.rejected(closed))
	s.checkNewest(closed)
}
