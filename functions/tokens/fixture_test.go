package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/token"
)

const (
	component = token.Component
	closed    = wechattest.ExampleClosed
	open      = wechattest.ExampleOpen
	own       = wechattest.ExampleOwn
	ticketAt  = "/wechat/draftbox/component-verify-ticket"
	leaseAt   = functiontest.StateTable + "/lease/tokens"
	lapse     = 10 * time.Second // until the lease of a dead run ends
)

// stores are the values of ACCOUNT_TOKEN_STORE.
var stores = []string{"secretsmanager", "dynamodb"}

// fixture is a simulated world with a platform and a ticket, and the function that refreshes its tokens.
type fixture struct {
	*functiontest.World
	t          *testing.T
	store      string // of the accounts' tokens
	tokens     *functiontest.Function
	eventsSeen int // how many events were looked at
}

func newFixture(t *testing.T, store string, options ...wechattest.Option) *fixture {
	t.Helper()
	world := functiontest.New(t, options...)
	world.StorePlatform()
	world.Env["ACCOUNT_TOKEN_STORE"] = store
	s := &fixture{World: world, t: t, store: store, tokens: world.Start(wire)}
	s.ticket()
	return s
}

// forEachStore runs a test with both stores, and with refresh tokens that stay and that change.
func forEachStore(t *testing.T, test func(t *testing.T, newFixture func(t *testing.T) *fixture)) {
	t.Helper()
	for _, store := range stores {
		for name, options := range map[string][]wechattest.Option{"steady": nil, "rotating": {wechattest.WithRotatingRefreshTokens()}} {
			t.Run(store+"/"+name, func(t *testing.T) {
				t.Parallel()
				test(t, func(t *testing.T) *fixture { return newFixture(t, store, options...) })
			})
		}
	}
}

// ticket has WeChat make a ticket, and stores it.
func (s *fixture) ticket() {
	s.AWS.SetSecureParameter(ticketAt, fmt.Sprintf(`{"ticket":%q,"create_time":%d}`, s.WeChat.NewTicket(), s.Clock.Now().Unix()))
}

// place is the name of what holds an owner's token, as calls of AWS name it, and whether that is a secret.
func (s *fixture) place(owner string) (name string, secret bool) {
	switch {
	case owner == component:
		return "wechat/draftbox/component-token", true
	case s.store == "dynamodb":
		return functiontest.TokenTable + "/" + owner, false
	}
	return "wechat/draftbox/accounts/" + owner, true
}

// put stores a record: a JSON object, a bare token, or a truncated object as a malformed record. In the table it has
// version and updated_at, as if the bundle had written it.
func (s *fixture) put(owner, text string) {
	name, secret := s.place(owner)
	if secret {
		s.AWS.SetSecret(name, text)
		return
	}
	former, _ := s.AWS.Item(functiontest.TokenTable, owner, "")
	number, _ := former["version"].(json.Number)
	version, _ := number.Int64()
	item := make(map[string]any)
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	switch err := decoder.Decode(&item); {
	case !strings.HasPrefix(text, "{"):
		item = map[string]any{"access_token": text}
	case err != nil:
		item = map[string]any{"access_token": []any{text}}
	}
	item["appid"], item["version"], item["updated_at"] = owner, version+1, s.Clock.Now().UTC().Format(time.RFC3339Nano)
	s.AWS.SetItem(functiontest.TokenTable, item)
}

// text is an owner's record as JSON, and its version; empty where there is none.
func (s *fixture) text(owner string) (text, version string) {
	name, secret := s.place(owner)
	if secret {
		text, version, _ = s.AWS.Secret(name)
		return text, version
	}
	item, there := s.AWS.Item(functiontest.TokenTable, owner, "")
	if !there {
		return "", ""
	}
	version = fmt.Sprint(item["version"])
	for _, name := range []string{"appid", "version", "updated_at"} {
		delete(item, name)
	}
	encoded, _ := json.Marshal(item)
	return string(encoded), version
}

