package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"go.uber.org/goleak"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/gateway"
	"wechat-draftbox/pkg/standin/wechattest"
)

// A terminal is written to by the local run and read by its test.
type terminal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// buildFolder is the folder of all functions that the tests build.
var buildFolder string

func TestMain(m *testing.M) {
	var err error
	if buildFolder, err = os.MkdirTemp("", "local-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { // no goroutine may outlive the tests
		os.RemoveAll(buildFolder)
		os.Exit(code)
	}))
}

// built caches one build for each template.
var built sync.Map

// binaries builds a template's functions and returns their folder, so that starting them needs no linking.
func binaries(t *testing.T, template string) string {
	t.Helper()
	once, _ := built.LoadOrStore(template, sync.OnceValues(func() (string, error) {
		b, err := readTemplate(template, nil, func(string) string { return "" })
		if err != nil {
			return "", err
		}
		folder, err := os.MkdirTemp(buildFolder, "")
		if err != nil {
			return "", err
		}
		there := slices.DeleteFunc(b.Functions, func(f function) bool {
			_, err := os.Stat(f.Folder)
			return err != nil
		})
		return folder, build(context.Background(), there, folder)
	}))
	folder, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, folder) // as make run names it
	if err != nil {
		t.Fatal(err)
	}
	return relative
}

// startLocal runs a template on free ports until the test ends. It returns once the run is ready or has failed to
// become so.
func startLocal(t *testing.T, template string, change func(*options)) (*local, *terminal) {
	t.Helper()
	l, screen := startUnready(t, template, change)
	<-l.ready
	return l, screen
}

// startUnready is startLocal without the wait.
func startUnready(t *testing.T, template string, change func(*options)) (*local, *terminal) {
	t.Helper()
	screen := &terminal{}
	o := options{template: template, port: "0", speed: 1, readyTimeout: time.Minute, out: screen, environ: []string{"HOME=/nowhere"}, binaries: binaries(t, template)}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := start(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		l.close()
		if t.Failed() || testing.Verbose() {
			t.Logf("the terminal:\n%s", screen)
		}
	})
	l.printServices()
	l.runBackground(ctx)
	return l, screen
}

const echoTemplate = "testdata/bundle/template.yaml"

// call sends a request and returns the answer's status, header and body.
func call(t *testing.T, method, url, body string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(answer)
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}

