package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// world is what the measured programs run against.
type world struct {
	wechat                  *wechattest.Server
	aws                     *awstest.Server
	wechatServer, awsServer *http.Server
	env                     []string // points a program to it
}

const (
	componentToken = "wechat/draftbox/component-token"
	stateTable     = "wechat-draftbox-state"
	tokenTable     = "wechat-draftbox-tokens"
)

// newWorld starts a WeChat with so many drafts, and the stand-in for AWS with the platform's secrets.
func newWorld(latency time.Duration, drafts int, options ...awstest.Option) (*world, error) {
	wechat := wechattest.New(wechattest.WithLatency(latency))
	return newWorldBehind(wechat, wechat, drafts, options...)
}

// newDraftWorld has a WeChat that answers every call with the draft list from memory, so that an invocation's time is
// the program's own. It sends Content-Length and keeps connections open.
func newDraftWorld(latency time.Duration, drafts int) (*world, error) {
	wechat := wechattest.New()
	list := sync.OnceValue(func() []byte {
		token := wechat.IssueComponentToken()
		recorded := httptest.NewRecorder()
		wechat.ServeHTTP(recorded, httptest.NewRequestWithContext(context.Background(), http.MethodGet, wechattest.PathDraftList+"?access_token="+token, nil))
		return recorded.Body.Bytes()
	})
	return newWorldBehind(wechat, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(latency)
		w.Header().Set("Content-Type", "application/json; encoding=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(list())))
		w.Write(list())
	}), drafts)
}

// newWorldBehind has a WeChat that is reached through front.
func newWorldBehind(wechat *wechattest.Server, front http.Handler, drafts int, options ...awstest.Option) (*world, error) {
	w := &world{wechat: wechat, aws: awstest.New(options...)}
	w.aws.CreateTable(stateTable, "pk", "sk")
	w.aws.CreateTable(tokenTable, "appid", "")
	for i := range drafts {
		w.wechat.UploadDraft(wechattest.Draft{
			CreateTime:             1_700_000_000 + int64(i),
			UserVersion:            fmt.Sprintf("3.%d.0", i),
			UserDesc:               "项目演示\n\n开发者甲 在 2022年10月28日上午9点20分 提交上传",
			SourceMiniProgramAppID: fmt.Sprintf("wx%016x", i),
			SourceMiniProgram:      "微用户",
			Developer:              "开发者甲_A",
		})
	}
	p := w.wechat.Platform()
	w.aws.SetSecret("wechat/draftbox/platform", encode(map[string]string{
		"component_appid": p.AppID, "component_appsecret": p.AppSecret, "message_token": p.MessageToken, "encoding_aes_key": p.EncodingAESKey,
	}))
	w.aws.SetSecret(componentToken, encode(stored(w.wechat.IssueComponentToken(), 2*time.Hour)))

	var wechatURL, awsURL string
	var err error
	if w.wechatServer, wechatURL, err = serve(front); err != nil {
		return nil, err
	}
	if w.awsServer, awsURL, err = serve(w.aws); err != nil {
		w.wechatServer.Close()
		return nil, err
	}
	w.env = []string{
		"WECHAT_API_BASE_URL=" + wechatURL, "AWS_ENDPOINT_URL=" + awsURL, "SECRET_ID=" + componentToken,
		"STATE_TABLE=" + stateTable, "TOKEN_TABLE=" + tokenTable, // for the local run, where the template names them
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_LAMBDA_LOG_FORMAT=JSON",
	}
	return w, nil
}

func (w *world) close() {
	w.wechatServer.Close()
	w.awsServer.Close()
}

// writes counts the writes to the tables.
func (w *world) writes() (n int) {
	for _, operation := range []string{"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"} {
		n += w.aws.Calls("dynamodb:" + operation)
	}
	return n
}

// stored is a token as it is stored in a secret.
func stored(token string, life time.Duration) map[string]string {
	return map[string]string{"access_token": token, "expires_at": time.Now().Add(life).UTC().Format(time.RFC3339)}
}

func encode(keys map[string]string) string {
	text, _ := json.Marshal(keys) // strings always encode
	return string(text)
}

func serve(handler http.Handler) (*http.Server, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen on loopback: %w", err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	return server, "http://" + listener.Addr().String(), nil
}
