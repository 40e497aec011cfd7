package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// checkImport runs import-accounts and compares its result.
func (s *fixture) checkImport(accounts, added, updated, failed int) {
	s.t.Helper()
	raw, err := s.tokens.Invoke(s.t.Context(), map[string]string{"task": "import-accounts"})
	want := fmt.Sprintf(`{"task":"import-accounts","accounts":%d,"added":%d,"updated":%d,"failed":%d}`, accounts, added, updated, failed)
	if err != nil || string(raw) != want {
		s.t.Errorf("import-accounts: %s (%v), want %s", raw, err, want)
	}
}

func TestImportSetsUpWhatIsMissing(t *testing.T) {
	t.Parallel()
	const game, unexchanged = "wx00000000000game1", "wx00000unexchanged"
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.alone("")
		s.issue(component)
		s.WeChat.AddAccount(wechattest.Account{AppID: game, Name: "Game", RefreshToken: "refreshtoken@@@game", Authorized: true, MiniProgram: true})
		s.WeChat.AddAccount(wechattest.Account{AppID: unexchanged, Authorized: true})
		var accounts []string
		for i := range 20 {
			appID := fmt.Sprintf("wx%016d", 100+i)
			s.WeChat.AddAccount(wechattest.Account{AppID: appID, Name: "Account", RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
			accounts = append(accounts, appID)
		}
		s.put(accounts[0], `{"access_token":"a token server's","expires_at":1,"note":"stays"}`) // no refresh token
		s.issue(accounts[1])
		s.AWS.DeleteItem(functiontest.StateTable, "account", accounts[1]) // no item
		s.issue(accounts[2])
		s.recordAccount(accounts[2], "status", "unauthorized", "status_at", 5)

		s.checkImport(22, 18, 3, 1)
		s.checkEvents("Account Authorized " + accounts[2] + " 0")
		want := map[string]any{"appid": game, "kind": "mini-program", "name": "Game", "status": "authorized", "draft_switch": "unknown"}
		if diff := cmp.Diff(want, s.Account(game)); diff != "" {
			t.Errorf("item of the mini program (-want +got):\n%s", diff)
		}
		if text, _ := s.text(unexchanged); text != "" {
			t.Error("a record without a token was stored")
		}
		if keys := s.stored(accounts[0]); keys["note"] != "stays" || keys["access_token"] != "a token server's" || keys["refresh_token"] == nil {
			t.Errorf("filled in: %v", keys)
		}
		want = map[string]any{"appid": accounts[9], "kind": "official-account", "name": "Account", "status": "authorized", "draft_switch": "unknown"}
		if diff := cmp.Diff(want, s.Account(accounts[9])); diff != "" {
			t.Errorf("item (-want +got):\n%s", diff)
		}
		if a := s.Account(accounts[2]); a["status"] != "authorized" || a["status_at"] != json.Number("5") {
			t.Errorf("an account that was written off by mistake: %v", a)
		}

		writes, infos := s.writes(), s.WeChat.Calls(wechattest.PathAuthorizerInfo)
		s.checkImport(22, 0, 0, 1)
		if writes, infos := s.writes()-writes, s.WeChat.Calls(wechattest.PathAuthorizerInfo)-infos; writes > 0 || infos > 0 {
			t.Errorf("the second time: %d writes, %d kinds asked for", writes, infos)
		}
		s.checkRefresh(19, 3, 0)
		s.checkNewest(game, accounts[0], accounts[2], accounts[1], accounts[9], accounts[19])
	})
}

