package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/standin/awstest"
)

func TestNotifyTest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		result, printed string
		err             error
	}{
		"well": {`{"task":"notify-test","robots":[{"name":"ops","ok":true,"detail":"accepted"}]}`, "ok  ops  accepted\n", nil},
		"ill": {`{"task":"notify-test","robots":[{"name":"ops","ok":true,"detail":"accepted"},{"name":"dev","ok":false,"detail":"it refused"}]}`,
			"ok     ops  accepted\nFAULT  dev  it refused\n", errNotTaken},
		"none": {`{"task":"notify-test","robots":[]}`, "There are no robots; make secrets NOTIFY=1 FILE=robots.json stores them.\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/_local/invoke/notify" && r.URL.Path != "/2015-03-31/functions/prod-notify/invocations" {
					t.Errorf("asked %s", r.URL.Path)
				}
				w.Write([]byte(test.result))
			}))
			t.Cleanup(server.Close)
			client := lambda.NewFromConfig(awstest.New().Config(server.URL))
			for _, ask := range []asker{localTask(server.URL, "notify", notifyTask), deployedTask(client, "prod-notify", notifyTask)} {
				var out bytes.Buffer
				if err := notifyTest(t.Context(), ask, &out); !errors.Is(err, test.err) || out.String() != test.printed {
					t.Errorf("%v, printed %q", err, out.String())
				}
			}
		})
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("null")) }))
	t.Cleanup(server.Close)
	if err := notifyTest(t.Context(), localTask(server.URL, "notify", notifyTask), &bytes.Buffer{}); err == nil {
		t.Error("no result must not pass for one")
	}
}

func TestRobotsAreStored(t *testing.T) {
	t.Parallel()
	stand := awstest.New()
	server := httptest.NewServer(stand)
	t.Cleanup(server.Close)
	const name, key = "wechat/draftbox/notify", "hidden-value"
	var out bytes.Buffer
	w := secretWriter{secretsmanager.NewFromConfig(stand.Config(server.URL)), "alias/mine", &out}
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "robots.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := `{"robots": [{"name": "ops", "kind": "slack", "url": "https://hooks.slack.com/services/` + key + `"}]}`
	for range 2 { // makes it, and writes over it
		if err := storeRobots(t.Context(), w, name, write(good)); err != nil {
			t.Fatal(err)
		}
	}
	if text, _, _ := stand.Secret(name); text != good || stand.SecretKey(name) != "alias/mine" {
		t.Errorf("stored %s", text)
	}
	if !strings.Contains(out.String(), "robots: 1") || strings.Contains(out.String(), key) {
		t.Errorf("printed %s", out.String())
	}
	for _, bad := range []string{"x" + key, strings.Replace(good, "slack", key, 1), strings.Replace(good, "https", "ftp", 1)} {
		if err := storeRobots(t.Context(), w, name, write(bad)); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("got %v", err)
		}
	}
	if text, _, _ := stand.Secret(name); text != good {
		t.Error("what can't be used must not be stored")
	}
}
