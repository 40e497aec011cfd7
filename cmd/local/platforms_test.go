package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/docs/examples/tokens"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// A platform is a stack with its simulated WeChat, in a shared AWS account.
type platform struct {
	*local
	name   string
	names  names
	screen terminal

	mu   sync.Mutex
	sent bytes.Buffer // the bodies that its functions sent to AWS
}

// ServeHTTP records what the stack's functions send to AWS.
func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	fmt.Fprintf(&p.sent, "%s %s\n", r.Header.Get("X-Amz-Target"), body)
	p.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.world.aws.ServeHTTP(w, r)
}

// startPlatform runs a stack beside others.
func startPlatform(t *testing.T, aws *awstest.Server, name, store string, simulated *wechattest.Server) *platform {
	t.Helper()
	p := &platform{name: name}
	listener := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	w := &world{wechat: simulated, aws: aws}
	toWeChat, toAWS := listener(), listener()
	w.serve(toWeChat, simulated, "")
	w.serve(toAWS, p, "")
	w.wechatURL, w.awsURL, w.awsAt = address(toWeChat, ""), address(toAWS, ""), address(toAWS, "")
	p.local = &local{world: w, ready: make(chan struct{}), log: &p.screen, options: options{
		template: "../../template.yaml", binaries: binaries(t, "../../template.yaml"), port: "0", speed: 1, readyTimeout: time.Minute, out: &p.screen,
		parameters: map[string]string{"AWS::StackName": name, "SecretPrefix": "wechat/" + name, "ParameterPrefix": "/wechat/" + name, "AccountTokenStore": store},
		environ:    []string{"HOME=/nowhere", "WECHAT_API_BASE_URL=" + w.wechatURL}, realAWS: true, // those of w are there already
	}}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		p.close()
		if t.Failed() || testing.Verbose() {
			t.Logf("the terminal of %s:\n%s", name, &p.screen)
		}
	})
	if err := p.start(ctx); err != nil {
		t.Fatal(err)
	}
	p.runBackground(ctx)
	p.names = namesOf(p.bundle, p.options.getenv)
	return p
}

// newWeChat is a platform's simulated WeChat. Its accounts authorised several platforms; each has its own refresh
// tokens.
func newWeChat(name string) *wechattest.Server {
	settings := wechattest.ExamplePlatform()
	settings.AppID, settings.AppSecret = "wxplatform000"+name, "secret-of-the-platform-"+name
	s := wechattest.New(wechattest.WithExample(), wechattest.WithPlatform(settings))
	for _, appID := range []string{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted} {
		a, _ := s.Account(appID)
		a.Name, a.RefreshToken = a.Name+" of "+name, "refreshtoken@@@of-"+appID+"-at-"+name
		s.AddAccount(a)
	}
	return s
}

// Two platforms' stacks in one AWS account, on one bus, don't affect each other.
func TestSeveralPlatforms(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	for _, store := range []string{"secretsmanager", "dynamodb"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			aws := awstest.New()
			north := startPlatform(t, aws, "north", store, newWeChat("north"))
			south := startPlatform(t, aws, "south", store, newWeChat("south"))
			<-north.ready
			<-south.ready
			checkTokensApart(t, north, south)
			checkDraftsApart(t, north, south)
			checkAccountsApart(t, north, south)
			checkRejectionsApart(t, north, south)
			checkEventsApart(t, aws, north, south)
			for _, pair := range [][2]*platform{{north, south}, {south, north}} {
				pair[0].mu.Lock()
				for line := range strings.Lines(pair[0].sent.String()) {
					if strings.Contains(line, pair[1].name) {
						t.Errorf("a function of %s asked AWS for what is the other's: %.200s", pair[0].name, line)
					}
				}
				pair[0].mu.Unlock()
			}
		})
	}
}

// checkTokensApart: each stack stores its own WeChat's tokens, though both have the same accounts.
func checkTokensApart(t *testing.T, north, south *platform) {
	t.Helper()
	for _, appID := range []string{"", wechattest.ExampleClosed, wechattest.ExampleOpen} {
		for _, pair := range [][2]*platform{{north, south}, {south, north}} {
			record, _ := pair[0].names.token(pair[0].world.aws, appID)
			value, _ := record["access_token"].(string)
			if _, _, superseded, ok := pair[0].world.wechat.TokenState(value); !ok || superseded {
				t.Errorf("the token of %q in %s is not its platform's newest", appID, pair[0].name)
			}
			if _, _, _, ok := pair[1].world.wechat.TokenState(value); ok {
				t.Errorf("the token of %q in %s is of %s", appID, pair[0].name, pair[1].name)
			}
		}
	}
}

