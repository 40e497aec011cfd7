package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/wechattest"
)

// A world is what the functions talk to: a simulated WeChat and a stand-in for
// AWS, each nil where the real one is used.
type world struct {
	wechat    *wechattest.Server
	wechatURL string
	aws       *awstest.Server
	awsURL    string
	awsAt     string // awsURL as seen from here

	servers []*http.Server
}

// serveWeChat starts the simulated WeChat with its example on a listener.
func (w *world) serveWeChat(l net.Listener, host string) {
	w.wechat = wechattest.New(wechattest.WithExample())
	w.serve(l, w.wechat)
	w.wechatURL = address(l, host)
}

// serveAWS starts an AWS account with nothing in it on a listener.
func (w *world) serveAWS(l net.Listener, host string) {
	w.aws = awstest.New()
	w.serve(l, w.aws)
	w.awsURL, w.awsAt = address(l, host), address(l, "")
}

func (w *world) serve(l net.Listener, handler http.Handler) {
	// A page of another site may not move the stand-ins, wherever they are reached from.
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(handler), ReadHeaderTimeout: time.Minute}
	w.servers = append(w.servers, server)
	go server.Serve(l)
}

// address is the URL of a listener; host, if it is not empty, stands for its
// address.
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

// queueURL is the address of a queue of the stand-in. In a real account the
// stack that the template describes need not be there: it has none.
func (w *world) queueURL(name string) string {
	if w.awsURL == "" {
		return ""
	}
	return w.awsURL + "/" + account + "/" + name
}

// sqs is the SDK's client for the stand-in's queues.
func (w *world) sqs() *sqs.Client { return sqs.NewFromConfig(w.aws.Config(w.awsAt)) }

// makeQueues makes the template's queues in the stand-in.
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

// variables are what leads the functions to the stand-ins.
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

// names are where the bundle keeps what it needs.
type names struct {
	secrets    string // SECRET_PREFIX
	parameters string // PARAMETER_PREFIX
	store      string // ACCOUNT_TOKEN_STORE
}

func namesOf(functions []function, getenv func(string) string) names {
	variable := func(name, byDefault string) string {
		if value := getenv(name); value != "" {
			return value
		}
		for _, f := range functions {
			if f.Environment[name] != "" {
				return f.Environment[name]
			}
		}
		return byDefault
	}
	return names{
		secrets:    variable("SECRET_PREFIX", "wechat/draftbox"),
		parameters: variable("PARAMETER_PREFIX", "/wechat/draftbox"),
		store:      variable("ACCOUNT_TOKEN_STORE", "secretsmanager"),
	}
}

// configure does what an operator does before a deployment: it stores the
// settings of the platform and the app secret of the operator's own account.
func (w *world) configure(n names) {
	p := w.wechat.Platform()
	w.aws.SetSecret(n.secrets+"/platform", object(
		"component_appid", p.AppID,
		"component_appsecret", p.AppSecret,
		"message_token", p.MessageToken,
		"encoding_aes_key", p.EncodingAESKey,
	))
	n.storeToken(w.aws, wechattest.ExampleOwn, object("appsecret", wechattest.ExampleOwnSecret))
}

// issueTokens does what a token server does: it stores a token of the component
// and of each account.
func (w *world) issueTokens(n names) {
	expires := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	n.storeToken(w.aws, "", object("access_token", w.wechat.IssueComponentToken(), "expires_at", expires))
	for _, appID := range []string{
		wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted,
		wechattest.ExampleRevoked, wechattest.ExampleOwn,
	} {
		known, _ := w.wechat.Account(appID)
		n.storeToken(w.aws, appID, object(
			"access_token", w.wechat.IssueAccountToken(appID), "expires_at", expires,
			"refresh_token", known.RefreshToken, "appsecret", known.Secret))
	}
}

// storeToken stores what belongs to an account, or to the component, whose appid is empty.
func (n names) storeToken(to *awstest.Server, appID, value string) {
	if parameter := n.parameter(appID); parameter != "" {
		to.SetSecureParameter(parameter, value)
		return
	}
	to.SetSecret(n.secret(appID), value)
}

// token is what storeToken or the bundle stored, and since when; the stand-in tells no date of a parameter.
func (n names) token(in *awstest.Server, appID string) (value string, since time.Time) {
	if parameter := n.parameter(appID); parameter != "" {
		value, _, _ = in.Parameter(parameter)
		return value, time.Time{}
	}
	for _, version := range in.SecretVersions(n.secret(appID)) {
		if slices.Contains(version.Stages, "AWSCURRENT") {
			return version.Value, version.Created.UTC()
		}
	}
	return "", time.Time{}
}

func (n names) secret(appID string) string {
	if appID == "" {
		return n.secrets + "/component-token"
	}
	return n.secrets + "/accounts/" + appID
}

// parameter is empty for what stands in a secret.
func (n names) parameter(appID string) string {
	if appID == "" || n.store != "ssm" {
		return ""
	}
	return n.parameters + "/account-tokens/" + appID
}

// object is a JSON object of keys and values; empty values are left out.
func object(pairs ...string) string {
	all := map[string]string{}
	for at := 0; at+1 < len(pairs); at += 2 {
		if pairs[at+1] != "" {
			all[pairs[at]] = pairs[at+1]
		}
	}
	text, _ := json.Marshal(all) // strings always are JSON
	return string(text)
}
