package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	closed   = wechattest.ExampleClosed
	newcomer = "wx00000000newcomer"
	ticketAt = "/wechat/draftbox/component-verify-ticket"

	pushReceived = "Push Received"
)

// fixture is a simulated world with a platform, and the function that receives its pushes.
type fixture struct {
	*functiontest.World
	t        *testing.T
	queue    string // empty: codes are exchanged before the answer
	callback *functiontest.Function
}

func newFixture(t *testing.T, queue bool, options ...wechattest.Option) *fixture {
	t.Helper()
	s := &fixture{World: functiontest.New(t, options...), t: t}
	s.StorePlatform()
	if queue {
		s.queue = s.AWS.CreateQueue("authorizations")
		s.Env["AUTHORIZATION_QUEUE_URL"] = s.queue
	} else {
		s.StoreComponentToken()
	}
	s.callback = s.Start(wire)
	return s
}

// now is the create_time of a push sent now, in whole seconds.
func (s *fixture) now() time.Time { return s.Clock.Now().Truncate(time.Second) }

// send sends a push, encrypted for a platform.
func (s *fixture) send(p wechattest.Platform, xml []byte) functiontest.Response {
	s.t.Helper()
	query, body := wechattest.EncryptPush(p, xml, "1413192605", "100000001", []byte("1234567890abcdef"))
	return s.callback.HTTP(s.t.Context(), "POST", "/wechat/callback?"+query.Encode(), string(body))
}

// push sends a push as WeChat does, and returns its answer.
func (s *fixture) push(infoType string, at time.Time, more ...string) functiontest.Response {
	s.t.Helper()
	return s.send(s.WeChat.Platform(), wechattest.InfoXML(s.WeChat.Platform().AppID, infoType, at, more...))
}

func (s *fixture) ticket(text string, at time.Time) functiontest.Response {
	s.t.Helper()
	return s.push("component_verify_ticket", at, "ComponentVerifyTicket", text)
}

func (s *fixture) authorized(infoType, appID, code string, at time.Time) functiontest.Response {
	s.t.Helper()
	return s.push(infoType, at, "AuthorizerAppid", appID, "AuthorizationCode", code, "AuthorizationCodeExpiredTime", "in a while", "PreAuthCode", "preauthcode@@@1")
}

// checkSuccess checks that a response is the one that WeChat expects.
func checkSuccess(t *testing.T, r functiontest.Response) {
	t.Helper()
	if r.Status != 200 || r.Body != "success" || r.Header["Content-Type"] != "text/plain" {
		t.Errorf("answer %d %q %q", r.Status, r.Header["Content-Type"], r.Body)
	}
}

func checkProblem(t *testing.T, r functiontest.Response, status int, slug string) {
	t.Helper()
	if got, body := r.Problem(t); r.Status != status || got != slug {
		t.Errorf("answer %d %s, want %d %s: %v", r.Status, got, status, slug, body)
	}
}

// state is a snapshot of everything stored in AWS.
func (s *fixture) state() map[string]any {
	state := map[string]any{"parameters": s.AWS.Parameters("/"), "events": len(s.events()),
		"accounts": s.AWS.Items(functiontest.StateTable), "tokens": s.AWS.Items(functiontest.TokenTable)}
	for _, name := range []string{"component-token", "platform", "accounts/" + closed, "accounts/" + newcomer} {
		for _, v := range s.AWS.SecretVersions("wechat/draftbox/" + name) {
			state[name+" "+v.ID] = v.Value
		}
	}
	if s.queue != "" {
		state["queue"] = s.AWS.Messages(s.queue)
	}
	return state
}

// checkUnchanged checks that f changes nothing in AWS.
func (s *fixture) checkUnchanged(f func()) {
	s.t.Helper()
	before := s.state()
	f()
	s.checkUnchangedSince(before)
}

func (s *fixture) checkUnchangedSince(before map[string]any) {
	s.t.Helper()
	if diff := cmp.Diff(before, s.state()); diff != "" {
		s.t.Errorf("something was changed (-before +after):\n%s", diff)
	}
}

func (s *fixture) checkTicket(text string, at time.Time) {
	s.t.Helper()
	got, _, _ := s.AWS.Parameter(ticketAt)
	if want := fmt.Sprintf(`{"create_time":%d,"ticket":%q}`, at.Unix(), text); got != want {
		s.t.Errorf("the ticket is %s, want %s", got, want)
	}
}

// recordAccount stores an account's item.
func (s *fixture) recordAccount(appID, status string, at time.Time, more ...any) {
	attributes := map[string]any{"status": status, "status_at": at.Unix()}
	for i := 0; i+1 < len(more); i += 2 {
		attributes[more[i].(string)] = more[i+1]
	}
	s.SetAccount(appID, attributes)
}

