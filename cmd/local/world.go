package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/cmd/internal/console"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/robottest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// A world is what the functions talk to: a simulated WeChat and a stand-in for AWS, each nil if the real one is used.
type world struct {
	wechat    *wechattest.Server
	wechatURL string
	aws       *awstest.Server
	awsURL    string
	awsAt     string // awsURL as seen from here
	robots    []robottest.Robot
	chat      *robottest.Server // receives the robots' messages; nil: none

	servers []*http.Server
}

// miniProgram has authorised the platform, like the example's Official Accounts. It has no draft switch.
var miniProgram = wechattest.Account{
	AppID: "wx0000000000000006", Name: "Corner Kiosk", MiniProgram: true, Authorized: true,
	RefreshToken: "refreshtoken@@@example-of-corner-kiosk-0006",
}

// serveWeChat starts the simulated WeChat with its example on a listener.
func (w *world) serveWeChat(l net.Listener, host string) {
	w.wechat = wechattest.New(wechattest.WithExample())
	w.wechat.AddAccount(miniProgram)
	w.serve(l, w.wechat, host)
	w.wechatURL = address(l, host)
}

// serveAWS starts an empty AWS account on a listener.
func (w *world) serveAWS(l net.Listener, host string) {
	w.aws = awstest.New()
	w.serve(l, w.aws, host)
	w.awsURL, w.awsAt = address(l, host), address(l, "")
}

// serve protects a stand-in from other sites' pages, including DNS rebinding. Containers reach it by the name host or
// by an address, which can't be rebound.
func (w *world) serve(l net.Listener, handler http.Handler, host string) {
	guarded := console.Guard(handler, func(r *http.Request) bool {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		_, err = netip.ParseAddr(name)
		return err == nil || host != "" && name == host
	})
	server := &http.Server{Handler: guarded, ReadHeaderTimeout: time.Minute}
	w.servers = append(w.servers, server)
	go server.Serve(l)
}

// address is the URL of a listener, with host in place of its address unless host is empty.
func address(l net.Listener, host string) string {
	a := l.Addr().(*net.TCPAddr)
	ip := a.IP.String()
	if a.IP.IsUnspecified() {
		ip = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(cmp.Or(host, ip), fmt.Sprint(a.Port))
}

func (w *world) close() {
	for _, server := range w.servers {
		server.Close()
	}
}

// queueURL is the URL of a stand-in's queue. It is empty with a real account, where the stack may not exist.
func (w *world) queueURL(name string) string {
	if w.awsURL == "" {
		return ""
	}
	return w.awsURL + "/" + account + "/" + name
}

// sqs is the SDK's client for the stand-in's queues.
func (w *world) sqs() *sqs.Client { return sqs.NewFromConfig(w.aws.Config(w.awsAt)) }

// makeQueues creates the template's queues in the stand-in.
func (w *world) makeQueues(ctx context.Context, queues []queue) error {
	client := w.sqs()
	for _, q := range queues {
		_, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(q.Name), Attributes: q.Attributes})
		if err != nil {
			return fmt.Errorf("make the queue %s: %w", q.Name, err)
		}
	}
	return nil
}

// makeTables creates the template's tables in the stand-in, and those that the template expects to exist.
func (w *world) makeTables(tables []table, n names) {
	for _, t := range tables {
		w.aws.CreateTable(t.Name, t.Keys[0], strings.Join(t.Keys[1:], ""))
	}
	if n.states != "" {
		w.aws.CreateTable(n.states, "pk", "sk")
	}
	if n.tokens != "" {
		w.aws.CreateTable(n.tokens, "appid", "")
	}
}

// variables point the functions to the stand-ins.
func (w *world) variables() map[string]string {
	all := map[string]string{}
	if w.wechat != nil {
		all["WECHAT_API_BASE_URL"] = w.wechatURL
	}
	if w.aws != nil {
		maps.Copy(all, map[string]string{
			"AWS_ENDPOINT_URL":      w.awsURL,
			"AWS_REGION":            region,
			"AWS_ACCESS_KEY_ID":     "local",
			"AWS_SECRET_ACCESS_KEY": "local",
		})
	}
	return all
}

