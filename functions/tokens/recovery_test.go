package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/wechattest"
)

func TestRefreshTokensAreTakenFromTheList(t *testing.T) {
	t.Parallel()
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		s := newScene(t)
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
		s.refreshes(1+len(foreign)+len(missing), 0, 0)
		s.alive(foreign...)
		s.alive(missing...)
		if n := s.WeChat.Calls(wechattest.PathAuthorizerList); n != 2 {
			t.Errorf("the list of two pages was asked for %d times", n)
		}
		if n, want := s.WeChat.Calls(wechattest.PathAuthorizerToken), 2*len(foreign)+len(missing); n != want {
			t.Errorf("%d refreshes, want %d", n, want)
		}
		s.wantsEvents()
		s.refreshes(0, 1+len(foreign)+len(missing), 0)
	})
}

func TestAccountsThatHaveToAuthoriseAgain(t *testing.T) {
	t.Parallel()
	const nobodys, gone = "wx00000000nobodys", "wx000000000000gone"
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		s := newScene(t)
		s.WeChat.AddAccount(wechattest.Account{AppID: nobodys, Authorized: true}) // its code was never exchanged
		s.recordAccount(nobodys)
		s.put(nobodys, `{"access_token":"x","expires_at":1,"refresh_token":"somebody-elses"}`)
		s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61023).When(about(closed)).Always())
		s.give(component)
		s.give(closed, "expires_at", "1")
		s.give(open, "expires_at", "1")
		writes := s.writes()
		for range 2 {
			got := s.refreshes(1, 1, 2)
			for _, f := range got.Failures {
				if !strings.Contains(f.Action, "authorise the platform again") {
					t.Errorf("failure %+v", f)
				}
			}
			s.wantsEvents("Token Refresh Failed "+closed+" 61023", "Token Refresh Failed "+nobodys+" 0")
			s.nearEnd(time.Minute)
			s.give(component)
		}
		if n := s.writes() - writes; n != 2 {
			t.Errorf("%d writes, want one a run, for the account that is well", n)
		}
	})
}

func TestListThatFailsIsReadOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t, "secretsmanager")
	s.give(component)
	s.give(own)
	for i := range 40 {
		s.put(fmt.Sprintf("wx%016d", 100+i), `{"access_token":"x","expires_at":1}`)
	}
	s.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(45009).Always())
	s.refreshes(0, 2, 40)
	if n := s.WeChat.Calls(wechattest.PathAuthorizerList); n != 1 {
		t.Errorf("the list was asked for %d times", n)
	}
}

func TestAuthorisationThatEnded(t *testing.T) {
	t.Parallel()
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		s := newScene(t)
		s.giveAll()
		s.nearEnd(15 * time.Minute)
		s.WeChat.PushTo("http://192.0.2.1/") // nobody hears of it
		a, _ := s.WeChat.Account(closed)
		a.Authorized, a.RefreshToken = false, ""
		s.WeChat.AddAccount(a)

		got := s.refreshes(2, 1, 1)
		if f := got.Failures[0]; f.AppID != closed || f.Errcode != 61003 {
			t.Errorf("failure %+v", f)
		}
		events := s.wantsEvents("Account Unauthorized "+closed+" 0", "Token Refresh Failed "+closed+" 61003")
		if events[0].ID == "" {
			t.Error("the event has no id")
		}
		account := s.Account(closed)
		if account["status"] != "unauthorized" || account["status_at"] != nil {
			t.Errorf("the account's item is %v", account)
		}
		calls := s.WeChat.Calls(wechattest.PathAuthorizerToken)
		s.refreshes(0, 3, 0)
		s.wantsEvents()
		if n := s.WeChat.Calls(wechattest.PathAuthorizerToken) - calls; n > 0 {
			t.Errorf("%d more calls", n)
		}
	})
}

// The account authorised again while the refusal was on its way.
func TestAuthorisationThatCameAfterTheRefusal(t *testing.T) {
	t.Parallel()
	s := newScene(t, "secretsmanager")
	s.give(component)
	s.give(closed, "expires_at", "1")
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(61003))
	s.AWS.Fail("dynamodb:GetItem", awstest.Before(func() { s.recordAccount(closed, "status_at", s.now()+10) }).On(accountAt(closed)))
	s.refreshes(0, 1, 1)
	s.wantsEvents("Token Refresh Failed " + closed + " 61003")
	if got := s.Account(closed)["status"]; got != "authorized" {
		t.Errorf("status %v", got)
	}
	s.refreshes(1, 1, 0)
	s.alive(closed)
}

