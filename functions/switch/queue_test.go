package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/trigger"
)

// queueOf makes the survey's queue.
func queueOf(world *functiontest.World) (url string) {
	url = world.AWS.CreateQueue("switch", awstest.VisibilityTimeout(90*time.Minute))
	world.Env["SWITCH_QUEUE_URL"] = url
	return url
}

// source hands the messages of a queue to the function, as Lambda's event source does.
type source struct {
	client *sqs.Client
	url    string
	f      *functiontest.Function
}

func newSource(world *functiontest.World, url string, f *functiontest.Function) source {
	s := source{url: url, f: f}
	world.Start(func(parts bootstrap.Deps) trigger.Router {
		s.client = sqs.NewFromConfig(parts.AWS)
		return trigger.Router{}
	})
	return s
}

// poll hands over one batch. It returns how many messages there were and which accounts' come again.
func (s source) poll(t *testing.T) (messages int, again []string) {
	t.Helper()
	received, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &s.url, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	var batch events.SQSEvent
	appIDs := make(map[string]string)
	for _, m := range received.Messages {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: *m.MessageId, ReceiptHandle: *m.ReceiptHandle,
			Body: *m.Body, Attributes: m.Attributes, EventSource: "aws:sqs"})
		var body struct{ AppID string }
		json.Unmarshal([]byte(*m.Body), &body)
		appIDs[*m.MessageId] = body.AppID
	}
	if len(batch.Records) == 0 {
		return 0, nil
	}
	failed := deliver(t, s.f, batch.Records...)
	for _, m := range received.Messages {
		if slices.Contains(failed, *m.MessageId) {
			again = append(again, appIDs[*m.MessageId])
			continue
		}
		if _, err := s.client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &s.url, ReceiptHandle: m.ReceiptHandle}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(again)
	return len(received.Messages), again
}

// deliver hands a batch to the function and returns the messages that it wants again.
func deliver(t *testing.T, f *functiontest.Function, records ...events.SQSMessage) (failed []string) {
	t.Helper()
	result, err := f.Invoke(t.Context(), events.SQSEvent{Records: records})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		BatchItemFailures *[]struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(result, &answer); err != nil || answer.BatchItemFailures == nil {
		t.Fatalf("answer %s: %v", result, err)
	}
	for _, one := range *answer.BatchItemFailures {
		failed = append(failed, one.ItemIdentifier)
	}
	slices.Sort(failed)
	return failed
}

func asking(id, appID string) events.SQSMessage {
	return events.SQSMessage{MessageId: id, EventSource: "aws:sqs", ReceiptHandle: "receipt of " + id,
		Body: fmt.Sprintf(`{"task": "check-switch", "appid": %q}`, appID)}
}

