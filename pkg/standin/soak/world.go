package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	stateTable = "wechat-draftbox-state"
	secrets    = "wechat/draftbox/"
	accounts   = 8 // that were there before the outage
)

// world holds the functions, a simulated WeChat, a stand-in for AWS, and the load.
type world struct {
	t         *testing.T
	wechat    *wechattest.Server
	aws       *awstest.Server
	toWeChat  *memory
	cfg       aws.Config
	settings  bootstrap.Settings
	functions map[string]*function
	log       lines

	accounts   []string // that were there from the beginning
	authorized []string // in the outage
	queues     []queue
	letters    []string // the queues of dead letters, one each

	outageEnd   time.Time // when the outage ends
	ends        chan struct{}
	running     sync.WaitGroup
	invocations atomic.Int64
	mu          sync.Mutex
	uploads     map[int64]time.Time
	failed      map[string]int // tokens that the last refresh-tokens could not renew
}

// queue is a queue and the function that consumes it.
type queue struct{ url, function string }

// newWorld makes a platform whose tokens are all stored and fall due one after the other.
func newWorld(t *testing.T, wires map[string]Wire, outageEnd time.Time) *world {
	w := &world{
		t: t, wechat: wechattest.New(wechattest.WithExample(), wechattest.WithRotatingRefreshTokens()), aws: awstest.New(),
		functions: make(map[string]*function), uploads: make(map[int64]time.Time), outageEnd: outageEnd, ends: make(chan struct{}),
	}
	w.toWeChat = serve(t, w.wechat)
	w.cfg = w.aws.Config("http://aws.example")
	transport := &http.Transport{DialContext: serve(t, w.aws).dial, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	w.cfg.HTTPClient = sdkClient{&http.Client{Transport: transport}}
	w.cfg.Retryer = func() aws.Retryer { return retry.NewStandard() }
	w.aws.CreateTable(stateTable, "pk", "sk")
	w.aws.CreateTable("wechat-draftbox-tokens", "appid", "")
	w.makeQueues()
	w.storeTokens()
	var err error
	if w.settings, err = bootstrap.ReadSettings(w.getenv); err != nil {
		t.Fatal(err)
	}
	for name, wire := range wires {
		w.functions[name] = w.function(name, wire)
	}
	w.aws.OnEvent(w.deliver)
	t.Cleanup(func() {
		if t.Failed() {
			fmt.Println(w.log.last(3))
		}
	})
	return w
}

func (w *world) getenv(name string) string {
	return map[string]string{
		"WECHAT_API_BASE_URL": "http://wechat.example", "LOG_LEVEL": "warn", "OPENABLE_ACCOUNTS": "",
		"AUTHORIZATION_QUEUE_URL": w.queues[0].url, "SWITCH_QUEUE_URL": w.queues[1].url,
	}[name]
}

// makeQueues creates the queues with the settings of contract and template.
func (w *world) makeQueues() {
	w.letters = []string{w.aws.CreateQueue("authorizations-dead"), w.aws.CreateQueue("switches-dead")}
	w.queues = []queue{
		{w.aws.CreateQueue("authorizations", awstest.VisibilityTimeout(5*time.Minute), awstest.DeadLetters(w.letters[0], 100)), "tokens"},
		{w.aws.CreateQueue("switches", awstest.VisibilityTimeout(90*time.Minute), awstest.DeadLetters(w.letters[1], 15)), "switch"},
	}
}

// storeTokens stores tokens with staggered expiry: some expire before the outage, the platform's and others during it,
// the rest later.
func (w *world) storeTokens() {
	p := w.wechat.Platform()
	w.store("platform", map[string]string{"component_appid": p.AppID, "component_appsecret": p.AppSecret,
		"message_token": p.MessageToken, "encoding_aes_key": p.EncodingAESKey})
	w.storeToken("", calm+outageLength/2)
	w.storeToken(wechattest.ExampleOwn, calm+outageLength/2)
	for n := range accounts {
		appID := fmt.Sprintf("wx%016d", 1001+n)
		w.wechat.AddAccount(wechattest.Account{AppID: appID, Name: fmt.Sprintf("Account %d", n), Authorized: true, Granted: true,
			RefreshToken: fmt.Sprintf("refreshtoken@@@soak-of-account-%04d", n)})
		w.accounts = append(w.accounts, appID)
		w.storeToken(appID, calm+time.Duration(n)*10*time.Minute)
	}
}

// storeToken has WeChat issue a token and stores it with the given lifetime.
func (w *world) storeToken(owner string, life time.Duration) {
	record := map[string]string{"access_token": w.wechat.KickToken(owner), "expires_at": time.Now().Add(life).UTC().Format(time.RFC3339)}
	if owner == "" {
		w.store("component-token", record)
		return
	}
	a, _ := w.wechat.Account(owner)
	if a.RefreshToken != "" {
		record["refresh_token"] = a.RefreshToken
	}
	if a.Secret != "" {
		record["appsecret"] = a.Secret
	}
	w.store("accounts/"+owner, record)
}

func (w *world) store(name string, record map[string]string) {
	text, _ := json.Marshal(record) // of texts
	w.aws.SetSecret(secrets+name, string(text))
}

func (w *world) sqs() *sqs.Client { return sqs.NewFromConfig(w.cfg) }

// events returns the details of the events of a kind.
func (w *world) events(kind string) (details []map[string]any) {
	for _, e := range w.aws.Events() {
		if e.DetailType == kind {
			var detail map[string]any
			json.Unmarshal(e.Detail, &detail) // published as an object
			details = append(details, detail)
		}
	}
	return details
}

// lines is the functions' log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) last(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := bytes.Split(l.text.Bytes(), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-n):], []byte("\n")))
}