func TestRequestsReachTheFunction(t *testing.T) {
	t.Parallel()
	l, screen := startLocal(t, echoTemplate, nil)

	status, header, body := call(t, "GET", l.url+"/echo/me?a=1&a=2", "")
	var e gateway.Event
	if err := json.Unmarshal([]byte(body), &e); err != nil || status != http.StatusCreated {
		t.Fatalf("GET /echo/me: %d %s", status, body)
	}
	if e.PathParameters["name"] != "me" || e.Query["a"] != "1,2" || e.Context.Authorizer == nil || e.Context.HTTP.SourceIP != "127.0.0.1" {
		t.Errorf("event: %s", body)
	}
	if header.Get("Etag") != `"1"` || !slices.Equal(header["Set-Cookie"], []string{"a=1", "b=2"}) {
		t.Errorf("header: %v", header)
	}

	for body, want := range map[string]int{"fail": 500, "exit": 500, "hang": 500, "nonsense": 500, "bare": 200, "": 201} {
		if status, _, answer := call(t, "POST", l.url+"/echo", body); status != want {
			t.Errorf("POST %q: %d %s, want %d", body, status, answer, want)
		}
	}
	for _, path := range []string{"/absent", "/echo/a/b", "/_local/invoke/echo"} {
		if status, _, body := call(t, "GET", l.url+path, ""); status != 404 && status != 405 {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if text := screen.String(); !strings.Contains(text, "not here: absent") {
		t.Error("nothing is said of the function without a folder")
	}
}

func TestInvokeATask(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	for _, test := range []struct {
		function, body string
		status         int
		answer         string
	}{
		{"echo", `{"task": "x"}`, 200, `{"got":{"task":"x"}}`},
		{"echo", `{"rawPath": "/", "body": "fail"}`, 500, `"errorMessage":"told to fail"`},
		{"echo", `{"rawPath": "/", "body": "exit"}`, 500, "exit status 1"},
		{"echo", `{`, 400, "in JSON"},
		{"nobody", `{}`, 404, "no function"},
	} {
		status, _, answer := call(t, "POST", l.url+"/_local/invoke/"+test.function, test.body)
		if status != test.status || !strings.Contains(answer, test.answer) {
			t.Errorf("invoke %s with %s: %d %s, want %d with %s", test.function, test.body, status, answer, test.status, test.answer)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	environment := func(l *local) []string {
		t.Helper()
		_, _, body := call(t, "POST", l.url+"/echo", "environment")
		var all []string
		if err := json.Unmarshal([]byte(body), &all); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return all
	}
	check := func(all []string, wanted ...string) {
		t.Helper()
		for _, pair := range wanted {
			if !slices.Contains(all, pair) {
				t.Errorf("the function's environment lacks %s: %q", pair, all)
			}
		}
	}

	simulated, _ := startLocal(t, echoTemplate, nil)
	all := environment(simulated)
	w := simulated.world
	check(all, "GREETING=hello", "WECHAT_API_BASE_URL="+w.wechatURL, "AWS_ENDPOINT_URL="+w.awsURL,
		"QUEUE_URL="+w.awsURL+"/123456789012/local-Work", "OPENABLE_ACCOUNTS=*")
	if slices.Contains(all, "HOME=/nowhere") {
		t.Error("the shell's HOME reaches a function that sees nothing real")
	}
	if _, _, ok := w.aws.Secret("over/here/platform"); !ok {
		t.Error("the platform's secret is not under the template's SECRET_PREFIX")
	}
	if token, _, ok := w.aws.Secret("over/here/component-token"); !ok || !strings.Contains(token, w.wechat.LiveToken("")) {
		t.Error("nobody fetches tokens, and none is stored")
	}

	genuine, _ := startLocal(t, echoTemplate, func(o *options) {
		o.realAWS = true
		o.environ = []string{
			"WECHAT_API_BASE_URL=http://wechat.test", "AWS_ENDPOINT_URL=http://aws.test", "AWS_PROFILE=mine",
			"HOME=/nowhere", "GREETING=good evening", "NOBODY_DECLARED=this",
		}
	})
	all = environment(genuine)
	check(all, "GREETING=good evening", "WECHAT_API_BASE_URL=http://wechat.test", "AWS_ENDPOINT_URL=http://aws.test",
		"AWS_PROFILE=mine", "HOME=/nowhere", "QUEUE_URL=", "OPENABLE_ACCOUNTS=")
	if slices.Contains(all, "NOBODY_DECLARED=this") {
		t.Error("a variable that the template doesn't declare reaches the function")
	}
	if genuine.world.wechat != nil || genuine.world.aws != nil {
		t.Error("a stand-in runs beside the real thing")
	}
}

func TestSchedulesRun(t *testing.T) {
	t.Parallel()
	_, screen := startLocal(t, echoTemplate, func(o *options) { o.speed = 60 })
	eventually(t, "the schedule ran twice", func() bool {
		return strings.Count(screen.String(), `echo      | invoked with {"task": "tick"}`) >= 2
	})
	if strings.Contains(screen.String(), `"off"`) {
		t.Error("a disabled schedule ran")
	}
}

func TestEventsReachTheirRules(t *testing.T) {
	t.Parallel()
	l, screen := startLocal(t, echoTemplate, nil)
	client := eventbridge.NewFromConfig(l.world.aws.Config(l.world.awsURL))
	for _, kind := range []string{"Draft Removed", "Token Rejected", "Draft Uploaded"} {
		_, err := client.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
			Source: aws.String("wechat.draftbox"), DetailType: aws.String(kind), Detail: aws.String(`{"id": "1"}`),
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"Draft Removed", "Token Rejected"} {
		if !strings.Contains(screen.String(), `event     | `+kind+` {"id": "1"}`) {
			t.Errorf("no line shows %s", kind)
		}
	}
	eventually(t, "the rule's function is invoked", func() bool {
		return strings.Contains(screen.String(), `"detail-type":"Token Rejected"`)
	})
	eventually(t, "the queue of the other rule hands on the envelope", func() bool {
		return strings.Contains(screen.String(), `message {"version":"0"`) && strings.Contains(screen.String(), `"detail-type":"Draft Uploaded"`)
	})
	if strings.Contains(screen.String(), `"detail-type":"Draft Removed"`) {
		t.Error("an event that no rule names reached a function")
	}
}

func TestQueuesReachTheirFunction(t *testing.T) {
	t.Parallel()
	l, screen := startLocal(t, echoTemplate, nil)
	client := l.world.sqs()
	for _, body := range []string{"yes", "no"} {
		_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(l.world.queueURL("local-Work")), MessageBody: aws.String(body),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the refused message is among the dead letters", func() bool {
		dead := l.world.aws.Messages(l.world.queueURL("local-Lost"))
		return len(dead) == 1 && dead[0].Body == "no"
	})
	if n := strings.Count(screen.String(), "message no"); n != 2 {
		t.Errorf("the refused message came %d times, want 2", n)
	}
	if n := strings.Count(screen.String(), "message yes"); n != 1 {
		t.Errorf("the taken message came %d times, want once", n)
	}
	if left := l.world.aws.Messages(l.world.queueURL("local-Work")); len(left) != 0 {
		t.Errorf("left in the queue: %v", left)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for text, test := range map[string]struct {
		failed []string
		err    bool
	}{
		`{"batchItemFailures": []}`:                        {nil, false},
		`{"batchItemFailures": [{"itemIdentifier": "a"}]}`: {[]string{"a"}, false},
		`{}`:   {nil, false},
		`null`: {nil, false},
		`{"batchItemFailures": [{"itemIdentifier": ""}]}`: {nil, true},
		`{"batchItemFailures": [{"other": "a"}]}`:         {nil, true},
		`{"batchItemFailures": 1}`:                        {nil, true},
		`"success"`:                                       {nil, true},
	} {
		failed, err := failures([]byte(text), true)
		if !slices.Equal(failed, test.failed) || (err != nil) != test.err {
			t.Errorf("failures(%s) = %v, %v", text, failed, err)
		}
	}
	if failed, err := failures([]byte(`"anything"`), false); failed != nil || err != nil {
		t.Errorf("a function that reports no failures: %v, %v", failed, err)
	}
}

func TestStopsCleanly(t *testing.T) {
	t.Parallel()
	screen := &terminal{}
	ctx, cancel := context.WithCancel(t.Context())
	l, err := start(ctx, options{
		template: echoTemplate, port: "0", speed: 1, readyTimeout: time.Minute, out: screen, quiet: true, binaries: binaries(t, echoTemplate),
	})
	if err != nil {
		t.Fatal(err)
	}
	l.runBackground(ctx)
	call(t, "POST", l.url+"/echo", "")
	pid := l.fleet["echo"].PID()
	if pid == 0 {
		t.Fatal("no process after a request")
	}
	cancel()
	l.close()
	if l.fleet["echo"].PID() != 0 {
		t.Errorf("process %d is left", pid)
	}
	for _, url := range []string{l.url, l.world.wechatURL, l.world.awsURL} {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			conn.Close()
			t.Errorf("%s is still served", url)
		}
	}
	if text := screen.String(); strings.Contains(text, "echo") || strings.Contains(text, "failed") {
		t.Errorf("a quiet run printed %q", text)
	}
}

// An error at startup is one line, printed before anything is served.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for name, test := range map[string]struct {
		args    []string
		environ []string
		want    string
	}{
		"port in use":      {nil, []string{"PORT=" + port}, "127.0.0.1:" + port + " is in use: stop what runs there, or set PORT to another port"},
		"no port":          {nil, []string{"PORT=http"}, `PORT is "http", it must be a number up to 65533`},
		"no template":      {[]string{"-template", "testdata/none.yaml"}, []string{"PORT=0"}, "testdata/none.yaml: no such template"},
		"does not build":   {[]string{"-template", "testdata/broken/template.yaml"}, []string{"PORT=0"}, "the functions don't build: exit status 1\n"},
		"no such param":    {[]string{"-template", echoTemplate, "-parameter", "A=b"}, []string{"PORT=0"}, "has no parameter A"},
		"no such command":  {[]string{"serve"}, nil, `"serve" is no command; there is standins`},
		"no such log":      {[]string{"-log", filepath.Join(t.TempDir(), "none", "x")}, []string{"PORT=0"}, "open the log"},
		"no such flag":     {[]string{"-x"}, nil, "flag provided but not defined: -x"},
		"real AWS alone":   {[]string{"-aws"}, nil, "-aws needs WECHAT_API_BASE_URL"},
		"AWS elsewhere":    {nil, []string{"AWS_ENDPOINT_URL=https://secretsmanager.eu-central-1.amazonaws.com"}, "AWS_ENDPOINT_URL names another machine"},
		"looks local":      {nil, []string{"AWS_ENDPOINT_URL=http://127.0.0.1.example.com"}, "AWS_ENDPOINT_URL names another machine"},
		"no base path":     {[]string{"-base-path", "box"}, nil, `-base-path is "box", it must be a path like /box`},
		"open base path":   {[]string{"-base-path", "/box/"}, nil, "it must be a path like /box"},
		"taken base path":  {[]string{"-base-path", "/_local"}, nil, "it must be a path like /box"},
		"stands still":     {[]string{"-speed", "0"}, nil, "-speed must be above 0"},
		"stand-in's port":  {[]string{"standins", "-wechat", "127.0.0.1:" + port}, nil, "is in use"},
		"stand-in's files": {[]string{"standins", "-wechat", "127.0.0.1:0", "-aws", "127.0.0.1:0", "-template", "testdata/none.yaml"}, nil, "no such template"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), test.args, test.environ, io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
}

func TestStandinsAlone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "env.json")
	done := make(chan error)
	go func() {
		done <- run(ctx, []string{
			"standins", "-wechat", "127.0.0.1:0", "-aws", "127.0.0.1:0", "-host", "localhost",
			"-template", "../../template.yaml", "-env-vars", file,
		}, nil, io.Discard)
	}()
	var variables struct{ Parameters map[string]string }
	eventually(t, "the variables are written", func() bool {
		content, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(content, &variables) == nil
	})
	v := variables.Parameters
	for _, name := range []string{"WECHAT_API_BASE_URL", "AWS_ENDPOINT_URL", "SWITCH_QUEUE_URL", "AUTHORIZATION_QUEUE_URL"} {
		if !strings.HasPrefix(v[name], "http://localhost:") {
			t.Errorf("%s = %q", name, v[name])
		}
	}
	if status, _, body := call(t, "GET", v["WECHAT_API_BASE_URL"]+"/_sim/state", ""); status != http.StatusOK || !strings.Contains(body, wechattest.ExampleClosed) {
		t.Errorf("the simulated WeChat: %d %s", status, body)
	}
	tables := awstest.New().Config(v["AWS_ENDPOINT_URL"])
	for _, name := range []string{"local-StateTable", "local-TokenTable"} {
		if _, err := dynamodb.NewFromConfig(tables).DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// With tokens and callback in the bundle, nobody else issues tokens: tickets are pushed to the callback, and the tasks
// that use them run.
func TestTokensManageThemselves(t *testing.T) {
	t.Parallel()
	l, screen := startLocal(t, "testdata/tokens/template.yaml", func(o *options) { o.speed = 600 })
	want := []string{"task refresh-tokens", "task refresh-tokens", "task import-accounts", "task refresh-tokens"}
	var tasks []string
	eventually(t, "the functions' lines are on the screen", func() bool {
		tasks = regexp.MustCompile(`(?m)task [a-z-]+$`).FindAllString(screen.String(), -1)
		return len(tasks) >= len(want)
	})
	if !slices.Equal(tasks, want) {
		t.Errorf("tasks %q, want %q", tasks, want)
	}
	eventually(t, "tickets go on being pushed", func() bool {
		pushes := l.world.wechat.Pushes()
		return len(pushes) >= 2 && pushes[0].Accepted() && pushes[1].Accepted()
	})
	if _, _, ok := l.world.aws.Secret("wechat/draftbox/component-token"); ok {
		t.Error("a component token is stored, that the bundle should fetch")
	}
	own, _, _ := l.world.aws.Secret("wechat/draftbox/accounts/" + wechattest.ExampleOwn)
	if want := `{"appsecret":"` + wechattest.ExampleOwnSecret + `"}`; own != want {
		t.Errorf("the own account's secret is not what an operator stores")
	}
}

// Every printed command works when pasted.
func TestPrintedLines(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	if testing.Short() {
		t.Skip("builds all functions")
	}
	l, screen := startLocal(t, "../../template.yaml", nil)
	for _, line := range l.lines() {
		if !strings.Contains(screen.String(), line.command) {
			t.Errorf("not printed: %s", line.command)
		}
		out, err := exec.CommandContext(t.Context(), shell, "-c", line.command).Output()
		if err != nil {
			t.Errorf("%s: %v", line.command, err)
		}
		answers := 0
		for decoder := json.NewDecoder(bytes.NewReader(out)); ; answers++ {
			var answer map[string]any
			if err := decoder.Decode(&answer); err == io.EOF {
				break
			} else if err != nil || answer["message"] != nil || answer["error"] != nil {
				t.Fatalf("%s answered %s", line.command, out)
			}
		}
		if answers == 0 {
			t.Errorf("%s answered nothing", line.command)
		}
	}
	var told []string
	for _, e := range l.world.aws.Events() {
		if strings.HasPrefix(e.DetailType, "Draft ") {
			kind := e.DetailType
			if strings.Contains(string(e.Detail), `"previous"`) {
				kind += " with previous"
			}
			told = append(told, kind)
		}
	}
	want := []string{"Draft Switch Changed", "Draft Uploaded", "Draft Uploaded with previous", "Draft Removed"}
	if !slices.Equal(told, want) {
		t.Errorf("events %q, want %q", told, want)
	}
}

// A schedule's first failure is reported.
func TestNotReadyWithoutTokens(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	_, screen := startLocal(t, "../../template.yaml", func(o *options) { // where the stand-in for AWS has no secret
		o.environ = append(o.environ, "WECHAT_API_BASE_URL=http://127.0.0.1:9")
	})
	if text := screen.String(); !strings.Contains(text, `not ready: drafts failed with {"task": "watch-drafts"}`) {
		t.Error("the first watch failed, and it is not said that the run is not ready")
	}
}

// The first requests wait until the run is ready, and then get complete responses.
func TestReady(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	l, screen := startUnready(t, "../../template.yaml", nil)
	for path, want := range map[string]string{
		"/drafts": `"count":2`,
		"/accounts/" + wechattest.ExampleOpen + "/draft-switch": `"state":"open"`,
		"/accounts?draft_switch=closed":                         `"appid":"` + wechattest.ExampleOwn + `"`,
		"/accounts?draft_switch=unknown":                        `"errcode":61007`,
		"/accounts?kind=mini-program":                           `"name":"Corner Kiosk"`,
		"/drafts/history":                                       `"gone_at":null`,
	} {
		if status, _, body := call(t, "GET", l.url+path, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s, want %s", path, status, body, want)
		}
	}
	status, _, body := call(t, "POST", l.url+"/_local/invoke/tokens", `{"task": "tokens"}`)
	for _, want := range []string{`"kind":"official-account"`, `"kind":"mini-program"`, `"name":"Corner Kiosk"`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("the task tokens: %d %s, want %s", status, body, want)
		}
	}
	text := screen.String()
	if strings.Contains(text, "_aws") {
		t.Error("the terminal shows metrics")
	}
	if !strings.Contains(text, `drafts    | timestamp=`) || !strings.Contains(text, "baseline=true") {
		t.Error("the terminal does not show the first watch, with a baseline")
	}
}

// A run that gets no token reports that and continues.
func TestNotReady(t *testing.T) {
	t.Parallel()
	l, screen := startLocal(t, "testdata/tokens/template.yaml", func(o *options) { o.readyTimeout = 0 })
	if text := screen.String(); !strings.Contains(text, "not ready: within 0s no ticket came") || !strings.Contains(text, "Not ready, but you may look.") {
		t.Error("nothing is said of what it waits for")
	}
	if status, _, _ := call(t, "GET", l.url+"/", ""); status != http.StatusOK {
		t.Errorf("GET /: %d", status)
	}
}

func TestMetricsAreShownIfWanted(t *testing.T) {
	t.Parallel()
	const metrics, log = `{"Drafts":[2],"_aws":{"CloudWatchMetrics":[]}}`, `{"message":"of \"_aws\": {}"}`
	for wanted, want := range map[bool]string{
		false: "drafts    | " + log + "\n",
		true:  "drafts    | " + metrics + "\ndrafts    | " + log + "\n",
	} {
		var screen bytes.Buffer
		fmt.Fprintf(&prefixed{name: "drafts", metrics: wanted, to: &screen, lock: &sync.Mutex{}}, "%s\n%s\n", metrics, log)
		if screen.String() != want {
			t.Errorf("metrics %v: %q, want %q", wanted, screen.String(), want)
		}
	}
}

// The printed commands against the bundle's own functions: list the drafts, check a closed switch, be refused, open
// it, open it again.
func TestTheBundle(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	l, screen := startLocal(t, "../../template.yaml", nil)

	var listed struct {
		Drafts []map[string]any `json:"drafts"`
	}
	if status, _, body := call(t, "GET", l.url+"/drafts", ""); status != http.StatusOK || json.Unmarshal([]byte(body), &listed) != nil {
		t.Fatalf("GET /drafts: %d %s", status, body)
	}
	if len(listed.Drafts) != 2 || listed.Drafts[0]["draft_id"] != 4.0 || listed.Drafts[1]["draft_id"] != 0.0 {
		t.Errorf("drafts: %v, want ids 4 and 0", listed.Drafts)
	}
	for _, field := range []string{"draft_id", "create_time", "user_version", "user_desc", "source_miniprogram_appid", "source_miniprogram", "developer", "category_list"} {
		for _, d := range listed.Drafts {
			if _, ok := d[field]; !ok {
				t.Errorf("draft %v lacks %s", d["draft_id"], field)
			}
		}
	}

	url := l.url + "/accounts/" + wechattest.ExampleClosed + "/draft-switch"
	confirm := `{"confirm": "` + wechattest.ExampleClosed + `"}`
	for _, step := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 200, `"state":"closed"`},
		{"POST", "", 400, "confirmation-required"},
		{"GET", "", 200, `"state":"closed"`},
		{"POST", confirm, 200, `"changed":true`},
		{"POST", confirm, 200, `"changed":false`},
		{"GET", "", 200, `"state":"open"`},
	} {
		status, _, body := call(t, step.method, url, step.body)
		if compact := strings.ReplaceAll(body, `": `, `":`); status != step.status || !strings.Contains(compact, step.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", step.method, step.body, status, body, step.status, step.want)
		}
	}
	if n := l.world.wechat.OpenCalls(); n != 1 {
		t.Errorf("WeChat was asked %d times to open the switch, want once", n)
	}
	for _, secret := range l.world.wechat.Secrets() {
		if strings.Contains(screen.String(), secret) {
			t.Errorf("the terminal shows a secret")
		}
	}
}