func TestSurveyByQueue(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StorePlatform()
	world.StoreComponentToken() // with which a refusal is confirmed
	url := queueOf(world)
	ids := appIDs(world, 8, false)
	for _, id := range []string{wechattest.ExampleOpen, wechattest.ExampleNotGranted, wechattest.ExampleRevoked, wechattest.ExampleOwn} {
		world.StoreAccountToken(id)
	}
	world.SetAccount(ids[0], fields{"status": "authorized", "draft_switch": "open"})
	world.SetAccount(ids[1], fields{"status": "unauthorized", "draft_switch": "closed"})
	world.SetAccount(wechattest.ExampleOpen, fields{"status": "authorized", "draft_switch": "closed"})
	f := world.Start(wire)

	want := surveyResult{Task: "check-switches", Accounts: 11, KnownOpen: 1, Queued: 10}
	if diff := cmp.Diff(want, runSurvey(t, f)); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if n := len(asked(world)); n != 0 {
		t.Errorf("the survey asked for %d accounts by itself", n)
	}
	if got := world.Account(ids[7]); got["status"] != "authorized" || got["draft_switch"] != "unknown" || got["appid"] != ids[7] {
		t.Errorf("an account that has but a token was recorded as %v", got)
	}
	if n := world.AWS.Calls("sqs:SendMessageBatch"); n != 1 {
		t.Errorf("%d batches for 10 messages", n)
	}
	bodies := make(map[string]bool)
	for _, m := range world.AWS.Messages(url) {
		bodies[m.Body] = true
	}
	if !bodies[`{"task":"check-switch","appid":"`+ids[2]+`"}`] || len(bodies) != 10 {
		t.Errorf("messages %v", slices.Sorted(maps.Keys(bodies)))
	}

	// One of them meets its quota, one a WeChat that is busy.
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(45011).For(ids[2]), wechattest.Refuse(-1).For(ids[3]).Times(3))
	sent := world.Clock.Now()
	s := newSource(world, url, f)
	messages, again := s.poll(t)
	if diff := cmp.Diff([]string{ids[2], ids[3]}, again); diff != "" || messages != 10 {
		t.Errorf("of %d messages these come again (-want +got):\n%s", messages, diff)
	}
	for _, m := range world.AWS.Messages(url) {
		if wait := m.Visible.Sub(sent); wait < time.Minute || wait > 2*time.Minute {
			t.Errorf("%s comes again after %v", m.Body, wait)
		}
	}
	world.Clock.Forward(2 * time.Minute)
	if messages, again := s.poll(t); messages != 2 || again != nil {
		t.Errorf("the second time %d messages, of which %v come again", messages, again)
	}
	wantStates := map[string]string{ids[0]: "open", ids[1]: "closed", wechattest.ExampleOpen: "open", wechattest.ExampleNotGranted: "unknown",
		wechattest.ExampleRevoked: "unknown", wechattest.ExampleOwn: "closed"}
	for _, id := range ids[2:] {
		wantStates[id] = "closed"
	}
	states := make(map[string]string)
	for id := range wantStates {
		states[id] = world.Account(id)["draft_switch"].(string)
	}
	if diff := cmp.Diff(wantStates, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	wantEvents := []string{"Account Unauthorized " + wechattest.ExampleRevoked, "Draft Switch Changed " + wechattest.ExampleOpen + " closed open"}
	if events, _ := happened(t, world); !slices.Equal(events, wantEvents) {
		t.Errorf("events %q", events)
	}
	if n := world.WeChat.OpenCalls(); n != 0 {
		t.Errorf("%d calls opened a switch", n)
	}
}

func TestMiniProgramsAreNotQueued(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	url := queueOf(world)
	world.StorePlatform()
	world.StoreComponentToken()
	ids := appIDs(world, 3, false)
	world.WeChat.AddAccount(wechattest.Account{AppID: ids[0], Name: "Tea", Authorized: true, MiniProgram: true})
	if got := runSurvey(t, world.Start(wire)); got.Accounts != 2 || got.Queued != 2 || len(world.AWS.Messages(url)) != 2 {
		t.Errorf("result %+v", got)
	}
	if got := world.Account(ids[0]); got["kind"] != "mini-program" || got["name"] != "Tea" || got["draft_switch"] != "unknown" {
		t.Errorf("recorded %v", got)
	}
}

func TestQueueTakesWhatItDidNotTakeAtFirst(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	url := queueOf(world)
	ids := setClosed(world, appIDs(world, 25, false))
	world.AWS.Fail("sqs:SendMessageBatch", awstest.FailEntries("InternalError", 0, 3), awstest.Throttle(), awstest.FailEntries("InternalError", 1))
	want := surveyResult{Task: "check-switches", Accounts: 25, Queued: 25}
	if diff := cmp.Diff(want, runSurvey(t, world.Start(wire))); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	var bodies []string
	for _, m := range world.AWS.Messages(url) {
		bodies = append(bodies, m.Body)
	}
	slices.Sort(bodies)
	if len(bodies) != 25 || len(slices.Compact(slices.Clone(bodies))) != 25 || !strings.Contains(bodies[24], ids[24]) {
		t.Errorf("messages %q", bodies)
	}
}

