// Package faultmatrix tests the built functions as a whole: each trigger against every fault of WeChat, chat robots
// and AWS that the stand-ins can inject, with a deadline as in Lambda.
//
// The expected results are not recorded but follow from a few rules, see faults and triggers. The tables in
// docs/reliability.md come from the same rules.
//
// By default the test runs a subset of the cells that covers every trigger and every fault. PROOF=all runs all of
// them, and PROOF_RACE=1 runs functions built with the race detector.
package faultmatrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/robottest"
	"wechat-draftbox/pkg/standin/runtimeapi"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	// deadline is the time of an invocation. A write needs five seconds, after a read that lost a third of the time to
	// a dead connection.
	deadline = 10 * time.Second
	// atOnce is how many cells run in parallel: cells that hang only wait for their deadline. The race detector needs
	// more of the machine.
	atOnce, atOnceRacing = "32", "8"

	closed     = wechattest.ExampleClosed
	open       = wechattest.ExampleOpen
	notGranted = wechattest.ExampleNotGranted
	own        = wechattest.ExampleOwn

	secrets    = "wechat/draftbox/"
	parameters = "/wechat/draftbox/"
	stateTable = "wechat-draftbox-state"
	tokenTable = "wechat-draftbox-tokens"
)

var functions = []string{"callback", "drafts", "notify", "switch", "templates", "tokens"}

// The chat's robots: one has the faults, the other must be notified all the same.
var (
	brokenRobot = robottest.Robot{Name: "broken", Kind: robot.Feishu, Key: "hook-of-the-broken-robot", Secret: "secret-of-the-broken-robot"}
	wellRobot   = robottest.Robot{Name: "well", Kind: robot.WeCom, Key: "key-of-the-well-robot"}
)