// received returns the details of the Push Received events.
func (s *fixture) received() (all []map[string]any) {
	for _, e := range s.AWS.Events() {
		var detail map[string]any
		if e.DetailType != pushReceived {
			continue
		}
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, detail)
	}
	return all
}

// events returns the detail-types and appids of the published events, except Push Received.
func (s *fixture) events() (all []string) {
	for _, e := range s.AWS.Events() {
		if e.DetailType == pushReceived {
			continue
		}
		var detail struct{ ID, AppID string }
		if json.Unmarshal(e.Detail, &detail) != nil || detail.ID == "" && e.DetailType != "Token Refresh Failed" {
			s.t.Errorf("event %s", e.Detail)
		}
		all = append(all, e.DetailType+" "+detail.AppID)
	}
	return all
}

func (s *fixture) checkEvents(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.events()); diff != "" {
		s.t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTicketIsStoredUnlessANewerOneIsThere(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	at := s.now()
	checkSuccess(t, s.ticket("ticket@@@1", at))
	s.checkTicket("ticket@@@1", at)
	checkSuccess(t, s.ticket("ticket@@@2", at.Add(time.Second)))
	s.checkTicket("ticket@@@2", at.Add(time.Second))
	s.checkUnchanged(func() {
		checkSuccess(t, s.ticket("ticket@@@older", at))
		checkSuccess(t, s.ticket("ticket@@@other", at.Add(time.Second)))
		checkSuccess(t, s.ticket("ticket@@@2", at.Add(time.Second)))
	})
	began := time.Now()
	for i := range 10 {
		checkSuccess(t, s.ticket(fmt.Sprint("ticket@@@", i), at.Add(time.Minute+time.Duration(i)*time.Second)))
	}
	if took := time.Since(began) / 10; took > 5*time.Second {
		t.Errorf("a push took %v", took)
	}
	// A malformed ticket is replaced.
	s.AWS.SetSecureParameter(ticketAt, "nonsense")
	checkSuccess(t, s.ticket("ticket@@@1", at))
	s.checkTicket("ticket@@@1", at)
	s.checkEvents()
}

// Pushes arrive out of order at several instances, and responses of AWS are lost: the newest ticket remains.
func TestNewestTicketWins(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	instances := []*functiontest.Function{s.callback, s.Start(wire), s.Start(wire)}
	for round := range 20 {
		s.AWS.Fail("ssm:PutParameter", awstest.DropAfter())
		at := s.now().Add(time.Duration(round) * time.Minute)
		for i, age := range rand.Perm(12) {
			s.callback = instances[i%len(instances)]
			checkSuccess(t, s.ticket(fmt.Sprint("ticket@@@", age), at.Add(-time.Duration(age)*time.Second)))
		}
		s.checkTicket("ticket@@@0", at)
	}
}

func TestAuthorizationGoesToTheQueue(t *testing.T) {
	t.Parallel()
	for _, infoType := range []string{"authorized", "updateauthorized"} {
		s := newFixture(t, true)
		code, at := s.WeChat.NewCode(closed), s.now()
		checkSuccess(t, s.authorized(infoType, closed, code, at))
		messages := s.AWS.Messages(s.queue)
		want := fmt.Sprintf(`{"task":"authorize","appid":%q,"authorization_code":%q,"create_time":%d}`, closed, code, at.Unix())
		if len(messages) != 1 || messages[0].Body != want {
			t.Errorf("messages %v, want one: %s", messages, want)
		}
		if len(s.AWS.Items(functiontest.StateTable)) > 0 || s.WeChat.Calls("") > 0 {
			t.Error("more was done than to hand the code on")
		}
		s.checkEvents()

		// An outdated push, and one whose code was already exchanged.
		s.recordAccount(closed, "authorized", at)
		s.checkUnchanged(func() {
			checkSuccess(t, s.authorized(infoType, closed, code, at))
			checkSuccess(t, s.authorized(infoType, closed, code, at.Add(-time.Second)))
		})
		// Of two pushes of the same second, unauthorized wins.
		s.recordAccount(closed, "unauthorized", at)
		s.checkUnchanged(func() { checkSuccess(t, s.authorized(infoType, closed, code, at)) })
		checkSuccess(t, s.authorized(infoType, closed, code, at.Add(time.Second)))
		// If the account can't be read, the code is still queued.
		s.AWS.Fail("dynamodb:GetItem", awstest.Deny())
		checkSuccess(t, s.authorized(infoType, closed, code, at))
		if n := len(s.AWS.Messages(s.queue)); n != 3 {
			t.Errorf("%d messages", n)
		}
	}
}

func TestAuthorizationIsExchangedWithoutQueue(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"secretsmanager", "dynamodb"} {
		s := newFixture(t, false)
		s.Env["ACCOUNT_TOKEN_STORE"] = store
		s.callback = s.Start(wire)
		code, at := s.WeChat.NewCode(newcomer), s.now()
		checkSuccess(t, s.authorized("authorized", newcomer, code, at))
		text, _, _ := s.AWS.Secret("wechat/draftbox/accounts/" + newcomer)
		if store == "dynamodb" {
			item, _ := s.AWS.Item(functiontest.TokenTable, newcomer, "")
			text = fmt.Sprint(item)
		}
		a, _ := s.WeChat.Account(newcomer)
		if !strings.Contains(text, s.WeChat.LiveToken(newcomer)) || !strings.Contains(text, a.RefreshToken) {
			t.Errorf("stored in %s: %s", store, text)
		}
		want := map[string]any{"appid": newcomer, "kind": "official-account", "name": newcomer, "status": "authorized",
			"status_at": json.Number(fmt.Sprint(at.Unix())), "draft_switch": "unknown"}
		if diff := cmp.Diff(want, s.Account(newcomer)); diff != "" {
			t.Errorf("item (-want +got):\n%s", diff)
		}
		s.checkEvents("Account Authorized " + newcomer)
		// WeChat pushes it twice: the tokens stay.
		token := s.WeChat.LiveToken(newcomer)
		checkSuccess(t, s.authorized("authorized", newcomer, code, at))
		if s.WeChat.LiveToken(newcomer) != token {
			t.Error("the token was fetched again")
		}
		if strings.Contains(fmt.Sprint(s.state()), code) {
			t.Error("the code was stored")
		}
	}
}