func TestQueueThatDoesNotTakeOne(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	queueOf(world)
	setClosed(world, appIDs(world, 11, false))
	world.AWS.Fail("sqs:SendMessageBatch", awstest.FailEntries("InternalError", 0).Sticky())
	want := surveyResult{Task: "check-switches", Accounts: 11, Queued: 9, Failed: 2}
	if diff := cmp.Diff(want, runSurvey(t, world.Start(wire))); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if n := len(world.Log.Lines("could not queue accounts")); n != 2 {
		t.Errorf("%d log lines", n)
	}
}

func TestSurveyWithoutItsQueue(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.Env["SWITCH_QUEUE_URL"] = "https://sqs.us-east-1.amazonaws.com/123456789012/gone"
	setClosed(world, appIDs(world, 30, false))
	_, err := startWith(world, (&sleeper{}).sleep).Invoke(t.Context(), fields{"task": "check-switches"})
	if err == nil || !strings.Contains(err.Error(), "sqs:SendMessageBatch") {
		t.Errorf("error %v", err)
	}
	if n := world.AWS.Calls("sqs:SendMessageBatch"); n != 1 {
		t.Errorf("%d tries of a queue that is not there", n)
	}
}

func TestMessagesThatAskForNothing(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	const secret = "queryauthcode@@@of-another-queue"
	ids := appIDs(world, 3, false)
	world.SetAccount(ids[0], fields{"status": "authorized", "draft_switch": "open"})
	world.SetAccount(ids[1], fields{"status": "unauthorized", "draft_switch": "closed"})
	world.SetAccount(ids[2], fields{"status": "authorized", "draft_switch": "unknown", "kind": "mini-program"})
	var batch []events.SQSMessage
	for i, body := range []string{
		"", "null", "[]", "0", secret, `"` + secret + `"`, `{"task": "check-switch"`, `{"task": "check-switch", "appid": "` + secret + `"}`,
		`{"task": "check-switch", "appid": ["` + ids[2] + `"]}`, `{"task": "check-switch", "appid": "wx1"}`,
		`{"task": "authorize", "appid": "` + ids[2] + `", "authorization_code": "` + secret + `"}`,
	} {
		batch = append(batch, events.SQSMessage{MessageId: fmt.Sprint("odd-", i), EventSource: "aws:sqs", Body: body})
	}
	malformed := len(batch)
	batch = append(batch, asking("open", ids[0]), asking("left", ids[1]), asking("mini program", ids[2]), asking("unheard-of", "wx0000000000000098"))
	if again := deliver(t, world.Start(wire), batch...); again != nil {
		t.Errorf("%q come again", again)
	}
	if n := world.WeChat.Calls(""); n != 0 {
		t.Errorf("%d calls of WeChat", n)
	}
	if lines := world.Log.Lines("asks for no account"); len(lines) != malformed || len(world.Log.Lines(`"message_id":"odd-4"`)) != 1 {
		t.Errorf("log lines %q", lines)
	}
	if lines := world.Log.Lines(secret); len(lines) != 0 {
		t.Errorf("the log quotes a message: %q", lines)
	}
	if n := world.AWS.Calls("dynamodb:UpdateItem"); n != 0 {
		t.Errorf("%d writes: what has neither an item nor a token is no account", n)
	}
}

