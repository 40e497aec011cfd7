package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/robottest"
)

func TestOneMessageARobot(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.send(uploaded("1"), uploaded("2"), uploaded("1"), envelope("e", "Token Refresh Failed", `{"appid":"","errcode":61004,"errmsg":"no","action":"act"}`))
	if messages, again := s.poll(); messages != 4 || again != 0 {
		t.Fatalf("of %d messages %d come again", messages, again)
	}
	s.wantTaken(each)
	for _, r := range made {
		text := s.text(r.Name)
		for _, once := range []string{"version-1", "version-2", "Token refresh failed"} {
			if strings.Count(text, once) != 1 {
				t.Errorf("%s: not once %q in\n%s", r.Name, once, text)
			}
		}
	}
	for _, id := range []string{"1", "2", "e"} {
		item, _ := s.world.AWS.Item(functiontest.StateTable, "notice", id)
		expires, _ := item["expires"].(json.Number)
		if seconds, _ := expires.Int64(); item["robot/wecom"] == nil || item["robot/slack"] == nil || seconds < s.world.Clock.Now().Add(48*time.Hour).Unix() {
			t.Errorf("remembered of %s: %v", id, item)
		}
	}
	s.send(uploaded("1"), uploaded("2")) // a repeat, in another batch
	s.poll()
	s.wantTaken(each)
	s.send(uploaded("3"))
	s.poll()
	if n := s.world.AWS.Calls("secretsmanager:GetSecretValue"); n != 1 {
		t.Errorf("%d reads of the secret", n)
	}
}

func TestRobotsHearWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{
		"wecom":  {},
		"feishu": {"events": []string{"Push Received", "Token Rejected"}, "language": "zh", "prefix": "【运维】"},
		"slack":  {"events": []string{}},
	})
	s.send(envelope("1", "Push Received", `{"id":"p","info_type":"notify_x"}`), envelope("2", "Token Rejected", `{"appid":"","errcode":42001}`),
		envelope("3", "Draft Switch Changed", `{"id":"s","appid":"wx0000000000000001","from":"closed","to":"open"}`), envelope("4", "Something New", `{"id":"n"}`))
	if _, again := s.poll(); again != 0 {
		t.Errorf("%d come again", again)
	}
	s.wantTaken(map[string]int{"wecom": 1, "feishu": 1})
	if text := s.text("wecom"); strings.Contains(text, "Push") || !strings.Contains(text, "from closed to open") {
		t.Errorf("wecom was told %s", text)
	}
	if text := s.text("feishu"); !strings.HasPrefix(text, "【运维】\n") || !strings.Contains(text, "收到推送：notify_x") || !strings.Contains(text, "令牌被拒绝") {
		t.Errorf("feishu was told %s", text)
	}
	if _, there := s.world.AWS.Item(functiontest.StateTable, "notice", "n"); there {
		t.Error("what nobody asked for is remembered")
	}
}