// A push that isn't stored within WeChat's timeout is sent again, possibly after its code was used.
func TestExchangeThatTakesTooLong(t *testing.T) {
	t.Parallel()
	var waits sync.WaitGroup // all at once: tests that run in parallel are as many as there are cores
	for name, prepare := range map[string]func(*fixture){
		"WeChat hangs":                func(s *fixture) { s.WeChat.Fail("", wechattest.Hang().Always()) },
		"WeChat answers into nowhere": func(s *fixture) { s.WeChat.Fail("", wechattest.Hang().After().Always()) },
		"Secrets Manager hangs":       func(s *fixture) { s.AWS.Fail("secretsmanager:CreateSecret", awstest.Hang().Sticky()) },
		"DynamoDB hangs":              func(s *fixture) { s.AWS.Fail("dynamodb:UpdateItem", awstest.Hang().Sticky()) },
		"EventBridge hangs":           func(s *fixture) { s.AWS.Fail("events:PutEvents", awstest.Hang().Sticky()) },
	} {
		s := newFixture(t, false)
		code, at := s.WeChat.NewCode(newcomer), s.now()
		prepare(s)
		waits.Go(func() {
			began := time.Now()
			r := s.authorized("authorized", newcomer, code, at)
			if took := time.Since(began); took < 3500*time.Millisecond || took > 10*time.Second { // a busy machine adds to the four
				t.Errorf("%s: it took %v", name, took)
			}
			checkProblem(t, r, 503, "aws-unavailable")
			s.checkEvents()
			s.WeChat.Heal("")
			s.AWS.Heal("")
			checkSuccess(t, s.authorized("authorized", newcomer, code, at))
			text, _, _ := s.AWS.Secret("wechat/draftbox/accounts/" + newcomer)
			a, _ := s.WeChat.Account(newcomer)
			if !strings.Contains(text, s.WeChat.LiveToken(newcomer)) || a.RefreshToken == "" || !strings.Contains(text, a.RefreshToken) {
				t.Errorf("%s: the account has no working tokens", name)
			}
			s.checkEvents("Account Authorized " + newcomer)
		})
	}
	waits.Wait()
}

