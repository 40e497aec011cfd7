package bootstrap_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/runtimeapi"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/trigger"
)

// TestMain: run by the tests as Lambda runs a function, this binary is one.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		bootstrap.Run(function)
		return
	}
	os.Exit(m.Run())
}

// function counts the drafts in the box.
func function(parts bootstrap.Deps) trigger.Router {
	tokens := parts.Tokens(parts.Secrets)
	return trigger.Router{Tasks: map[string]trigger.Task{"count": func(ctx context.Context, _ json.RawMessage) (any, error) {
		parts.Log.InfoContext(ctx, "quiet")
		parts.Log.ErrorContext(ctx, "heard")
		parts.Log.Audit.InfoContext(ctx, "heard always") // an audit line says itself which request it is about
		return token.Call(ctx, tokens, token.Component, func(ctx context.Context, t secret.Value) (int, error) {
			list, err := parts.WeChat.DraftList(ctx, t)
			return len(list.Drafts), err
		})
	}}}
}

// start starts the function with the environment, and returns what it prints.
func start(t *testing.T, env ...string) (instance *runtimeapi.Instance, printed *bytes.Buffer) {
	t.Helper()
	printed = new(bytes.Buffer)
	f := runtimeapi.Function{Name: "probe", Binary: os.Args[0], Env: env, Timeout: 20 * time.Second, Stdout: printed, Stderr: printed}
	instance, err := runtimeapi.Start(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return instance, printed
}

func TestRun(t *testing.T) {
	t.Parallel()
	wechat, aws := wechattest.New(wechattest.WithExample()), awstest.New()
	wechatURL, awsURL := httptest.NewServer(wechat), httptest.NewServer(aws)
	defer wechatURL.Close()
	defer awsURL.Close()
	aws.SetSecret("mine/component-token", wechat.IssueComponentToken())
	instance, printed := start(t, "WECHAT_API_BASE_URL="+wechatURL.URL+"/", "AWS_ENDPOINT_URL="+awsURL.URL,
		"SECRET_PREFIX=mine", "LOG_LEVEL=error", "AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "NO_PROXY=127.0.0.1")
	for range 2 {
		result, err := instance.Invoke(t.Context(), []byte(`{"task":"count"}`))
		if err != nil || result.Error || string(result.Payload) != "2" {
			t.Fatalf("got %s, %v", result.Payload, err)
		}
	}
	result, err := instance.Invoke(t.Context(), []byte(`{"task":"other"}`))
	if err != nil || !result.Error || !strings.Contains(string(result.Payload), `{\"task\": \"count\"}`) {
		t.Errorf("an event of no trigger: %s, %v", result.Payload, err)
	}
	if err := instance.Close(); err != nil {
		t.Error(err)
	}
	if n := aws.Calls(""); n != 1 {
		t.Errorf("%d calls of AWS for two invocations", n)
	}

	var messages []string
	for line := range bytes.Lines(printed.Bytes()) {
		var record struct {
			Msg, Message string
			RequestID    string `json:"requestId"`
		}
		if json.Unmarshal(line, &record) != nil || record.Msg+record.Message == "" {
			continue // what aws-lambda-go prints of the error
		}
		messages = append(messages, record.Msg+record.Message)
		if record.RequestID == "" && record.Message == "heard" {
			t.Errorf("no request id in %s", line)
		}
	}
	if diff := cmp.Diff([]string{"heard", "heard always", "heard", "heard always"}, messages); diff != "" {
		t.Errorf("%s\n%s", diff, printed)
	}
	if n := strings.Count(printed.String(), `"ServerFaults":[1]`); n != 1 {
		t.Errorf("one of three invocations failed, and %d were counted", n)
	}
	for _, s := range wechat.Secrets() {
		if strings.Contains(printed.String(), s) {
			t.Error("a secret was printed")
		}
	}
}

// The SDK tells of an answer that was cut off. It does so in the function's log.
func TestWhatTheSDKSays(t *testing.T) {
	t.Parallel()
	wechat, aws := wechattest.New(wechattest.WithExample()), awstest.New()
	aws.SetSecret("wechat/draftbox/component-token", wechat.IssueComponentToken())
	var cut sync.Once
	awsURL := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cut.Do(func() {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("{"))
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		aws.ServeHTTP(w, r)
	}))
	wechatURL := httptest.NewServer(wechat)
	defer wechatURL.Close()
	defer awsURL.Close()
	instance, printed := start(t, "WECHAT_API_BASE_URL="+wechatURL.URL, "AWS_ENDPOINT_URL="+awsURL.URL,
		"AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "NO_PROXY=127.0.0.1")
	if _, err := instance.Invoke(t.Context(), []byte(`{"task":"count"}`)); err != nil {
		t.Error(err)
	}
	if err := instance.Close(); err != nil {
		t.Error(err)
	}
	for line := range bytes.Lines(printed.Bytes()) {
		var record struct{ Level, Message string }
		json.Unmarshal(line, &record)
		if record.Level == "WARN" && strings.HasPrefix(record.Message, "the AWS SDK: ") {
			return
		}
	}
	t.Errorf("the SDK did not say it there:\n%s", printed)
}

func TestAStartThatCantBe(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"TOKEN_CACHE_TTL=-1s":        "TOKEN_CACHE_TTL",
		"WECHAT_API_BASE_URL=nobody": "WECHAT_API_BASE_URL",
		"AWS_MAX_ATTEMPTS=many":      "AWS configuration",
	} {
		instance, printed := start(t, env, "LOG_LEVEL=error")
		_, err := instance.Invoke(t.Context(), []byte(`{"task":"count"}`))
		var exit *runtimeapi.ExitError
		if !errors.As(err, &exit) || exit.Status != "exit status 1" {
			t.Errorf("%s: %v", env, err)
		}
		instance.Close()
		line := printed.String()
		if !strings.HasPrefix(line, "wechat-draftbox can't start: ") || !strings.Contains(line, want) || strings.Count(line, "\n") != 1 {
			t.Errorf("%s: printed %q", env, line)
		}
	}
}

// A run over many accounts bears more throttling than somebody who waits for an answer.
func TestForBatches(t *testing.T) {
	t.Parallel()
	stand := awstest.New()
	server := httptest.NewServer(stand)
	defer server.Close()
	stand.CreateTable("table", "pk", "")
	cfg := stand.Config(server.URL)
	batches := bootstrap.ForBatches(cfg)
	throttled := awstest.Refuse("ProvisionedThroughputExceededException", http.StatusBadRequest)
	in := &dynamodb.GetItemInput{TableName: aws.String("table"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "a"}}}
	stand.Fail("dynamodb:GetItem", slices.Repeat([]awstest.Fault{throttled}, 4)...)
	if _, err := dynamodb.NewFromConfig(cfg).GetItem(t.Context(), in); err == nil || stand.Calls("dynamodb:GetItem") != 3 {
		t.Errorf("others: %v after %d calls", err, stand.Calls("dynamodb:GetItem"))
	}
	stand.Fail("dynamodb:GetItem", slices.Repeat([]awstest.Fault{throttled}, 3)...)
	if _, err := dynamodb.NewFromConfig(batches).GetItem(t.Context(), in); err != nil || stand.Calls("dynamodb:GetItem") != 8 {
		t.Errorf("after four refusals: %v after %d calls", err, stand.Calls("dynamodb:GetItem"))
	}
}