func TestWithoutRobots(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"no secret": "", "no robots": `{"robots": []}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			if text != "" {
				world.AWS.SetSecret(secretID, text)
			}
			f := world.Start(wire)
			for range 2 {
				result, err := f.Invoke(t.Context(), events.SQSEvent{Records: []events.SQSMessage{record("m", uploaded("1"))}})
				if err != nil || string(result) != `{"batchItemFailures":[]}` {
					t.Errorf("got %s, %v", result, err)
				}
			}
			if n := world.AWS.Calls(""); n != 1 {
				t.Errorf("%d calls of AWS: one read of the secret is enough", n)
			}
			result, err := f.Invoke(t.Context(), map[string]string{"task": "notify-test"})
			if err != nil || string(result) != `{"task":"notify-test","robots":[]}` {
				t.Errorf("got %s, %v", result, err)
			}
		})
	}
}

func TestMalformedSecret(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{"slack": {"url": "ftp://" + made[3].Key}})
	s.send(uploaded("1"))
	_, _, err := s.tryPoll(t.Context())
	if err == nil || !strings.Contains(err.Error(), secretID+" is malformed: robots[0] has no url") {
		t.Errorf("got %v", err)
	}
	if _, err := s.f.Invoke(t.Context(), map[string]string{"task": "notify-test"}); err == nil || !strings.Contains(err.Error(), "robots[0] has no url") {
		t.Errorf("got %v", err)
	}
	s.store(nil)
	s.world.Clock.Forward(4 * time.Minute) // the queue's visibility timeout
	if messages, again := s.poll(); messages != 1 || again != 0 {
		t.Errorf("of %d messages %d come again when the secret is mended", messages, again)
	}
	s.wantTaken(each)
}

func TestSecretThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.world.AWS.Fail("secretsmanager:GetSecretValue", awstest.Throttle().Sticky())
	s.send(uploaded("1"))
	if _, again := s.poll(); again != 1 {
		t.Errorf("%d come again", again)
	}
	s.world.AWS.Heal("")
	s.world.AWS.Fail("secretsmanager:GetSecretValue", awstest.Deny())
	s.world.Clock.Forward(time.Minute)
	if _, _, err := s.tryPoll(t.Context()); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("what takes somebody to mend must be an error: %v", err)
	}
}

// A retry goes only to the robot that failed, and nothing is lost.
func TestOneRobotFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]robottest.Fault{
		"refuses":      robottest.Refuse(93000, "invalid webhook url"),
		"is broken":    robottest.Answer(500, "oops"),
		"sends a page": robottest.HTML(),
		"drops":        robottest.Drop(),
		"redirects":    robottest.Answer(302, "", "Location", "http://127.0.0.1:1/"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, nil)
			s.chat.Fail("feishu", fault)
			s.send(uploaded("1"), uploaded("2"))
			if messages, again := s.poll(); messages != 2 || again != 2 {
				t.Errorf("of %d messages %d come again", messages, again)
			}
			if least, most := s.wait(); least < 59*time.Second || most > 61*time.Second {
				t.Errorf("they come again after %v to %v", least, most)
			}
			s.wantTaken(map[string]int{"wecom": 1, "dingtalk": 1, "slack": 1})
			s.world.Clock.Forward(61 * time.Second)
			s.send(uploaded("3"))
			if messages, again := s.poll(); messages != 3 || again != 0 {
				t.Errorf("of %d messages %d come again", messages, again)
			}
			s.wantTaken(map[string]int{"wecom": 2, "dingtalk": 2, "slack": 2, "feishu": 1})
			for _, version := range []string{"version-1", "version-2", "version-3"} {
				for _, r := range made {
					if n := strings.Count(s.text(r.Name), version); n != 1 {
						t.Errorf("%s was told of %s %d times", r.Name, version, n)
					}
				}
			}
			if lines := s.world.Log.Lines(`"robot":"feishu"`); len(lines) != 1 {
				t.Errorf("log lines %q", lines)
			}
		})
	}
}

func TestOneRobotHangs(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.chat.Fail("slack", robottest.Hang())
	s.send(uploaded("1"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, again, err := s.tryPoll(ctx); again != 1 || err != nil || ctx.Err() != nil {
		t.Errorf("%d come again, %v, %v", again, err, ctx.Err())
	}
	s.wantTaken(map[string]int{"wecom": 1, "dingtalk": 1, "feishu": 1})
	s.world.Clock.Forward(2 * time.Minute)
	s.poll()
	s.wantTaken(each)
}

// The robot accepted the message but its response was lost: it gets the message twice rather than never.
func TestAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.chat.Fail("wecom", robottest.DropAfter())
	s.send(uploaded("1"))
	s.poll()
	s.world.Clock.Forward(2 * time.Minute)
	s.poll()
	s.wantTaken(map[string]int{"wecom": 2, "dingtalk": 1, "feishu": 1, "slack": 1})
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	for kind, pause := range map[robot.Kind]time.Duration{
		robot.WeCom: time.Minute, robot.DingTalk: 10 * time.Minute, robot.Feishu: time.Minute, robot.Slack: time.Minute, // it asks for 30 s
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, map[string]map[string]any{string(kind): {}})
			s.chat.Fail(string(kind), robottest.TooMany(kind))
			s.send(uploaded("1"))
			s.poll()
			if least, _ := s.wait(); least < pause-2*time.Second || least > pause+time.Second {
				t.Errorf("comes again after %v, want %v", least, pause)
			}
			s.send(uploaded("2")) // meanwhile the robot is left alone
			if _, again := s.poll(); again != 1 || s.chat.Requests(string(kind)) != 1 {
				t.Errorf("%d come again, after %d requests", again, s.chat.Requests(string(kind)))
			}
			s.world.Clock.Forward(pause + 2*time.Second)
			if messages, again := s.poll(); messages != 2 || again != 0 {
				t.Errorf("of %d messages %d come again", messages, again)
			}
			s.wantTaken(map[string]int{string(kind): 1})
		})
	}
}

func TestAnHourOfRetriesThenDeadLetters(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{"wecom": {}})
	s.chat.Fail("wecom", robottest.Refuse(93000, "invalid webhook url").Sticky())
	s.send(uploaded("1"))
	start := s.world.Clock.Now()
	for len(s.world.AWS.Messages(s.dead)) == 0 {
		s.poll()
		s.world.Clock.Forward(30 * time.Second)
		if s.world.Clock.Now().Sub(start) > 3*time.Hour {
			t.Fatal("it never gets there")
		}
	}
	if took := s.world.Clock.Now().Sub(start); took < 55*time.Minute || took > 75*time.Minute {
		t.Errorf("dead after %v", took)
	}
	if n := s.chat.Requests("wecom"); n != 15 {
		t.Errorf("%d tries", n)
	}
}

func TestTableIsDown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{"throttled": awstest.Throttle(), "denied": awstest.Deny(), "dropped": awstest.Drop()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, nil)
			s.world.AWS.Fail("dynamodb:BatchGetItem", fault.Sticky())
			s.send(uploaded("1"), envelope("x", "Token Rejected", `{"appid":""}`)) // nobody asked for the second one
			if _, again := s.poll(); again != 1 {
				t.Errorf("%d come again", again)
			}
			s.wantTaken(nil) // who took what isn't known
			s.world.AWS.Heal("")
			s.world.Clock.Forward(2 * time.Minute)
			s.poll()
			s.wantTaken(each)
		})
	}
}

// A delivery that can't be recorded, as in a crash: at worst an event is delivered twice, and only if another robot has
// it sent again.
func TestCrashBeforeItIsRemembered(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{"wecom": {}, "slack": {}})
	s.world.AWS.Fail("dynamodb:UpdateItem", awstest.Throttle().Sticky())
	s.send(uploaded("1"))
	if _, again := s.poll(); again != 0 {
		t.Errorf("%d come again though all robots took it", again)
	}
	s.chat.Fail("slack", robottest.Drop())
	s.send(uploaded("2"))
	if _, again := s.poll(); again != 1 {
		t.Errorf("%d come again", again)
	}
	s.world.AWS.Heal("")
	s.world.Clock.Forward(2 * time.Minute)
	s.poll()
	s.wantTaken(map[string]int{"wecom": 3, "slack": 2})
	if len(s.world.Log.Lines("could not record what a robot took")) == 0 {
		t.Error("nobody is told")
	}
}

func TestLostAnswersOfTheTable(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.world.AWS.Fail("dynamodb:UpdateItem", awstest.DropAfter(), awstest.DropAfter())
	s.world.AWS.Fail("dynamodb:BatchGetItem", awstest.DropAfter())
	s.send(uploaded("1"))
	s.poll()
	s.send(uploaded("1"))
	s.poll()
	s.wantTaken(each)
}

// The function crashes while robots are called: at worst messages are sent twice, and nothing is lost.
func TestFunctionDies(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{"wecom": {}, "slack": {}})
	ctx, die := context.WithCancel(t.Context())
	s.chat.Fail("slack", robottest.After(die))
	s.send(uploaded("1"))
	s.tryPoll(ctx)
	s.world.Clock.Forward(5 * time.Minute)
	s.f = s.world.Start(wire)
	if messages, again := s.poll(); messages != 1 || again != 0 {
		t.Errorf("of %d messages %d come again", messages, again)
	}
	if wecom, slack := len(s.chat.Messages("wecom")), len(s.chat.Messages("slack")); wecom < 1 || wecom > 2 || slack != 2 {
		t.Errorf("wecom took %d, slack %d", wecom, slack)
	}
}

func TestMessagesThatAreNoEvents(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	const hidden = "queryauthcode@@@of-another-queue"
	s.send("null", hidden, `{"task": "authorize", "authorization_code": "`+hidden+`"}`, uploaded("1"))
	if messages, again := s.poll(); messages != 4 || again != 0 {
		t.Errorf("of %d messages %d come again", messages, again)
	}
	s.wantTaken(each)
	if lines := s.world.Log.Lines("is no event"); len(lines) != 3 || len(s.world.Log.Lines(hidden)) != 0 {
		t.Errorf("log lines %q", lines)
	}
}

func TestLargeBatch(t *testing.T) {
	t.Parallel()
	s := newScene(t, map[string]map[string]any{"wecom": {}})
	var batch events.SQSEvent
	for n := range 250 { // more than DynamoDB reads at once
		batch.Records = append(batch.Records, record(fmt.Sprint(n), uploaded(fmt.Sprint(n))))
	}
	result, err := s.f.Invoke(t.Context(), batch)
	if err != nil || string(result) != `{"batchItemFailures":[]}` {
		t.Fatalf("got %s, %v", result, err)
	}
	s.wantTaken(map[string]int{"wecom": 1})
	if text := s.text("wecom"); !strings.Contains(text[len(text)-20:], " more") {
		t.Errorf("the end is %q", text[len(text)-20:])
	}
	if n := s.world.AWS.Calls("dynamodb:UpdateItem"); n != 250 {
		t.Errorf("%d remembered", n)
	}
}

func TestTestTask(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.chat.Fail("dingtalk", robottest.Refuse(310000, "sign not match"))
	result, err := s.f.Invoke(t.Context(), map[string]string{"task": "notify-test"})
	if err != nil {
		t.Fatal(err)
	}
	var got testResult
	json.Unmarshal(result, &got)
	const accepted = "the message was accepted"
	want := testResult{"notify-test", []testedRobot{{"wecom", true, accepted}, {"dingtalk", false, "it refused the message: 310000 sign not match"},
		{"feishu", true, accepted}, {"slack", true, accepted}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	s.wantTaken(map[string]int{"wecom": 1, "feishu": 1, "slack": 1})
	if n := s.world.AWS.Calls("dynamodb:UpdateItem"); n != 0 {
		t.Errorf("%d writes for a test", n)
	}
	s.store(map[string]map[string]any{"slack": {}}) // it reads what the operator stored just now
	if result, err := s.f.Invoke(t.Context(), map[string]string{"task": "notify-test"}); err != nil || strings.Count(string(result), `"name"`) != 1 {
		t.Errorf("got %s, %v", result, err)
	}
}

func TestOtherEvents(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	_, err := world.Start(wire).Invoke(t.Context(), json.RawMessage(uploaded("1")))
	if err == nil || !strings.Contains(err.Error(), `{"task": "notify-test"}, an SQS batch`) {
		t.Errorf("got %v", err)
	}
}

func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	s := newScene(t, nil)
	s.chat.Fail("wecom", robottest.Drop())
	s.send(uploaded("1"))
	s.poll()
	if _, err := s.f.Invoke(t.Context(), `{}`); err == nil {
		t.Error("an event of no trigger was taken")
	}
	s.world.WantWatched()
}