func TestExchangeThatIsRefused(t *testing.T) {
	t.Parallel()
	for errcode, final := range map[int]bool{-1: false, 61004: false, 45009: false, 61009: true, 48001: true} {
		s := newFixture(t, false)
		s.WeChat.Fail(wechattest.PathQueryAuth, wechattest.Refuse(errcode).Always())
		s.WeChat.AddAccount(wechattest.Account{AppID: newcomer, Authorized: true})
		r := s.authorized("authorized", newcomer, s.WeChat.NewCode(newcomer), s.now())
		if final { // another push of it would not help
			checkSuccess(t, r)
			s.checkEvents("Token Refresh Failed " + newcomer)
		} else {
			checkProblem(t, r, 503, "aws-unavailable")
			s.checkEvents()
		}
		if s.Account(newcomer) != nil {
			t.Error("an account without tokens counts as authorised")
		}
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	for _, queue := range []bool{true, false} {
		s := newFixture(t, queue)
		at := s.now()
		s.AWS.OnEvent(func(e awstest.Event) {
			if e.DetailType != pushReceived && s.Account(closed)["status"] != "unauthorized" {
				t.Error("the event came before the account was marked")
			}
		})
		s.recordAccount(closed, "authorized", at.Add(-time.Minute), "draft_switch", "open", "kind", "official-account", "team", "shop")
		checkSuccess(t, s.push("unauthorized", at, "AuthorizerAppid", closed))
		want := map[string]any{"appid": closed, "kind": "official-account", "status": "unauthorized",
			"status_at": json.Number(fmt.Sprint(at.Unix())), "draft_switch": "open", "team": "shop"}
		if diff := cmp.Diff(want, s.Account(closed)); diff != "" {
			t.Errorf("item (-want +got):\n%s", diff)
		}
		s.checkEvents("Account Unauthorized " + closed)
		s.checkUnchanged(func() {
			checkSuccess(t, s.push("unauthorized", at.Add(-time.Second), "AuthorizerAppid", closed))
			checkSuccess(t, s.authorized("authorized", closed, s.WeChat.NewCode(closed), at.Add(-time.Second)))
		})
		// A repeated push is published again with the same id.
		checkSuccess(t, s.push("unauthorized", at, "AuthorizerAppid", closed))
		events := slices.DeleteFunc(s.AWS.Events(), func(e awstest.Event) bool { return e.DetailType == pushReceived })
		if len(events) != 2 || !bytes.Equal(events[0].Detail, events[1].Detail) {
			t.Errorf("events %v", s.events())
		}
		checkSuccess(t, s.push("unauthorized", at, "AuthorizerAppid", newcomer))
		if s.Account(newcomer)["status"] != "unauthorized" {
			t.Error("an account that nothing was known of is not marked")
		}
	}
}

func TestWhatCannotBeStoredComesAgain(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"secretsmanager:GetSecretValue", "ssm:GetParameter", "ssm:PutParameter",
		"dynamodb:GetItem", "dynamodb:UpdateItem", "sqs:SendMessage", "events:PutEvents"} {
		for name, fault := range map[string]awstest.Fault{"throttled": awstest.Throttle(), "failing": awstest.Refuse("InternalServerError", 500),
			"cut off": awstest.Drop(), "denied": awstest.Deny()} {
			t.Run(op+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, true)
				at := s.now()
				pushes := map[string]func() functiontest.Response{
					"ticket":       func() functiontest.Response { return s.ticket("ticket@@@1", at) },
					"authorized":   func() functiontest.Response { return s.authorized("authorized", closed, "queryauthcode@@@1", at) },
					"unauthorized": func() functiontest.Response { return s.push("unauthorized", at, "AuthorizerAppid", newcomer) },
				}
				meets := map[string][]string{"secretsmanager:GetSecretValue": {"ticket", "authorized", "unauthorized"},
					"ssm:GetParameter": {"ticket"}, "ssm:PutParameter": {"ticket"},
					"dynamodb:GetItem": {"unauthorized"}, "dynamodb:UpdateItem": {"unauthorized"},
					"sqs:SendMessage": {"authorized"}, "events:PutEvents": {"authorized", "unauthorized"}}[op]
				s.AWS.Fail(op, fault.Sticky())
				for _, kind := range meets {
					began := time.Now()
					r := pushes[kind]()
					if op == "secretsmanager:GetSecretValue" && name == "denied" {
						checkProblem(t, r, 500, "misconfigured")
					} else {
						checkProblem(t, r, 503, "aws-unavailable")
					}
					if took := time.Since(began); took > 10*time.Second {
						t.Errorf("%s took %v", kind, took)
					}
				}
				s.AWS.Heal("")
				s.Clock.Forward(retryPlatformAfter) // which a failure to read the platform secret is remembered
				for _, kind := range meets {
					checkSuccess(t, pushes[kind]())
				}
			})
		}
	}
}

// Every push except tickets is published, for the operator's other systems.
func TestPushesAreHandedOn(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	at := s.now()
	s.recordAccount(closed, "unauthorized", at.Add(time.Hour))
	s.checkUnchanged(func() {
		checkSuccess(t, s.authorized("authorized", closed, "queryauthcode@@@kept-out", at)) // stale
		checkSuccess(t, s.push("weapp_audit_success", at, "appid", newcomer, "status", "0", "auth_code", "secret-one",
			"Component_Token", "secret-two", "msg_secret", "secret-three", "code_type", "1", "Ticket", "secret-four"))
		checkSuccess(t, s.push("", at))
	})
	checkSuccess(t, s.ticket("ticket@@@1", at))
	created := float64(at.Unix())
	want := []map[string]any{
		{"id": "", "info_type": "authorized", "appid": closed, "create_time": created,
			"fields": map[string]any{"AppId": s.WeChat.Platform().AppID, "AuthorizerAppid": closed, "CreateTime": fmt.Sprint(at.Unix()), "InfoType": "authorized"}},
		{"id": "", "info_type": "weapp_audit_success", "appid": newcomer, "create_time": created,
			"fields": map[string]any{"AppId": s.WeChat.Platform().AppID, "appid": newcomer, "status": "0", "CreateTime": fmt.Sprint(at.Unix()), "InfoType": "weapp_audit_success"}},
		{"id": "", "info_type": "", "appid": "", "create_time": created,
			"fields": map[string]any{"AppId": s.WeChat.Platform().AppID, "CreateTime": fmt.Sprint(at.Unix()), "InfoType": ""}},
	}
	got, ids := s.received(), make(map[any]bool)
	for _, detail := range got {
		ids[detail["id"]] = true
		detail["id"] = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Push Received (-want +got):\n%s", diff)
	}
	if len(ids) != len(want) || ids[""] {
		t.Errorf("ids %v", ids)
	}
	text := fmt.Sprint(s.AWS.Events())
	for _, secret := range []string{"kept-out", "secret-one", "secret-two", "secret-three", "secret-four", "ticket@@@1"} {
		if strings.Contains(text, secret) {
			t.Errorf("an event holds %q", secret)
		}
	}
	// A repeated push has the same id.
	checkSuccess(t, s.push("", at))
	if last := s.received()[len(want)]; !ids[last["id"]] {
		t.Error("a repeat has another id")
	}
	s.AWS.Fail("events:PutEvents", awstest.Deny().Sticky())
	checkProblem(t, s.push("", at), 503, "aws-unavailable")
	checkSuccess(t, s.ticket("ticket@@@2", at.Add(time.Second))) // tickets need no bus
}