// binaries is the folder of the built functions.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", atOnce)
	if os.Getenv("PROOF_RACE") != "" {
		flag.Set("test.parallel", atOnceRacing)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if binaries, err = os.MkdirTemp("", "proof"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(binaries)
	args, cgo := []string{"build", "-trimpath", "-tags=lambda.norpc", "-ldflags=-s", "-o", binaries + string(filepath.Separator)}, "0"
	if os.Getenv("PROOF_RACE") != "" {
		args, cgo = append(args, "-race"), "1"
	}
	for _, name := range functions {
		args = append(args, "wechat-draftbox/functions/"+name)
	}
	build := exec.Command("go", args...)
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the functions: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// world is one function with its surroundings, a simulated WeChat and a stand-in for AWS, and its output.
type world struct {
	t            *testing.T
	wechat       *wechattest.Server
	aws          *awstest.Server
	chat         *robottest.Server
	toWeChat     *upstream
	toAWS        *upstream
	env          []string
	instance     *runtimeapi.Instance
	said         output
	answers      []string
	ticket, code string            // what a push brings
	spoilt       map[string]string // secrets as they were
	inTable      bool              // the accounts' tokens are in DynamoDB
}

// newWorld makes a platform whose tokens are all stored and fresh.
func newWorld(t *testing.T, tr trigger) *world {
	t.Helper()
	w := &world{
		t: t, wechat: wechattest.New(wechattest.WithExample(), wechattest.WithRotatingRefreshTokens()), aws: awstest.New(),
		chat: robottest.New([]robottest.Robot{brokenRobot, wellRobot}), inTable: tr.inTable,
	}
	w.aws.CreateTable(stateTable, "pk", "sk")
	w.aws.CreateTable(tokenTable, "appid", "")
	w.toWeChat, w.toAWS = listen(t, w.wechat), listen(t, w.aws)
	p := w.wechat.Platform()
	w.aws.SetSecret(secrets+"platform", object("component_appid", p.AppID, "component_appsecret", p.AppSecret,
		"message_token", p.MessageToken, "encoding_aes_key", p.EncodingAESKey))
	w.storeRobots(listen(t, w.chat).url)
	w.storeTicket(w.wechat.NewTicket(), time.Now().Add(-time.Minute))
	for _, holder := range []string{"", closed, open, own} {
		w.storeToken(holder, 2*time.Hour)
	}
	w.env = []string{
		"WECHAT_API_BASE_URL=" + w.toWeChat.url, "AWS_ENDPOINT_URL=" + w.toAWS.url, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=proof", "AWS_SECRET_ACCESS_KEY=proof", "AWS_LAMBDA_LOG_FORMAT=JSON", "LOG_LEVEL=debug",
		"OPENABLE_ACCOUNTS=" + closed,
	}
	if w.inTable {
		w.env = append(w.env, "ACCOUNT_TOKEN_STORE=dynamodb")
	}
	if tr.scene != nil {
		tr.scene(w)
	}
	var err error
	w.instance, err = runtimeapi.Start(context.Background(), runtimeapi.Function{
		Name: tr.function, Binary: filepath.Join(binaries, tr.function), Env: w.env, Timeout: deadline, Stdout: &w.said, Stderr: &w.said,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.instance.Close() })
	return w
}

// storeRobots stores the robots, with addresses at base.
func (w *world) storeRobots(base string) {
	var robots []map[string]any
	for _, r := range []robottest.Robot{brokenRobot, wellRobot} {
		robots = append(robots, fields("name", r.Name, "kind", string(r.Kind), "url", r.URL(base), "secret", r.Secret))
	}
	text, _ := json.Marshal(map[string]any{"robots": robots}) // of texts
	w.aws.SetSecret(secrets+"notify", string(text))
}

// storeToken has WeChat issue a token and stores it with the given lifetime.
func (w *world) storeToken(owner string, life time.Duration) {
	ends := time.Now().Add(life).UTC().Format(time.RFC3339)
	if owner == "" {
		w.aws.SetSecret(secrets+"component-token", object("access_token", w.wechat.IssueComponentToken(), "expires_at", ends))
		return
	}
	issued := w.wechat.IssueAccountToken(owner)
	a, _ := w.wechat.Account(owner)
	record := fields("access_token", issued, "refresh_token", a.RefreshToken, "appsecret", a.Secret, "expires_at", ends)
	if w.inTable {
		record["appid"] = owner
		w.aws.SetItem(tokenTable, record)
		return
	}
	text, _ := json.Marshal(record) // of texts
	w.aws.SetSecret(secrets+"accounts/"+owner, string(text))
}

// storedToken returns the stored token and refresh token.
func (w *world) storedToken(owner string) (access, refresh string) {
	record := make(map[string]any)
	switch {
	case owner == "":
		text, _, _ := w.aws.Secret(secrets + "component-token")
		json.Unmarshal([]byte(text), &record)
	case w.inTable:
		record, _ = w.aws.Item(tokenTable, owner, "")
	default:
		text, _, _ := w.aws.Secret(secrets + "accounts/" + owner)
		json.Unmarshal([]byte(text), &record)
	}
	access, _ = record["access_token"].(string)
	refresh, _ = record["refresh_token"].(string)
	return access, refresh
}

func (w *world) storeTicket(ticket string, at time.Time) {
	w.aws.SetSecureParameter(parameters+"component-verify-ticket", fmt.Sprintf(`{"ticket": %q, "create_time": %d}`, ticket, at.Unix()))
}

// storeAccount stores an account's item.
func (w *world) storeAccount(appID, draftSwitch string) {
	w.aws.SetItem(stateTable, map[string]any{
		"pk": "account", "sk": appID, "appid": appID, "kind": "official-account", "status": "authorized", "draft_switch": draftSwitch,
	})
}

// object is a JSON object of keys and strings, without empty ones.
func object(pairs ...string) string {
	text, _ := json.Marshal(fields(pairs...)) // strings always are JSON
	return string(text)
}

func fields(pairs ...string) map[string]any {
	all := make(map[string]any)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all[pairs[i]] = pairs[i+1]
		}
	}
	return all
}

// reply is the result of an invocation.
type reply struct {
	failed  bool // a function error
	payload []byte
	took    time.Duration
}