// With MINI_PROGRAMS=ignore no token of a mini program is imported or refreshed.
func TestIgnoredMiniPrograms(t *testing.T) {
	t.Parallel()
	const known, unknown = "wx00000000000game1", "wx00000000000game2"
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, store)
			s.Env["MINI_PROGRAMS"] = "ignore"
			s.tokens = s.Start(wire)
			s.alone(closed)
			s.issue(component)
			s.issue(closed)
			for _, appID := range []string{known, unknown} {
				s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true, MiniProgram: true})
			}
			s.recordAccount(known, "kind", "mini-program")
			s.checkImport(1, 0, 0, 0)
			for _, appID := range []string{known, unknown} {
				if text, _ := s.text(appID); text != "" || s.Account(appID)["kind"] != "mini-program" {
					t.Errorf("token stored %v, item %v", text != "", s.Account(appID))
				}
			}
			// Existing tokens are unchanged, even if the kind is still unknown.
			s.issue(known)
			s.issue(unknown)
			s.AWS.DeleteItem(functiontest.StateTable, "account", unknown)
			s.advanceTo(time.Minute)
			s.checkRefresh(2, 0, 0)
			s.checkNewest(component, closed)
		})
	}
}

func TestImportGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	s.issue(component)
	s.put(open, `{"access_token": "cut sho`)
	s.AWS.Fail("secretsmanager:CreateSecret", awstest.Deny().On("wechat/draftbox/accounts/"+closed))
	s.WeChat.Fail(wechattest.PathAuthorizerInfo, wechattest.Refuse(45009).Always()) // then it counts as an Official Account
	s.checkImport(3, 1, 0, 2)
	if n := s.WeChat.Calls(wechattest.PathAuthorizerInfo); n > 3 {
		t.Errorf("%d kinds were asked for after a refusal of all", n)
	}
	s.put(open, `{"access_token": "bare"}`)
	s.checkImport(3, 1, 1, 0)

	s.WeChat.Fail(wechattest.PathAuthorizerList, wechattest.Refuse(61004))
	if _, err := s.tokens.Invoke(t.Context(), map[string]string{"task": "import-accounts"}); err == nil || !strings.Contains(err.Error(), "61004") {
		t.Errorf("error %v", err)
	}
}

// It may be the first task ever: then the component token is fetched for it.
func TestImportFetchesTheComponentToken(t *testing.T) {
	t.Parallel()
	forEachStore(t, func(t *testing.T, newFixture func(*testing.T) *fixture) {
		s := newFixture(t)
		s.checkImport(3, 3, 0, 0)
		s.checkNewest(component)
		s.issue(component, "expires_at", "1")
		s.checkImport(3, 0, 0, 0)
		s.checkNewest(component)
		s.removeTicket()
		s.issue(component, "expires_at", "1")
		s.tokens = s.Start(wire) // which remembers no component token
		_, err := s.tokens.Invoke(t.Context(), map[string]string{"task": "import-accounts"})
		if err == nil || !strings.Contains(err.Error(), "asked it to push tickets") {
			t.Errorf("error %v", err)
		}
	})
}

// checkMove runs move-account-tokens and compares its result.
func (s *fixture) checkMove(to string, moved, present, failed int) {
	s.t.Helper()
	raw, err := s.tokens.Invoke(s.t.Context(), map[string]string{"task": "move-account-tokens", "to": to})
	want := fmt.Sprintf(`{"task":"move-account-tokens","to":%q,"moved":%d,"present":%d,"failed":%d}`, to, moved, present, failed)
	if err != nil || string(raw) != want {
		s.t.Errorf("move-account-tokens: %s (%v), want %s", raw, err, want)
	}
}

// withStore is the same world with the accounts' tokens in another store.
func (s *fixture) withStore(store string) *fixture {
	s.Env["ACCOUNT_TOKEN_STORE"] = store
	return &fixture{World: s.World, t: s.t, store: store, tokens: s.Start(wire)}
}