// A push with a control character is a push like any other.
func TestPushWithAControlCharacter(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	code, at := s.WeChat.NewCode(newcomer), s.now()
	xml := wechattest.InfoXML(s.WeChat.Platform().AppID, "notify_third_fasteregister", at, "appid", newcomer, "status", "0", "auth_code", code)
	xml = bytes.Replace(xml, []byte("</xml>"), []byte("<info><name><![CDATA[a\x02b]]></name><code><![CDATA[91350000]]></code></info></xml>"), 1)
	checkSuccess(t, s.send(s.WeChat.Platform(), xml))
	got := s.received()
	if len(got) != 1 || got[0]["info_type"] != "notify_third_fasteregister" || got[0]["appid"] != newcomer {
		t.Fatalf("received %v", got)
	}
	fields := got[0]["fields"].(map[string]any)
	if fields["info/code"] != "91350000" || !strings.HasPrefix(fmt.Sprint(fields["info/name"]), "a") || fields["auth_code"] != nil {
		t.Errorf("fields %v", fields)
	}
	want := fmt.Sprintf(`{"task":"authorize","appid":%q,"authorization_code":%q,"create_time":%d}`, newcomer, code, at.Unix())
	if messages := s.AWS.Messages(s.queue); len(messages) != 1 || messages[0].Body != want {
		t.Errorf("messages %v, want %s", messages, want)
	}
	// A registration that failed names no code, and is no authorization.
	checkSuccess(t, s.push("notify_third_fasteregister", s.now(), "status", "100001"))
	if n := len(s.AWS.Messages(s.queue)); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// The code's expiry is passed to the queue, if WeChat sent one.
func TestTheEndOfTheCodeIsHandedOn(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	ends := s.now().Add(30 * time.Minute).Unix()
	checkSuccess(t, s.push("authorized", s.now(), "AuthorizerAppid", closed, "AuthorizationCode", "queryauthcode@@@1", "AuthorizationCodeExpiredTime", fmt.Sprint(ends)))
	checkSuccess(t, s.push("authorized", s.now(), "AuthorizerAppid", newcomer)) // without a code: the list of authorizers has the tokens
	messages := s.AWS.Messages(s.queue)
	if len(messages) != 2 || !strings.HasSuffix(messages[0].Body, fmt.Sprintf(`"expires_at":%d}`, ends)) || !strings.Contains(messages[1].Body, `"authorization_code":""`) {
		t.Errorf("messages %v", messages)
	}
}

// The accounts of WeChat's release check are not stored.
func TestReleaseCheckAccountsLeaveNothing(t *testing.T) {
	t.Parallel()
	for _, queue := range []bool{true, false} {
		for _, appID := range []string{"wx570bc396a51b8ff8", "wx9252c5e0bb1836fc", "wx8e1097c5bc82cde9", "wx14550af28c71a144", "wxa35b9c23cfe664eb"} {
			s := newFixture(t, queue)
			s.checkUnchanged(func() {
				checkSuccess(t, s.authorized("authorized", appID, "queryauthcode@@@1", s.now()))
				checkSuccess(t, s.push("unauthorized", s.now(), "AuthorizerAppid", appID))
			})
			if n := len(s.received()); n != 2 || s.WeChat.Calls("") > 0 {
				t.Errorf("%d pushes handed on, %d calls of WeChat", n, s.WeChat.Calls(""))
			}
		}
	}
}

// For an ignored mini program the code is exchanged, since its kind isn't known before, but no token is stored.
func TestIgnoredMiniProgram(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"secretsmanager", "dynamodb"} {
		s := newFixture(t, false)
		s.Env["MINI_PROGRAMS"], s.Env["ACCOUNT_TOKEN_STORE"] = "ignore", store
		s.callback = s.Start(wire)
		s.WeChat.AddAccount(wechattest.Account{AppID: newcomer, MiniProgram: true})
		checkSuccess(t, s.authorized("authorized", newcomer, s.WeChat.NewCode(newcomer), s.now()))
		_, _, there := s.AWS.Secret("wechat/draftbox/accounts/" + newcomer)
		if there || len(s.AWS.Items(functiontest.TokenTable)) > 0 {
			t.Error("its token was stored")
		}
		if a := s.Account(newcomer); a["kind"] != "mini-program" || a["status"] != "authorized" {
			t.Errorf("item %v", a)
		}
		s.checkEvents("Account Authorized " + newcomer)
	}
}