// stored is an owner's record
func (s *fixture) stored(owner string) map[string]any {
	s.t.Helper()
	text, _ := s.text(owner)
	keys := make(map[string]any)
	if err := json.Unmarshal([]byte(text), &keys); err != nil {
		s.t.Fatalf("the record of %q is %q: %v", owner, text, err)
	}
	return keys
}

// issue has WeChat issue a token to an owner and stores it beside more, pairs of keys and texts. The account has an item.
func (s *fixture) issue(owner string, more ...string) {
	s.t.Helper()
	keys := map[string]string{"expires_at": s.Clock.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)}
	switch a, _ := s.WeChat.Account(owner); {
	case owner == component:
		keys["access_token"] = s.WeChat.IssueComponentToken()
	case a.Secret != "":
		keys["access_token"], keys["appsecret"] = s.WeChat.IssueAccountToken(owner), a.Secret
	default:
		keys["access_token"], keys["refresh_token"] = s.WeChat.IssueAccountToken(owner), a.RefreshToken
	}
	for i := 0; i+1 < len(more); i += 2 {
		keys[more[i]] = more[i+1]
	}
	maps.DeleteFunc(keys, func(_, v string) bool { return v == "" })
	text, _ := json.Marshal(keys)
	s.put(owner, string(text))
	if owner != component && s.Account(owner) == nil {
		s.recordAccount(owner)
	}
}

// issueAll does that for the component, two authorizers and an own account.
func (s *fixture) issueAll() {
	s.t.Helper()
	for _, owner := range allOwners {
		s.issue(owner)
	}
}

var allOwners = []string{component, closed, open, own}

// issueMany gives tokens to n more authorizers, and returns them.
func (s *fixture) issueMany(n int) (appIDs []string) {
	s.t.Helper()
	for i := range n {
		appID := fmt.Sprintf("wx%016d", 100+i)
		s.WeChat.AddAccount(wechattest.Account{AppID: appID, RefreshToken: "refreshtoken@@@" + appID, Authorized: true})
		s.issue(appID)
		appIDs = append(appIDs, appID)
	}
	return appIDs
}

// advanceTo lets time pass until tokens that were given a moment ago are due, with so much left.
func (s *fixture) advanceTo(left time.Duration) {
	s.Clock.Forward(2*time.Hour - left)
	s.ticket()
}

// checkNewest checks that the stored token of each owner is the newest that WeChat issued, that it still lives, and that
// its refresh token is WeChat's.
func (s *fixture) checkNewest(owners ...string) {
	s.t.Helper()
	for _, owner := range owners {
		keys := s.stored(owner)
		if access := keys["access_token"]; access != s.WeChat.LiveToken(owner) {
			_, _, superseded, issued := s.WeChat.TokenState(fmt.Sprint(access))
			s.t.Errorf("the stored token of %q is not the newest (superseded %v, issued %v)", owner, superseded, issued)
		}
		if ends, err := time.Parse(time.RFC3339, fmt.Sprint(keys["expires_at"])); err != nil || !ends.After(s.Clock.Now()) {
			s.t.Errorf("the stored token of %q ends at %v", owner, keys["expires_at"])
		}
		a, _ := s.WeChat.Account(owner)
		if want, _ := keys["refresh_token"].(string); want != a.RefreshToken {
			s.t.Errorf("the stored refresh token of %q is not WeChat's", owner)
		}
		if want, _ := keys["appsecret"].(string); want != a.Secret {
			s.t.Errorf("the app secret of %q was lost", owner)
		}
	}
}

// refresh runs refresh-tokens, which must succeed, and returns its result.
func (s *fixture) refresh() refreshResult {
	s.t.Helper()
	result, err := s.run(s.t.Context(), s.tokens)
	if err != nil {
		s.t.Fatalf("refresh-tokens: %v", err)
	}
	return result
}

func (s *fixture) run(ctx context.Context, f *functiontest.Function) (refreshResult, error) {
	var result refreshResult
	raw, err := f.Invoke(ctx, map[string]string{"task": "refresh-tokens"})
	if err == nil {
		err = json.Unmarshal(raw, &result)
	}
	return result, err
}

