package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"wechat-draftbox/pkg/standin/wechattest"
)

// An upload reaches the chat through watch, event, rule, queue, batch and the robots, two of which require a
// signature.
func TestChat(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	l, screen := startLocal(t, "../../template.yaml", func(o *options) { o.basePath = "/box" })
	l.world.wechat.UploadDraft(wechattest.Draft{UserVersion: "7.7.7", SourceMiniProgram: "Tea House"})
	if status, _, body := call(t, "POST", l.url+"/_local/invoke/drafts", `{"task": "watch-drafts"}`); status != http.StatusOK {
		t.Fatalf("watch-drafts: %d %s", status, body)
	}
	var chat struct{ Messages []chatMessage }
	posted := func(robot, text string) bool {
		return slices.ContainsFunc(chat.Messages, func(m chatMessage) bool { return m.Robot == robot && strings.Contains(m.Text, text) })
	}
	eventually(t, "every robot posts the draft", func() bool {
		_, _, body := call(t, "GET", l.url+"/_local/chat", "")
		if err := json.Unmarshal([]byte(body), &chat); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return posted("wecom", "7.7.7") && posted("feishu", "7.7.7") && posted("dingtalk", "7.7.7") && posted("slack", "New draft")
	})
	if text := screen.String(); !strings.Contains(text, "chat      | slack: ") || !strings.Contains(text, "4 robots") {
		t.Error("the terminal shows nothing of the chat")
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	client := l.world.sqs()
	for name, test := range map[string]struct {
		from source
		want int
	}{
		"without a window":          {source{BatchSize: 25}, 10},
		"small, within a window":    {source{BatchSize: 4, Window: maxWindow}, 4},
		"large, within a window":    {source{BatchSize: 12, Window: maxWindow}, 12},
		"the window is over before": {source{BatchSize: 25, Window: maxWindow}, 13},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(fmt.Sprintf("gather-%d-%d", test.from.BatchSize, test.want))})
			if err != nil {
				t.Fatal(err)
			}
			for from := range 2 {
				var entries []types.SendMessageBatchRequestEntry
				for n := range []int{10, 3}[from] {
					entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(n)), MessageBody: aws.String("x")})
				}
				if _, err := client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: made.QueueUrl, Entries: entries}); err != nil {
					t.Fatal(err)
				}
			}
			batch, err := gather(t.Context(), client, test.from, made.QueueUrl)
			if err != nil || len(batch) != test.want {
				t.Errorf("a batch of %d, %v, want %d", len(batch), err, test.want)
			}
		})
	}
}

// Profiles and credentials of the shell have no effect without an emulator on this machine or -aws.
func TestWhichAWS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args, environ                  []string
		simulated, emulated, scheduled bool
	}{
		"nothing": {nil, nil, true, false, true},
		"profile": {nil, []string{"AWS_PROFILE=production", "AWS_ACCESS_KEY_ID=AKIA", "AWS_SECRET_ACCESS_KEY=x", "AWS_REGION=eu-west-1",
			"AWS_ENDPOINT_URL_SQS=https://sqs.eu-west-1.amazonaws.com"}, true, false, true},
		"emulator":           {nil, []string{"AWS_ENDPOINT_URL=http://localhost:4566", "AWS_PROFILE=production"}, false, true, true},
		"real":               {[]string{"-aws"}, []string{"WECHAT_API_BASE_URL=https://api.weixin.qq.com"}, false, false, false},
		"real, by its URL":   {[]string{"-aws"}, []string{"WECHAT_API_BASE_URL=https://w.test", "AWS_ENDPOINT_URL=https://aws.test"}, false, false, false},
		"real and schedules": {[]string{"-aws", "-schedules"}, []string{"WECHAT_API_BASE_URL=https://w.test"}, false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := readFlags(test.args, append(test.environ, "HOME=/home/me"), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			l := &local{options: o, world: &world{}, bundle: &bundle{Schedules: []schedule{{}}}}
			if l.options.simulatesAWS() != test.simulated || o.emulator() != test.emulated || len(l.schedules()) == 1 != test.scheduled {
				t.Errorf("simulated %v, emulated %v, schedules %v", o.simulatesAWS(), o.emulator(), l.schedules())
			}
			variables := l.variables()
			if isReal := !test.simulated && !test.emulated; !isReal {
				for _, name := range []string{"AWS_PROFILE", "AWS_ENDPOINT_URL_SQS", "HOME"} {
					if _, ok := variables[name]; ok {
						t.Errorf("%s reaches the functions", name)
					}
				}
			} else if variables["HOME"] == "" {
				t.Error("the SDK finds no profiles")
			}
			if test.emulated && (variables["AWS_ENDPOINT_URL"] != "http://localhost:4566" || variables["AWS_ACCESS_KEY_ID"] != "local") {
				t.Errorf("the emulator is not reached: %v", variables)
			}
		})
	}
}

// A rebound DNS name reaches neither the API nor a stand-in.
func TestRebinding(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, nil)
	for _, url := range []string{l.url + "/_sim/state", l.world.wechatURL + "/_sim/state", l.world.awsURL + "/"} {
		for host, want := range map[string]bool{"evil.example:3001": true, "localhost:3001": false} {
			request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if refused := answer.StatusCode == http.StatusMisdirectedRequest; refused != want {
				t.Errorf("%s by the name %s: %d", url, host, answer.StatusCode)
			}
		}
	}
}

// With a base path, the API is served only below it, and the functions see it only in the path.
func TestBasePath(t *testing.T) {
	t.Parallel()
	l, _ := startLocal(t, echoTemplate, func(o *options) { o.basePath = "/box" })
	root := strings.TrimSuffix(l.url, "/box")
	if root == l.url {
		t.Fatalf("served at %s", l.url)
	}
	var e struct {
		RouteKey, RawPath string
		PathParameters    map[string]string
	}
	if status, _, body := call(t, "GET", l.url+"/echo/a%2531", ""); status != http.StatusCreated || json.Unmarshal([]byte(body), &e) != nil {
		t.Fatalf("GET /box/echo/a%%2531: %d %s", status, body)
	}
	if e.RouteKey != "GET /echo/{name}" || e.RawPath != "/box/echo/a%31" || e.PathParameters["name"] != "a%31" {
		t.Errorf("event %+v", e)
	}
	for url, want := range map[string]int{
		root + "/echo/a": 404, l.url + "/": 200, l.url + "/_sim/state": 200, root + "/_sim/state": 200, root + "/_local/chat": 200, l.url + "/echo/a/": 404,
	} {
		if status, _, body := call(t, "GET", url, ""); status != want {
			t.Errorf("GET %s: %d %s, want %d", url, status, body, want)
		}
	}
}