// Below a base path the route is the one that API Gateway matched.
func TestBasePath(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	p, at := s.WeChat.Platform(), s.now()
	query, body := wechattest.EncryptPush(p, wechattest.InfoXML(p.AppID, "component_verify_ticket", at, "ComponentVerifyTicket", "ticket@@@1"), "1", "2", make([]byte, 16))
	answer, err := s.callback.Invoke(t.Context(), map[string]any{
		"version": "2.0", "routeKey": "POST /wechat/callback", "rawPath": "/box/wechat/callback/", "rawQueryString": query.Encode(), "body": string(body),
		"headers":        map[string]string{"content-type": "text/xml"},
		"requestContext": map[string]any{"http": map[string]string{"method": "POST", "path": "/box/wechat/callback/"}, "requestId": "r"}})
	if err != nil || !strings.Contains(string(answer), `"body":"success"`) {
		t.Errorf("answer %s (%v)", answer, err)
	}
	s.checkTicket("ticket@@@1", at)
}

// Refused pushes write one log line a minute, with their count.
func TestRefusedPushesAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	for minute, want := range []string{`"count":1,`, `"count":50,`} {
		for range 50 {
			checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback?msg_signature=x", "<xml/>"), 403, "bad-signature")
		}
		lines := s.Log.Lines("requests to the callback were refused")
		if len(lines) != minute+1 || !strings.Contains(lines[minute], want) {
			t.Errorf("minute %d: log lines %q", minute, lines)
		}
		s.Clock.Forward(time.Minute)
	}
	if n := len(s.Log.Lines(`"level":"WARN"`)); n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestBodyInBase64AndPayloadFormat1(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	p := s.WeChat.Platform()
	for i, version := range []string{"2.0", "1.0"} {
		for j, encoded := range []bool{false, true} {
			at := s.now().Add(time.Duration(2*i+j) * time.Second)
			text := fmt.Sprint("ticket@@@", i, j)
			query, raw := wechattest.EncryptPush(p, wechattest.InfoXML(p.AppID, "component_verify_ticket", at, "ComponentVerifyTicket", text), "1", "2", make([]byte, 16))
			body := string(raw)
			if encoded {
				body = base64.StdEncoding.EncodeToString(raw)
			}
			event := map[string]any{"version": version, "body": body, "isBase64Encoded": encoded, "headers": map[string]string{"content-type": "text/xml"}}
			if version == "2.0" {
				event["rawPath"], event["rawQueryString"] = "/wechat/callback", query.Encode()
				event["requestContext"] = map[string]any{"http": map[string]string{"method": "POST", "path": "/wechat/callback"}, "requestId": "r"}
			} else {
				flat := map[string]string{}
				for k := range query {
					flat[k] = query.Get(k)
				}
				event["path"], event["httpMethod"], event["queryStringParameters"], event["multiValueQueryStringParameters"] = "/wechat/callback", "POST", flat, query
				event["requestContext"] = map[string]any{"httpMethod": "POST", "path": "/wechat/callback", "requestId": "r"}
			}
			answer, err := s.callback.Invoke(t.Context(), event)
			if err != nil || !strings.Contains(string(answer), `"body":"success"`) {
				t.Errorf("format %s, base64 %v: %s (%v)", version, encoded, answer, err)
			}
			s.checkTicket(text, at)
		}
	}
}