// answer is the payload as an HTTP response.
func (r reply) answer() (status int, header http.Header, body map[string]any) {
	var a struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	json.Unmarshal(r.payload, &a)
	json.Unmarshal([]byte(a.Body), &body)
	header = http.Header{}
	for name, value := range a.Headers {
		header.Set(name, value)
	}
	return a.StatusCode, header, body
}

// result is the payload as a task's result.
func (r reply) result() (fields map[string]any) {
	json.Unmarshal(r.payload, &fields)
	return fields
}

// invoke fails the test if the function didn't respond in time.
func (w *world) invoke(event []byte) reply {
	w.t.Helper()
	result, err := w.instance.Invoke(context.Background(), event)
	if err != nil {
		w.t.Errorf("no answer: %v\n%s", err, w.said.String())
	}
	w.answers = append(w.answers, string(result.Payload))
	return reply{result.Error, result.Payload, result.Duration}
}

// freeze stops the process as Lambda does between two invocations, calls meanwhile, and resumes it.
func (w *world) freeze(meanwhile func()) {
	pid := w.instance.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		w.t.Fatal(err)
	}
	meanwhile()
	time.Sleep(20 * time.Millisecond) // for the packets to arrive
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		w.t.Fatal(err)
	}
}

// leaks looks for secrets in responses, output, events and the state table. With -v it prints the first two.
func (w *world) leaks() (found []string) {
	if testing.Verbose() {
		fmt.Fprintln(w.t.Output(), w.said.String()+strings.Join(w.answers, "\n"))
	}
	places := map[string]string{"the output": w.said.String(), "an answer": strings.Join(w.answers, "\n")}
	for _, e := range w.aws.Events() {
		places["the event "+e.DetailType] += string(e.Detail)
	}
	for _, item := range w.aws.Items(stateTable) {
		text, _ := json.Marshal(item)
		places["the state table"] += string(text)
	}
	for _, secret := range append(w.wechat.Secrets(), brokenRobot.Key, brokenRobot.Secret, wellRobot.Key) {
		for place, text := range places {
			if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), strings.ToLower(url.QueryEscape(secret))) {
				found = append(found, fmt.Sprintf("%.5s… in %s", secret, place))
			}
		}
	}
	return found
}

// events returns the details of the events of a kind.
func (w *world) events(kind string) (details []map[string]any) {
	for _, e := range w.aws.Events() {
		if e.DetailType == kind {
			var detail map[string]any
			json.Unmarshal(e.Detail, &detail)
			details = append(details, detail)
		}
	}
	return details
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// upstream is a server with connections that a test can break.
type upstream struct {
	t       *testing.T
	url     string
	address string
	handler http.Handler
	server  *http.Server

	mu    sync.Mutex
	conns map[*conn]bool
}

func listen(t *testing.T, handler http.Handler) *upstream {
	u := &upstream{t: t, address: reserve(t), handler: handler, conns: map[*conn]bool{}}
	u.up()
	u.url = "http://" + u.address
	t.Cleanup(u.down)
	return u
}

// reserve returns an address that no other test can get while the server is down.
func reserve(t *testing.T) string {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	// A socket that is bound but not listening reserves its port: only those who ask for the port by number get it.
	if err := errors.Join(
		syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
	); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// up starts serving at the same address as before.
func (u *upstream) up() {
	l, err := net.Listen("tcp", u.address)
	if err != nil {
		u.t.Fatal(err)
	}
	u.server = &http.Server{Handler: u.handler}
	go u.server.Serve(listener{l, u})
}

// down refuses connections, and closes existing ones.
func (u *upstream) down() { u.server.Close() }

func (u *upstream) each(do func(*conn)) {
	u.mu.Lock()
	all := slices.Collect(maps.Keys(u.conns))
	u.mu.Unlock()
	for _, c := range all {
		do(c)
	}
}

// hangUp closes existing connections, as a server does with idle ones.
func (u *upstream) hangUp() { u.each(func(c *conn) { c.Close() }) }

// forget keeps existing connections open but ignores what arrives on them, like a network that dropped its connection
// state.
func (u *upstream) forget() { u.each(func(c *conn) { c.forgotten.Store(true) }) }