// checkDraftsApart: an upload to one platform appears only in its box and events.
func checkDraftsApart(t *testing.T, north, south *platform) {
	t.Helper()
	watch := func(p *platform) string {
		_, _, body := call(t, "POST", p.url+"/_local/invoke/drafts", `{"task": "watch-drafts"}`)
		return body
	}
	for _, p := range []*platform{north, south} {
		watch(p) // the first watch ever tells nothing
	}
	south.world.wechat.UploadDraft(wechattest.Draft{UserVersion: "9.9.9", SourceMiniProgramAppID: "wx00000000000000aa"})
	for p, want := range map[*platform]string{north: `"uploaded":0`, south: `"uploaded":1`} {
		if body := watch(p); !strings.Contains(body, want) {
			t.Errorf("the watch of %s answered %s", p.name, body)
		}
		for _, path := range []string{"/drafts?fresh=true", "/drafts/history"} {
			if _, _, body := call(t, "GET", p.url+path, ""); strings.Contains(body, "9.9.9") != (p == south) {
				t.Errorf("GET %s of %s answered %s", path, p.name, body)
			}
		}
	}
}

// checkAccountsApart: an account joins and leaves one platform without effect on the other.
func checkAccountsApart(t *testing.T, north, south *platform) {
	t.Helper()
	const newcomer = "wx00000000000000bb"
	south.world.wechat.AddAccount(wechattest.Account{AppID: newcomer, Name: "Night Ferry"})
	if push, err := south.world.wechat.Authorize(t.Context(), newcomer); err != nil || !push.Accepted() {
		t.Fatalf("%+v, %v", push, err)
	}
	if push, err := south.world.wechat.Unauthorize(t.Context(), wechattest.ExampleOpen); err != nil || !push.Accepted() {
		t.Fatalf("%+v, %v", push, err)
	}
	eventually(t, "south knows its newcomer", func() bool {
		_, _, body := call(t, "GET", south.url+"/accounts", "")
		return strings.Contains(body, newcomer)
	})
	for p, status := range map[*platform]string{north: "authorized", south: "unauthorized"} {
		_, _, body := call(t, "GET", p.url+"/accounts", "")
		var list struct {
			Accounts []struct{ AppID, Name, Status string }
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		for _, a := range list.Accounts {
			if a.AppID == wechattest.ExampleOpen && (a.Status != status || !strings.HasSuffix(a.Name, p.name)) {
				t.Errorf("%s says of an account of both: %+v", p.name, a)
			}
			if a.AppID == newcomer && p == north {
				t.Errorf("north knows south's newcomer: %+v", a)
			}
		}
	}
}

// checkRejectionsApart: a rejected token that an operator's system reports is renewed only by the stack it names.
func checkRejectionsApart(t *testing.T, north, south *platform) {
	t.Helper()
	const appID = wechattest.ExampleClosed
	calls := north.world.wechat.Calls("")
	before, _ := north.names.token(north.world.aws, appID)
	record, _ := south.names.token(south.world.aws, appID)
	old := record["access_token"].(string)
	record["expires_at"] = time.Now().UTC().Add(-time.Second).Format(time.RFC3339) // so that it is not taken for one of a moment ago
	south.names.storeToken(south.world.aws, appID, record)

	table := ""
	if south.names.store == "dynamodb" {
		table = south.names.tokens
	}
	reader := &tokens.Token{AWS: south.world.aws.Config(south.world.awsAt), AppID: appID, Prefix: south.names.secrets, Table: table, Bus: "default"}
	if value, err := reader.Get(t.Context()); err != nil || value != old {
		t.Fatalf("read another token than south's: %v", err)
	}
	if another, err := reader.Refused(t.Context(), old, 42001); err != nil || another {
		t.Fatalf("another token: %v, %v", another, err)
	}
	eventually(t, "south has renewed the token", func() bool {
		another, err := reader.Refused(t.Context(), old, 42001)
		return err == nil && another
	})
	after, _ := north.names.token(north.world.aws, appID)
	if n := north.world.wechat.Calls("") - calls; n != 0 || after["access_token"] != before["access_token"] {
		t.Errorf("north did something about it: %d calls of WeChat", n)
	}
}

// checkEventsApart: each event names its stack and matches only that stack's rules.
func checkEventsApart(t *testing.T, aws *awstest.Server, north, south *platform) {
	t.Helper()
	told := map[string][]string{}
	for _, e := range aws.Events() {
		if len(e.Resources) != 1 {
			t.Fatalf("%s has the resources %q", e.DetailType, e.Resources)
		}
		told[e.Resources[0]] = append(told[e.Resources[0]], e.DetailType)
		event := map[string]any{"source": e.Source, "detail-type": e.DetailType, "resources": []any{e.Resources[0]}}
		for _, p := range []*platform{north, south} {
			for _, r := range p.bundle.Rules {
				if matches(r.Pattern, event) && e.Resources[0] != p.names.secrets {
					t.Errorf("a rule of %s takes %s of %s", p.name, e.DetailType, e.Resources[0])
				}
			}
		}
	}
	for prefix, want := range map[string][]string{
		"wechat/north": nil, "wechat/south": {"Draft Uploaded", "Account Authorized", "Account Unauthorized", "Token Rejected"},
	} {
		for _, kind := range []string{"Draft Uploaded", "Account Authorized", "Account Unauthorized", "Token Rejected"} {
			if slices.Contains(told[prefix], kind) != slices.Contains(want, kind) {
				t.Errorf("the events of %s are %q", prefix, told[prefix])
			}
		}
	}
}