// The examples in WeChat's documentation, through the whole function.
func TestVectors(t *testing.T) {
	t.Parallel()
	aes43 := strings.Repeat("A", 43)
	for _, v := range []struct {
		name, appID, token, key, timestamp, nonce, signature, addressee string
	}{
		{"event", "wx134c8103faa5a59e", "AAAAA", aes43, "1715943329", "1590219412", "6c12a4205838198b8fa631b3220723bb07f1015c", "<ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>"},
		{"sample", "wx5823bf96d3bd56c7", "QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "1409659813", "1372623149", "477715d11cdb4164915debcba66cb864d751f3e6", "<ToUserName>wx5823bf96d3bd56c7</ToUserName>"},
		{"ticket", "wx134c8103faa5a59e", "AAAAA", aes43, "1413192605", "100000001", "21a69ed9cd38ded7002b425a29c76e29039389fb", "<AppId>wx134c8103faa5a59e</AppId>"},
	} {
		for _, former := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, former key %v", v.name, former), func(t *testing.T) {
				t.Parallel()
				s := newFixture(t, true)
				platform := map[string]string{"component_appid": v.appID, "component_appsecret": "s", "message_token": v.token, "encoding_aes_key": v.key}
				if former {
					platform["encoding_aes_key"], platform["previous_encoding_aes_key"] = s.WeChat.Platform().EncodingAESKey, v.key
				}
				text, _ := json.Marshal(platform)
				s.AWS.SetSecret("wechat/draftbox/platform", string(text))
				encrypt, err := os.ReadFile("../../pkg/push/testdata/" + v.name + ".encrypt")
				if err != nil {
					t.Fatal(err)
				}
				send := func(signature, encrypt string) functiontest.Response {
					query := url.Values{"timestamp": {v.timestamp}, "nonce": {v.nonce}, "msg_signature": {signature}, "encrypt_type": {"aes"}}
					return s.callback.HTTP(t.Context(), "POST", "/wechat/callback?"+query.Encode(), "<xml>"+v.addressee+"<Encrypt><![CDATA["+encrypt+"]]></Encrypt></xml>")
				}
				s.checkUnchanged(func() {
					if former { // signatures know nothing of keys
						return
					}
					for i := range v.signature { // every byte
						forged := []byte(v.signature)
						forged[i] ^= 1
						checkProblem(t, send(string(forged), string(encrypt)), 403, "bad-signature")
					}
					for i := 0; i < len(encrypt); i += 7 {
						forged := slices.Clone(encrypt)
						if forged[i] ^= 1; forged[i] != '\n' {
							checkProblem(t, send(v.signature, string(forged)), 403, "bad-signature")
						}
					}
				})
				checkSuccess(t, send(v.signature, string(encrypt)))
				if v.name == "ticket" {
					s.checkTicket("some_verify_ticket", time.Unix(1413192605, 0))
				} else if len(s.AWS.Parameters("/")) > 0 {
					t.Error("something was stored")
				}
			})
		}
	}
}

func TestForgedMixedUpAndMalformedPushesChangeNothing(t *testing.T) {
	t.Parallel()
	for _, queue := range []bool{true, false} {
		s := newFixture(t, queue)
		p := s.WeChat.Platform()
		at := s.now()
		checkSuccess(t, s.ticket("ticket@@@good", at.Add(-time.Hour)))
		info := func(infoType string, more ...string) []byte {
			return wechattest.InfoXML(p.AppID, infoType, at, more...)
		}
		otherToken, otherKey, otherID := p, p, p
		otherToken.MessageToken, otherKey.EncodingAESKey, otherID.AppID = "another", strings.Repeat("B", 43), "wx0123456789abcdef"
		ticket := info("component_verify_ticket", "ComponentVerifyTicket", "ticket@@@new")
		s.checkUnchanged(func() {
			checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback", ""), 403, "bad-signature")
			checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback", string(ticket)), 403, "bad-signature")
			checkProblem(t, s.send(otherToken, ticket), 403, "bad-signature")
			checkProblem(t, s.send(otherKey, ticket), 400, "invalid-request")
			checkProblem(t, s.send(otherID, ticket), 400, "invalid-request")
			checkProblem(t, s.send(p, wechattest.InfoXML(otherID.AppID, "component_verify_ticket", at, "ComponentVerifyTicket", "ticket@@@new")), 400, "invalid-request")
			for _, xml := range [][]byte{ticket[1:], []byte("{}"), nil,
				info("component_verify_ticket"), info("unauthorized"),
				info("authorized", "AuthorizationCode", "queryauthcode@@@1"),
				info("unauthorized", "AuthorizerAppid", "wx1"), info("unauthorized", "AuthorizerAppid", "../../component-token"),
				info("authorized", "AuthorizerAppid", "wx00000000newcome/", "AuthorizationCode", "queryauthcode@@@1"),
				bytes.Replace(info("unauthorized", "AuthorizerAppid", closed), fmt.Append(nil, at.Unix()), []byte("soon"), 1),
			} {
				checkProblem(t, s.send(p, xml), 400, "invalid-request")
			}
			for _, method := range []string{"GET", "PUT"} {
				query, body := wechattest.EncryptPush(p, ticket, "1", "1", make([]byte, 16))
				checkProblem(t, s.callback.HTTP(t.Context(), method, "/wechat/callback?"+query.Encode(), string(body)), 405, "method-not-allowed")
			}
			// A replay of a push, in which only the outside is changed.
			query, body := wechattest.EncryptPush(p, ticket, "1", "1", make([]byte, 16))
			query.Set("timestamp", "2")
			checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback?"+query.Encode(), string(body)), 403, "bad-signature")
		})
		if s.WeChat.Calls("") > 0 {
			t.Error("WeChat was called")
		}
	}
}