func TestWhatIsWorthARepeat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault wechattest.Fault // always
		aws   string           // an operation that is throttled
		again bool
	}{
		"busy":              {fault: wechattest.Refuse(-1), again: true},
		"quota of a minute": {fault: wechattest.Refuse(45011), again: true},
		"quota of a day":    {fault: wechattest.Refuse(45009), again: true},
		"token refused":     {fault: wechattest.Refuse(40001), again: true},
		"token expired":     {fault: wechattest.Refuse(42001), again: true},
		"connection broken": {fault: wechattest.Reset(), again: true},
		"gateway error":     {fault: wechattest.Status(502, ""), again: true},
		"no JSON":           {fault: wechattest.Raw("<html>"), again: true},
		"not granted":       {fault: wechattest.Refuse(61007)},
		"revoked":           {fault: wechattest.Refuse(61003)},
		"restricted":        {fault: wechattest.Refuse(48004)},
		"whitelist":         {fault: wechattest.Refuse(61004)},
		"wrong token":       {fault: wechattest.Refuse(61015)},
		"retired":           {fault: wechattest.Refuse(48009)},
		"gone":              {fault: wechattest.Status(404, "")},
		"another code":      {fault: wechattest.Refuse(43002)},
		"no state":          {fault: wechattest.Raw(`{"errcode": 0, "errmsg": "ok"}`)},
		"reads throttled":   {aws: "dynamodb:GetItem", again: true},
		"secrets throttled": {aws: "secretsmanager:GetSecretValue", again: true},
		"writes throttled":  {aws: "dynamodb:UpdateItem", again: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			id := appIDs(world, 1, false)[0]
			world.SetAccount(id, fields{"status": "authorized", "draft_switch": "unknown"})
			before := world.Account(id)
			if test.aws != "" {
				world.AWS.Fail(test.aws, awstest.Throttle().Sticky())
			} else {
				world.WeChat.Fail("", test.fault.Always()) // of the count of drafts too
			}
			again := deliver(t, startWith(world, (&sleeper{}).sleep), asking("m", id))
			if slices.Contains(again, "m") != test.again {
				t.Errorf("comes again: %v; log: %q", again, world.Log.Lines("draft switch"))
			}
			// Only what the account itself is the reason of is recorded.
			recorded := []string{"not granted", "revoked", "restricted", "no state"}
			if !cmp.Equal(before, world.Account(id)) != slices.Contains(recorded, name) {
				t.Errorf("recorded %v", world.Account(id))
			}
		})
	}
}

func TestWhenMessagesComeAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault       wechattest.Fault
		received    int
		least, most time.Duration
	}{
		"the first time":    {wechattest.Refuse(45011), 1, time.Minute, 90 * time.Second},
		"the fifth time":    {wechattest.Refuse(45011), 5, 5 * time.Minute, 5*time.Minute + 30*time.Second},
		"quota of a day":    {wechattest.Refuse(45009), 1, 2 * time.Hour, 2*time.Hour + 30*time.Second}, // at 22:00 in Beijing
		"within SQS's span": {wechattest.Refuse(45011), 100_000, maxDelay, maxDelay},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			url := queueOf(world)
			beijing := world.Clock.Now().In(time.FixedZone("Beijing", 8*60*60))
			y, m, d := beijing.Date()
			world.Clock.Forward(time.Date(y, m, d+1, 22, 0, 0, 0, beijing.Location()).Sub(beijing))
			id := appIDs(world, 1, false)[0]
			f := world.Start(wire)
			runSurvey(t, f)
			world.WeChat.Fail(wechattest.PathSwitch, test.fault.Always())
			s := newSource(world, url, f)
			received, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
			if err != nil {
				t.Fatal(err)
			}
			m1 := asking("m", id)
			m1.ReceiptHandle = aws.ToString(received.Messages[0].ReceiptHandle)
			m1.Attributes = map[string]string{"ApproximateReceiveCount": fmt.Sprint(test.received)}
			now := world.Clock.Now()
			if again := deliver(t, f, m1); len(again) != 1 {
				t.Fatalf("%q come again", again)
			}
			wait := world.AWS.Messages(url)[0].Visible.Sub(now)
			if wait < test.least-time.Second || wait > test.most+2*time.Second {
				t.Errorf("comes again after %v", wait)
			}
		})
	}
}

func TestBatchEndsInTime(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	url := queueOf(world)
	appIDs(world, 10, false)
	f := world.Start(wire)
	runSurvey(t, f)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Hang().Always())
	var batch []events.SQSMessage
	for i, m := range world.AWS.Messages(url) {
		batch = append(batch, events.SQSMessage{MessageId: fmt.Sprint(i), Body: m.Body, ReceiptHandle: "lost", EventSource: "aws:sqs"})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	result, err := f.Invoke(ctx, events.SQSEvent{Records: batch})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("error %v, context %v", err, ctx.Err())
	}
	if n := strings.Count(string(result), "itemIdentifier"); n != 10 {
		t.Errorf("answer %s", result)
	}
	if n := len(world.Log.Lines("could not postpone")); n != 1 {
		t.Errorf("%d log lines of postponing what SQS does not know", n)
	}
}