func TestMoveCopiesBothWays(t *testing.T) {
	t.Parallel()
	for _, from := range stores {
		to := stores[0]
		if from == to {
			to = stores[1]
		}
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, from)
			there := s.withStore(to)
			s.issue(component)
			var accounts []string
			for i := range 45 {
				appID := fmt.Sprintf("wx%016d", 100+i)
				s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
				s.issue(appID)
				accounts = append(accounts, appID)
			}
			later, earlier, broken := accounts[0], accounts[1], accounts[2]
			there.issue(later, "expires_at", s.Clock.Now().Add(3*time.Hour).Format(time.RFC3339))
			s.issue(earlier)
			there.put(earlier, `{"access_token":"old","expires_at":1,"note":"stays"}`)
			there.put(accounts[3], fmt.Sprintf(`{"access_token":"","expires_at":%d}`, s.now()+3*60*60)) // malformed
			s.put(broken, `{"access_token": "cut sho`)
			before, _ := there.text(later)

			s.checkMove(to, 43, 1, 1)
			for _, appID := range accounts[3:] {
				if diff := cmp.Diff(s.stored(appID), there.stored(appID)); diff != "" {
					t.Errorf("the copy of %s differs", appID)
				}
			}
			if after, _ := there.text(later); after != before {
				t.Error("a later token was overwritten")
			}
			if keys := there.stored(earlier); keys["access_token"] != s.stored(earlier)["access_token"] || keys["note"] != "stays" {
				t.Error("an earlier token was not overwritten, or a key of somebody else was")
			}
			writes := s.writes()
			s.checkMove(to, 0, 44, 1)
			if n := s.writes() - writes; n > 0 {
				t.Errorf("%d writes the second time", n)
			}

			s.put(broken, "a-bare-token")
			s.checkMove(to, 1, 44, 0)
			there.checkNewest(accounts[3:]...)
			there.advanceTo(15 * time.Minute)
			if got := there.refresh(); got.Failed > 0 || got.Refreshed < 40 {
				t.Errorf("refreshed there: %+v", got)
			}
			there.checkNewest(accounts[3:]...)
		})
	}
}

func TestMoveNeedsToKnowWhere(t *testing.T) {
	t.Parallel()
	s := newFixture(t, "secretsmanager")
	for _, event := range []string{`{"task":"move-account-tokens"}`, `{"task":"move-account-tokens","to":"ssm"}`, `{"task":"move-account-tokens","to":1}`} {
		if _, err := s.tokens.Invoke(t.Context(), json.RawMessage(event)); err == nil || !strings.Contains(err.Error(), `"dynamodb" or "secretsmanager"`) {
			t.Errorf("%s: %v", event, err)
		}
	}
	s.AWS.Fail("secretsmanager:BatchGetSecretValue", awstest.Deny())
	if _, err := s.tokens.Invoke(t.Context(), map[string]string{"task": "move-account-tokens", "to": "dynamodb"}); err == nil {
		t.Error("tokens that could not be listed count as moved")
	}
}

// The token is refreshed at any moment of a move, in either store: the new store ends with the newest token.
func TestMoveWhileTokensAreRefreshed(t *testing.T) {
	t.Parallel()
	for _, from := range stores {
		to := stores[0]
		if from == to {
			to = stores[1]
		}
		for _, refreshedIn := range stores {
			t.Run(fmt.Sprintf("to %s, refreshed in %s", to, refreshedIn), func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, from, wechattest.WithRotatingRefreshTokens())
				s.alone(closed)
				there, here := s.withStore(to), s.withStore(refreshedIn)
				mover := s.instance()
				for k, held := 1, true; held; k++ {
					s.issue(closed)
					s.advanceTo(15 * time.Minute)
					s.issue(component)
					held = false
					err := mover.run(t.Context(), map[string]string{"task": "move-account-tokens", "to": to}, func(n int, serve func()) {
						if n == k {
							held = true
							here.refresh()
						}
						serve()
					})
					if err != nil {
						t.Fatal(err)
					}
					if text, _ := here.text(closed); refreshedIn == to && text == "" {
						continue // nothing had been copied yet
					}
					there.refresh()
					there.checkNewest(closed)
					if t.Failed() {
						t.Fatalf("it was refreshed before request %d of the move", k)
					}
				}
			})
		}
	}
}