// names are where the bundle stores what it needs.
type names struct {
	secrets    string // SECRET_PREFIX
	parameters string // PARAMETER_PREFIX
	states     string // STATE_TABLE; empty: the template has none
	tokens     string // TOKEN_TABLE; the same
	store      string // ACCOUNT_TOKEN_STORE
}

func namesOf(b *bundle, getenv func(string) string) names {
	variable := func(name, byDefault string) string {
		if value := getenv(name); value != "" {
			return value
		}
		for _, f := range b.Functions {
			if f.Environment[name] != "" {
				return f.Environment[name]
			}
		}
		return byDefault
	}
	return names{
		secrets:    variable("SECRET_PREFIX", "wechat/draftbox"),
		parameters: variable("PARAMETER_PREFIX", "/wechat/draftbox"),
		states:     variable("STATE_TABLE", ""),
		tokens:     variable("TOKEN_TABLE", ""),
		store:      variable("ACCOUNT_TOKEN_STORE", "secretsmanager"),
	}
}

// configure does an operator's work before a deployment: it stores the platform's settings and the app secret of the
// operator's own account.
func (w *world) configure(n names) {
	p := w.wechat.Platform()
	text, _ := json.Marshal(record( // strings always encode
		"component_appid", p.AppID,
		"component_appsecret", p.AppSecret,
		"message_token", p.MessageToken,
		"encoding_aes_key", p.EncodingAESKey,
	))
	w.aws.SetSecret(n.secrets+"/platform", string(text))
	n.storeToken(w.aws, wechattest.ExampleOwn, record("appsecret", wechattest.ExampleOwnSecret))
}

// issueTokens acts as a token server: it stores a token of the component and of each account.
func (w *world) issueTokens(n names) {
	expires := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	n.storeToken(w.aws, "", record("access_token", w.wechat.IssueComponentToken(), "expires_at", expires))
	for _, appID := range []string{
		wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted,
		wechattest.ExampleRevoked, wechattest.ExampleOwn, miniProgram.AppID,
	} {
		known, _ := w.wechat.Account(appID)
		n.storeToken(w.aws, appID, record(
			"access_token", w.wechat.IssueAccountToken(appID), "expires_at", expires,
			"refresh_token", known.RefreshToken, "appsecret", known.Secret))
	}
}

// storeToken stores the token record of an account, or of the component if appID is empty.
func (n names) storeToken(to *awstest.Server, appID string, record map[string]any) {
	if n.isInTable(appID) {
		item := maps.Clone(record)
		item["appid"] = appID
		to.SetItem(n.tokens, item)
		return
	}
	text, _ := json.Marshal(record) // maps of strings always encode
	to.SetSecret(n.secret(appID), string(text))
}

// token returns a stored token record and when it was stored; nil if there is none that can be read.
func (n names) token(in *awstest.Server, appID string) (record map[string]any, since time.Time) {
	if n.isInTable(appID) {
		record, _ = in.Item(n.tokens, appID, "")
		updated, _ := record["updated_at"].(string)
		since, _ = time.Parse(time.RFC3339Nano, updated)
		return record, since
	}
	for _, version := range in.SecretVersions(n.secret(appID)) {
		if slices.Contains(version.Stages, "AWSCURRENT") {
			json.Unmarshal([]byte(version.Value), &record)
			return record, version.Created.UTC()
		}
	}
	return nil, time.Time{}
}

func (n names) secret(appID string) string {
	if appID == "" {
		return n.secrets + "/component-token"
	}
	return n.secrets + "/accounts/" + appID
}

func (n names) isInTable(appID string) bool { return appID != "" && n.store == "dynamodb" }

// record builds a map from alternating keys and values, leaving out empty values.
func record(pairs ...string) map[string]any {
	all := make(map[string]any)
	for at := 0; at+1 < len(pairs); at += 2 {
		if pairs[at+1] != "" {
			all[pairs[at]] = pairs[at+1]
		}
	}
	return all
}