// checkRefresh runs refresh-tokens and compares the counts.
func (s *fixture) checkRefresh(refreshed, fresh, failed int) refreshResult {
	s.t.Helper()
	got := s.refresh()
	if got.Refreshed != refreshed || got.Fresh != fresh || got.Failed != failed || len(got.Failures) != failed {
		s.t.Errorf("refresh-tokens: %d refreshed, %d fresh, %d failed, want %d, %d, %d; failures %+v",
			got.Refreshed, got.Fresh, got.Failed, refreshed, fresh, failed, got.Failures)
	}
	return got
}

// publishedEvent is an event as a consumer sees it.
type publishedEvent struct {
	Kind    string `json:"-"`
	ID      string `json:"id"`
	AppID   string `json:"appid"`
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
	Action  string `json:"action"`
}

func (e publishedEvent) String() string { return fmt.Sprintf("%s %s %d", e.Kind, e.AppID, e.Errcode) }

// events returns the events since the last call.
func (s *fixture) events() (all []publishedEvent) {
	s.t.Helper()
	accepted := s.AWS.Events()
	for _, e := range accepted[s.eventsSeen:] {
		one := publishedEvent{Kind: e.DetailType}
		if err := json.Unmarshal(e.Detail, &one); err != nil {
			s.t.Fatal(err)
		}
		if e.DetailType == eventbus.TokenRefreshFailed && one.Action == "" {
			s.t.Errorf("a failure that says nobody what to do: %s", e.Detail)
		}
		all = append(all, one)
	}
	s.eventsSeen = len(accepted)
	return all
}

// checkEvents compares the events that came with kind, appid and errcode of each.
func (s *fixture) checkEvents(want ...string) []publishedEvent {
	s.t.Helper()
	got := s.events()
	var brief []string
	for _, e := range got {
		brief = append(brief, e.String())
	}
	if diff := cmp.Diff(want, brief); diff != "" {
		s.t.Errorf("events (-want +got):\n%s", diff)
	}
	return got
}

// writes is how many writes of AWS arrived, but for those of the lease and of waits.
func (s *fixture) writes() int {
	n := 0
	for _, call := range s.AWS.Recorded() {
		switch call.Operation {
		case "secretsmanager:CreateSecret", "secretsmanager:PutSecretValue", "ssm:PutParameter", "dynamodb:UpdateItem", "dynamodb:PutItem":
			if call.Resource != leaseAt && !strings.HasPrefix(call.Resource, functiontest.StateTable+"/wait/") {
				n++
			}
		}
	}
	return n
}

// putOp is the operation that writes an account's token over another one.
func (s *fixture) putOp() string {
	if s.store == "dynamodb" {
		return "dynamodb:UpdateItem"
	}
	return "secretsmanager:PutSecretValue"
}

// listOp is the operation that reads the accounts' tokens.
func (s *fixture) listOp() string {
	if s.store == "dynamodb" {
		return "dynamodb:Scan"
	}
	return "secretsmanager:BatchGetSecretValue"
}

// accountAt is the resource of an account's item.
func accountAt(appID string) string { return functiontest.StateTable + "/account/" + appID }

// recordAccount stores an account's item: an authorized Official Account, but for what pairs of keys and values say.
func (s *fixture) recordAccount(appID string, more ...any) {
	attributes := map[string]any{"status": "authorized", "draft_switch": "unknown", "kind": "official-account"}
	for i := 0; i+1 < len(more); i += 2 {
		attributes[more[i].(string)] = more[i+1]
	}
	s.SetAccount(appID, attributes)
}

// rejected is a Token Rejected event about an owner's stored token.
func (s *fixture) rejected(owner string) map[string]any {
	_, version := s.text(owner)
	return rejection(owner, version)
}

func rejection(owner, version string) map[string]any {
	return map[string]any{"detail-type": eventbus.TokenRejected, "source": "wechat.draftbox",
		"detail": map[string]any{"appid": owner, "errcode": 40001, "version_id": version}}
}

func (s *fixture) invoke(event any) {
	s.t.Helper()
	if _, err := s.tokens.Invoke(s.t.Context(), event); err != nil {
		s.t.Fatal(err)
	}
}

func rawJSON(text string) json.RawMessage { return json.RawMessage(text) }
