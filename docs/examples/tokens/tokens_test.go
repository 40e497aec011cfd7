package tokens

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
)

const (
	prefix  = "wechat/other"
	table   = "other-tokens"
	account = "wx0000000000000001"
)

// A reader is the example in one language.
type reader interface {
	Get() (string, error)
	Refused(value string, errcode int) (bool, error)
}

// languages are how to start the example in each, against the stand-in at url.
var languages = map[string]func(t *testing.T, aws *awstest.Server, url, appID, table string) reader{
	"Go": func(t *testing.T, aws *awstest.Server, url, appID, table string) reader {
		return inGo{t, &Token{AWS: aws.Config(url), AppID: appID, Prefix: prefix, Table: table, Bus: "default"}}
	},
	"Python": func(t *testing.T, _ *awstest.Server, url, appID, table string) reader {
		return startProgram(t, "EXAMPLES_PYTHON", []string{"tokens.py", "testdata/drive.py"}, url, appID, table)
	},
	"JavaScript": func(t *testing.T, _ *awstest.Server, url, appID, table string) reader {
		return startProgram(t, "EXAMPLES_NODE", []string{"tokens.mjs", "testdata/drive.mjs"}, url, appID, table)
	},
}

type inGo struct {
	t     *testing.T
	token *Token
}

func (g inGo) Get() (string, error) { return g.token.Get(g.t.Context()) }

func (g inGo) Refused(value string, errcode int) (bool, error) {
	return g.token.Refused(g.t.Context(), value, errcode)
}

// A program is the example in another language. It reads its steps from its standard input.
type program struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// startProgram runs the last of the files with the interpreter that the variable names. They are copied into a folder
// beside the interpreter's modules (EXAMPLES_MODULES), where JavaScript looks for them.
func startProgram(t *testing.T, variable string, files []string, url, appID, table string) reader {
	t.Helper()
	interpreter := os.Getenv(variable)
	if interpreter == "" {
		t.Skip(variable + " names no interpreter; .ci/examples sets it")
	}
	folder, err := os.MkdirTemp(os.Getenv("EXAMPLES_MODULES"), "run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settings, _ := json.Marshal(map[string]string{"appid": appID, "prefix": prefix, "table": table, "bus": "default"})
	command := exec.CommandContext(t.Context(), interpreter, filepath.Join(folder, filepath.Base(files[len(files)-1])), string(settings))
	command.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=example", "AWS_SECRET_ACCESS_KEY=example")
	in, _ := command.StdinPipe() // fails only where it is set already
	out, _ := command.StdoutPipe()
	command.Stderr = t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		command.Wait()
	})
	return &program{t, in, bufio.NewScanner(out)}
}

func (p *program) do(answer any, step ...any) error {
	line, _ := json.Marshal(step)
	fmt.Fprintf(p.in, "%s\n", line)
	if !p.out.Scan() {
		p.t.Fatal("the program ended")
	}
	var failed struct{ Error string }
	if json.Unmarshal(p.out.Bytes(), &failed) == nil && failed.Error != "" {
		return fmt.Errorf("%s", failed.Error)
	}
	return json.Unmarshal(p.out.Bytes(), answer)
}

func (p *program) Get() (value string, err error) { return value, p.do(&value, "get") }

func (p *program) Refused(value string, errcode int) (another bool, err error) {
	return another, p.do(&another, "refused", value, errcode)
}

// A place is where a token is stored.
type place struct {
	appID, table, read string // read is the call that reads it
	store              func(aws *awstest.Server, record map[string]any)
	version            func(aws *awstest.Server) string
}

func secretPlace(appID, name string) place {
	return place{appID: appID, read: "secretsmanager:GetSecretValue",
		store: func(aws *awstest.Server, record map[string]any) {
			text, _ := json.Marshal(record)
			aws.SetSecret(name, string(text))
		},
		version: func(aws *awstest.Server) string {
			versions := aws.SecretVersions(name)
			for _, v := range versions {
				if strings.Contains(fmt.Sprint(v.Stages), "AWSCURRENT") {
					return v.ID
				}
			}
			return ""
		}}
}