func TestSizeLimit(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	p := s.WeChat.Platform()
	query, body := wechattest.EncryptPush(p, wechattest.InfoXML(p.AppID, "component_verify_ticket", s.now(), "ComponentVerifyTicket", "ticket@@@1"), "1", "1", make([]byte, 16))
	pad := func(n int) string {
		return strings.Replace(string(body), "</xml>", strings.Repeat(" ", n-len(body))+"</xml>", 1)
	}
	s.checkUnchanged(func() {
		checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback?"+query.Encode(), pad(64<<10+1)), 413, "too-large")
		checkProblem(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback", strings.Repeat("<", 1<<17)), 413, "too-large")
	})
	checkSuccess(t, s.callback.HTTP(t.Context(), "POST", "/wechat/callback?"+query.Encode(), pad(64<<10)))
}

func TestPlatformThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"missing": "", "no JSON": "{", "no token": `{"component_appid":"wx0123456789abcdef","component_appsecret":"s","encoding_aes_key":"k"}`,
		"short key": `{"component_appid":"wx0123456789abcdef","component_appsecret":"s","message_token":"t","encoding_aes_key":"k"}`} {
		world := functiontest.New(t)
		if text != "" {
			world.AWS.SetSecret("wechat/draftbox/platform", text)
		}
		s := &fixture{World: world, t: t, callback: world.Start(wire)}
		for range 3 {
			r := s.callback.HTTP(t.Context(), "POST", "/wechat/callback", "<xml/>")
			checkProblem(t, r, 500, "misconfigured")
			if strings.Contains(r.Body, "wechat/draftbox") {
				t.Errorf("%s: the answer names something: %s", name, r.Body)
			}
		}
		if n := s.AWS.Calls("secretsmanager:GetSecretValue"); text == "" && n != 1 {
			t.Errorf("%s: %d reads for three requests", name, n)
		}
		s.StorePlatform()
		s.Clock.Forward(retryPlatformAfter)
		if name == "short key" || name == "no token" || name == "no JSON" || name == "missing" {
			s.Clock.Forward(5 * time.Minute) // as long as a secret that could be read is cached
		}
		checkSuccess(t, s.ticket("ticket@@@1", s.now()))
	}
}

// While Secrets Manager hangs, one request waits for it, and those of the next five seconds fail at once.
func TestSilenceOfSecretsManagerIsRemembered(t *testing.T) {
	t.Parallel()
	s := newFixture(t, true)
	s.AWS.Fail("secretsmanager:GetSecretValue", awstest.Hang().Sticky())
	checkProblem(t, s.ticket("ticket@@@1", s.now()), 503, "aws-unavailable")
	calls := s.AWS.Calls("secretsmanager:GetSecretValue")
	for range 5 {
		checkProblem(t, s.ticket("ticket@@@1", s.now()), 503, "aws-unavailable")
	}
	if n := s.AWS.Calls("secretsmanager:GetSecretValue") - calls; n > 0 {
		t.Errorf("%d more reads", n)
	}
	s.AWS.Heal("")
	s.Clock.Forward(retryPlatformAfter)
	checkSuccess(t, s.ticket("ticket@@@1", s.now()))
}

// The sample events do what their names say.
func TestSampleEvents(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../events/callback/*.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v (%v)", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFixture(t, true)
			event, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.callback.Invoke(t.Context(), json.RawMessage(event))
			if err != nil {
				t.Fatal(err)
			}
			want := `"statusCode":200`
			if name == "forged" {
				want = `"statusCode":403`
			}
			if !strings.Contains(string(answer), want) {
				t.Errorf("answer %s", answer)
			}
			_, _, ticket := s.AWS.Parameter(ticketAt)
			got := fmt.Sprintf("ticket %v, %d messages, events %v", ticket, len(s.AWS.Messages(s.queue)), s.events())
			wants := map[string]string{"ticket": "ticket true, 0 messages, events []", "ticket-base64": "ticket true, 0 messages, events []",
				"authorized": "ticket false, 1 messages, events []", "unauthorized": "ticket false, 0 messages, events [Account Unauthorized " + wechattest.ExampleOpen + "]"}
			if want, listed := wants[name]; listed && got != want || !listed && got != "ticket false, 0 messages, events []" {
				t.Errorf("after %s: %s", name, got)
			}
		})
	}
}

func TestTheTicketIsEncryptedWithTheOperatorsKey(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000001"
	s := newFixture(t, true)
	s.Env["KMS_KEY_ARN"] = key
	s.callback = s.Start(wire)
	checkSuccess(t, s.ticket("ticket@@@one", s.now()))
	if used := s.AWS.ParameterKey(ticketAt); used != key {
		t.Errorf("the ticket is encrypted with %q", used)
	}
}
