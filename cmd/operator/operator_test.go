package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const ill = `{"task":"doctor","ok":false,"checks":[{"name":"ticket","ok":false,"detail":"the newest is 40m old","action":"look at the URL, which the platform's settings have to name as it stands among the outputs of the stack"},
	{"name":"whitelist","ok":true,"detail":"fine","action":""}]}`

func answering(t *testing.T, status int, path, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var task struct{ Task string }
		if json.NewDecoder(r.Body).Decode(&task); r.URL.Path != path || task.Task != "doctor" {
			t.Errorf("asked %s for %q", r.URL.Path, task.Task)
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestDoctorOfTheLocalRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := doctor(t.Context(), localDoctor(answering(t, 200, "/_local/invoke/tokens", ill)), &out)
	if !errors.Is(err, errNotWell) {
		t.Errorf("got %v", err)
	}
	want := "FAULT  ticket     the newest is 40m old\n                  → look at the URL, which the platform's settings have to name as it stands among the\n                    outputs of the stack\nok     whitelist  fine\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	well := `{"ok":true,"checks":[{"name":"ticket","ok":true,"detail":"fine"}]}`
	if err := doctor(t.Context(), localDoctor(answering(t, 200, "/_local/invoke/tokens", well)), &out); err != nil {
		t.Errorf("got %v", err)
	}
	for _, ask := range []asker{localDoctor("http://127.0.0.1:1"), localDoctor(answering(t, 502, "/_local/invoke/tokens", "x")), localDoctor(answering(t, 200, "/_local/invoke/tokens", "null"))} {
		if err := doctor(t.Context(), ask, &out); err == nil || errors.Is(err, errNotWell) {
			t.Errorf("no result must not pass for a diagnosis: %v", err)
		}
	}
}

func TestDoctorOfADeployedStack(t *testing.T) {
	t.Parallel()
	url := answering(t, 200, "/2015-03-31/functions/prod-tokens/invocations", ill)
	var out bytes.Buffer
	err := doctor(t.Context(), deployedDoctor(lambda.NewFromConfig(awstest.New().Config(url)), "prod"), &out)
	if !errors.Is(err, errNotWell) || !strings.Contains(out.String(), "FAULT  ticket") {
		t.Errorf("%v, printed %s", err, out.String())
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	p := wechattest.ExamplePlatform()
	good := map[string]string{"component_appid": p.AppID, "component_appsecret": p.AppSecret, "message_token": p.MessageToken, "encoding_aes_key": p.EncodingAESKey}
	stand := awstest.New()
	server := httptest.NewServer(stand)
	defer server.Close()
	client := secretsmanager.NewFromConfig(stand.Config(server.URL))
	const name = "wechat/draftbox/platform"

	answers := []string{p.AppID + "\n", p.AppSecret + "\n", " " + p.MessageToken + "\n", p.EncodingAESKey + "\n", "\n"}
	ask := askValues(func(string) (answer string, err error) { answer, answers = answers[0], answers[1:]; return answer, nil })
	var out bytes.Buffer
	writer := secretWriter{client, "alias/mine", &out}
	for _, read := range []func() (map[string]string, error){ask, readValues(file(t, good))} { // makes it, and writes over it
		if err := storePlatform(t.Context(), writer, name, read); err != nil {
			t.Fatal(err)
		}
		text, _, _ := stand.Secret(name)
		var stored map[string]string
		if json.Unmarshal([]byte(text), &stored); len(stored) != 4 || stored["message_token"] != p.MessageToken || stored["component_appsecret"] != p.AppSecret {
			t.Errorf("stored %v", stored)
		}
	}
	made, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(name)})
	if err != nil || aws.ToString(made.KmsKeyId) != "alias/mine" {
		t.Errorf("encrypted with %q, %v", aws.ToString(made.KmsKeyId), err)
	}
	if strings.Contains(out.String(), p.AppSecret) {
		t.Error("printed the secret")
	}

	bad := map[string]string{"component_appid": p.AppID, "component_appsecret": p.AppSecret, "message_token": p.MessageToken, "encoding_aes_key": "short-aes-key"}
	_, before, _ := stand.Secret(name)
	for _, read := range []func() (map[string]string, error){readValues(file(t, bad)), readValues(file(t, nil)), readValues("nowhere.json"), readValues(file(t, "x"))} {
		if err := storePlatform(t.Context(), writer, name, read); err == nil || strings.Contains(err.Error(), "short-aes-key") {
			t.Errorf("got %v", err)
		}
	}
	if _, after, _ := stand.Secret(name); after != before {
		t.Error("what can't be used must not be stored")
	}
}

func file(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "platform.json")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"cure"}, {"doctor", "-x"}, {"notify-test", "-x"}, {"secrets", "-notify"}} {
		if err := run(context.Background(), args, os.Stdin, &bytes.Buffer{}); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestPromptReadsLinesWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	in, err := os.Open(file(t, "one line"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ask := prompt(in, &bytes.Buffer{})
	if answer, err := ask("q"); answer != `"one line"` || err != nil {
		t.Errorf("got %q, %v", answer, err)
	}
}