var places = map[string]place{
	"the platform's secret": secretPlace("", prefix+"/component-token"),
	"an account's secret":   secretPlace(account, prefix+"/accounts/"+account),
	"an account's item": {appID: account, table: table, read: "dynamodb:GetItem",
		store: func(aws *awstest.Server, record map[string]any) {
			item := maps.Clone(record)
			item["appid"], item["version"], item["refresh_token"] = account, 7, "refreshtoken@@@nobody-else-reads-it"
			aws.SetItem(table, item)
		},
		version: func(*awstest.Server) string { return "" }},
}

func TestReaders(t *testing.T) {
	t.Parallel()
	for language, start := range languages {
		for where, p := range places {
			t.Run(language+" reads "+where, func(t *testing.T) {
				t.Parallel()
				aws := awstest.New()
				aws.CreateTable(table, "appid", "")
				server := httptest.NewServer(aws)
				t.Cleanup(server.Close)
				follow(t, aws, p, start(t, aws, server.URL, p.appID, p.table))
			})
		}
	}
}

// follow plays the life of a token before a reader.
func follow(t *testing.T, aws *awstest.Server, p place, r reader) {
	store := func(value string, life time.Duration) {
		p.store(aws, map[string]any{"access_token": value, "expires_at": time.Now().Add(life).UTC().Format(time.RFC3339)})
	}
	get := func(want string, reads int) {
		t.Helper()
		before := aws.Calls(p.read)
		got, err := r.Get()
		if err != nil || got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
		if n := aws.Calls(p.read) - before; n != reads {
			t.Errorf("read %d times, want %d", n, reads)
		}
	}
	refused := func(value string, want bool, events int) {
		t.Helper()
		before := len(aws.Events())
		if another, err := r.Refused(value, 40001); err != nil || another != want {
			t.Errorf("refused: another token %v (%v), want %v", another, err, want)
		}
		if n := len(aws.Events()) - before; n != events {
			t.Errorf("published %d events, want %d", n, events)
		}
	}

	if _, err := r.Get(); err == nil {
		t.Error("there is no token, and no error")
	}
	store("token-of-yesterday", -time.Hour) // it ended: each asks anew
	get("token-of-yesterday", 1)
	get("token-of-yesterday", 1)
	store("token-one", time.Hour)
	get("token-one", 1)
	get("token-one", 0) // kept
	store("token-two", time.Hour)
	get("token-one", 0)
	refused("token-one", true, 0) // the bundle has renewed it
	get("token-two", 0)
	refused("token-two", false, 1)
	refused("token-two", false, 0) // told a moment ago

	event := aws.Events()[0]
	want := fmt.Sprintf(`{"appid":%q,"errcode":40001,"version_id":%q}`, p.appID, p.version(aws))
	if got := canonical(t, event.Detail); got != want {
		t.Errorf("detail %s, want %s", got, want)
	}
	if event.Source != "wechat.draftbox" || event.DetailType != "Token Rejected" || event.Bus != "default" || fmt.Sprint(event.Resources) != "["+prefix+"]" {
		t.Errorf("event %+v", event)
	}
	for _, call := range aws.Recorded() {
		if call.Operation != p.read && call.Operation != "events:PutEvents" {
			t.Errorf("it called %s, which its permissions don't have", call.Operation)
		}
	}
}

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	sorted, _ := json.Marshal(v)
	return string(sorted)
}

// The page shows the files as they are.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, block := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		language, text := block[1], block[2]
		if language == "json" && !json.Valid([]byte(text)) {
			t.Errorf("no JSON: %s", text)
		}
		file := map[string]string{"go": "tokens.go", "python": "tokens.py", "js": "tokens.mjs"}[language]
		if file == "" {
			continue
		}
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if shown++; !strings.Contains(string(whole), text) {
			t.Errorf("the page shows other lines than those of %s", file)
		}
	}
	if shown < 3 {
		t.Errorf("the page shows %s", cmp.Or(fmt.Sprint(shown), "nothing"))
	}
}