func TestTokenRejectedRenews(t *testing.T) {
	t.Parallel()
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		s := newScene(t)
		s.giveAll()
		s.Clock.Forward(11 * time.Minute)
		s.ticket()
		for _, holder := range everybody {
			s.WeChat.KickToken(holder) // somebody else fetched it
			event := s.rejected(holder)
			s.invoke(event)
			s.alive(holder)
			_, version := s.text(holder)
			s.invoke(event) // EventBridge delivers at least once
			if _, now := s.text(holder); now != version {
				t.Errorf("the token of %q was renewed although it had been replaced", holder)
			}
		}
		s.wantsEvents()
	})
}

func TestTokenRejectedForcesAnOwnAccount(t *testing.T) {
	t.Parallel()
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		s := newScene(t)
		s.give(own)
		s.Clock.Forward(11 * time.Minute)
		before := s.stored(own)["access_token"]
		s.invoke(s.rejected(own)) // WeChat refuses it and gives it all the same
		s.alive(own)
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
	inEachStore(t, func(t *testing.T, newScene func(*testing.T) *scene) {
		for name, age := range map[string]func(s *scene, holder string){
			"by its end and its version": func(s *scene, holder string) { s.give(holder); s.Clock.Forward(9 * time.Minute) },
			"by its end": func(s *scene, holder string) {
				s.give(holder, "expires_at", s.Clock.Now().Add(125*time.Minute).Format(time.RFC3339))
				s.Clock.Forward(11 * time.Minute)
			},
			"by its version": func(s *scene, holder string) {
				s.give(holder, "expires_at", s.Clock.Now().Add(30*time.Minute).Format(time.RFC3339))
				s.Clock.Forward(9 * time.Minute)
			},
			"without an end": func(s *scene, holder string) { s.give(holder, "expires_at", ""); s.Clock.Forward(9 * time.Minute) },
		} {
			for _, holder := range everybody {
				s := newScene(t)
				age(s, holder)
				_, version := s.text(holder)
				calls := s.WeChat.Calls("")
				s.invoke(s.rejected(holder))
				events := s.wantsEvents("Token Refresh Failed " + holder + " 40001")
				if len(events) == 1 && !strings.Contains(events[0].Action, "somebody else seems to fetch this token") {
					t.Errorf("%s: action %q", name, events[0].Action)
				}
				if _, now := s.text(holder); now != version || s.WeChat.Calls("") != calls {
					t.Errorf("%s: the token of %q was fetched", name, holder)
				}
			}
		}
	})
}

// A token that ended by itself was superseded by nobody, however young the version is.
func TestTokenRejectedAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t, "secretsmanager")
	for _, holder := range everybody {
		s.give(holder, "expires_at", s.Clock.Now().Add(-time.Second).Format(time.RFC3339))
	}
	s.WeChat.ExpireTokens()
	for _, holder := range everybody {
		s.invoke(s.rejected(holder))
	}
	s.alive(everybody...)
	s.wantsEvents()
}

func TestTokenRejectedThatNothingIsDoneAbout(t *testing.T) {
	t.Parallel()
	s := newScene(t, "secretsmanager")
	s.give(component)
	s.give(closed)
	s.recordAccount(closed, "status", "unauthorized")
	s.Clock.Forward(time.Hour)
	writes := s.writes()
	s.invoke(s.rejected(closed))                    // it left
	s.invoke(rejection("wx0000000000000009", "v1")) // nothing is stored for it
	s.invoke(rejection(open, ""))
	if s.WeChat.Calls("") > 0 || s.writes() > writes {
		t.Errorf("%d calls of WeChat, %d writes", s.WeChat.Calls(""), s.writes()-writes)
	}
	s.wantsEvents()
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
	s := newScene(t, "secretsmanager")
	s.give(component)
	s.give(closed)
	s.Clock.Forward(time.Hour)
	s.WeChat.Fail(wechattest.PathAuthorizerToken, wechattest.Refuse(48001))
	s.invoke(s.rejected(closed))
	s.wantsEvents("Token Refresh Failed " + closed + " 48001")
	s.invoke(s.rejected(closed))
	s.alive(closed)
}
