package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
)

// start returns a stand-in and clients that don't retry.
func start(t *testing.T, opts ...awstest.Option) (*awstest.Server, clients) {
	t.Helper()
	server := awstest.New(opts...)
	endpoint := httptest.NewServer(server)
	t.Cleanup(endpoint.Close)
	cfg := server.Config(endpoint.URL)
	cfg.RetryMaxAttempts = 1
	return server, clientsOf(cfg)
}

// clock is moved by a test.
type clock struct{ unix atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unix.Store(1767323045)
	return c
}

func (c *clock) now() time.Time          { return time.Unix(c.unix.Load(), 0) }
func (c *clock) advance(d time.Duration) { c.unix.Add(int64(d / time.Second)) }

func code(err error) string {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

func getSecret(ctx context.Context, c clients, name string) (string, error) {
	out, err := c.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.SecretString), nil
}

func TestSecretVersions(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	first := server.SetSecret("s", "one")
	if _, err := c.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("two")}); err != nil {
		t.Fatal(err)
	}
	third := server.SetSecret("s", "three")

	type shown struct {
		Value  string
		Stages []string
	}
	var got []shown
	for _, v := range server.SecretVersions("s") {
		got = append(got, shown{v.Value, v.Stages})
	}
	want := []shown{{"one", nil}, {"two", []string{"AWSPREVIOUS"}}, {"three", []string{"AWSCURRENT"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if value, id, ok := server.Secret("s"); value != "three" || id != third || !ok {
		t.Errorf("Secret = %q, %q, %v", value, id, ok)
	}
	old, err := c.secrets.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("s"), VersionId: &first})
	if err != nil || *old.SecretString != "one" {
		t.Errorf("a superseded version: %v, %v", old, err)
	}
	if _, _, ok := server.Secret("none"); ok {
		t.Error("a secret that is not there was found")
	}
}

func TestOldSecretVersionsGo(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server := awstest.New(awstest.WithClock(clock.now))
	for range 150 {
		server.SetSecret("s", "v")
		clock.advance(time.Minute)
	}
	if got := len(server.SecretVersions("s")); got != 150 {
		t.Errorf("%d versions of one day, want all 150", got)
	}
	clock.advance(24 * time.Hour)
	current := server.SetSecret("s", "v")
	versions := server.SecretVersions("s")
	if len(versions) != 100 || versions[99].ID != current {
		t.Errorf("%d versions a day later, want the newest 100", len(versions))
	}
}

// Of many concurrent moves of AWSCURRENT from the same version, one succeeds.
func TestUpdateSecretVersionStageIsCompareAndSwap(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	first := server.SetSecret("s", "one")
	var candidates []string
	for i := range 20 {
		out, err := c.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
			SecretId: aws.String("s"), SecretString: aws.String(fmt.Sprint(i)), VersionStages: []string{fmt.Sprint("CANDIDATE", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		candidates = append(candidates, *out.VersionId)
	}
	var won atomic.Int32
	var group sync.WaitGroup
	for _, id := range candidates {
		group.Go(func() {
			_, err := c.secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
				SecretId: aws.String("s"), VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &id, RemoveFromVersionId: &first,
			})
			var refused *smtypes.InvalidParameterException
			switch {
			case err == nil:
				won.Add(1)
			case !errors.As(err, &refused):
				t.Errorf("the losers see InvalidParameterException, not %v", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers won", won.Load())
	}
}

func TestRefusedMoveChangesNothing(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	first := server.SetSecret("s", "one")
	_, err := c.secrets.UpdateSecretVersionStage(t.Context(), &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: aws.String("s"), VersionStage: aws.String("AWSCURRENT"),
		MoveToVersionId: aws.String("00000000-0000-4000-8000-000000000000"), RemoveFromVersionId: &first,
	})
	if err == nil {
		t.Fatal("a move to an unknown version succeeded")
	}
	if value, _, _ := server.Secret("s"); value != "one" {
		t.Errorf("after a refused move the secret is %q", value)
	}
}

func TestDeletedSecretGoesWhenItsWindowIsOver(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server, c := start(t, awstest.WithClock(clock.now))
	server.SetSecret("s", "one")
	if _, err := c.secrets.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("s"), RecoveryWindowInDays: aws.Int64(7)}); err != nil {
		t.Fatal(err)
	}
	clock.advance(7*24*time.Hour - time.Second)
	if _, err := getSecret(t.Context(), c, "s"); code(err) != "InvalidRequestException" {
		t.Errorf("within the window: %v", err)
	}
	clock.advance(time.Second)
	if _, err := getSecret(t.Context(), c, "s"); code(err) != "ResourceNotFoundException" {
		t.Errorf("after the window: %v", err)
	}
}

func TestBatchLimits(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	var ids []string
	for i := range 21 {
		ids = append(ids, fmt.Sprintf("b/%02d", i))
		server.SetSecret(ids[i], "v")
	}
	if _, err := c.secrets.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: ids}); code(err) != "ValidationException" {
		t.Errorf("21 ids: %v", err)
	}
	filters := []smtypes.Filter{{Key: smtypes.FilterNameStringTypeName, Values: []string{"b/"}}}
	page, err := c.secrets.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{Filters: filters})
	if err != nil || len(page.SecretValues) != 20 || page.NextToken == nil {
		t.Fatalf("first page: %v", err)
	}
	page, err = c.secrets.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{Filters: filters, NextToken: page.NextToken})
	if err != nil || len(page.SecretValues) != 1 || page.NextToken != nil {
		t.Errorf("second page: %v", err)
	}
}

func TestParameterTiers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		was, tier ssmtypes.ParameterTier
		size      int
		want      string // the tier, or an error's code
	}{
		"standard":                        {"", "Standard", 4096, "Standard"},
		"no tier":                         {"", "", 4096, "Standard"},
		"too long for standard":           {"", "Standard", 4097, "ValidationException"},
		"too long for no tier":            {"", "", 4097, "ValidationException"},
		"advanced":                        {"", "Advanced", 8192, "Advanced"},
		"too long for advanced":           {"", "Advanced", 8193, "ValidationException"},
		"intelligent, short":              {"", "Intelligent-Tiering", 4096, "Standard"},
		"intelligent, long":               {"", "Intelligent-Tiering", 4097, "Advanced"},
		"intelligent, too long":           {"", "Intelligent-Tiering", 8193, "ValidationException"},
		"intelligent grows":               {"Standard", "Intelligent-Tiering", 4097, "Advanced"},
		"intelligent never shrinks":       {"Advanced", "Intelligent-Tiering", 1, "Advanced"},
		"advanced is not made standard":   {"Advanced", "Standard", 1, "ValidationException"},
		"advanced stays without a tier":   {"Advanced", "", 8192, "Advanced"},
		"standard is made advanced":       {"Standard", "Advanced", 1, "Advanced"},
		"characters of more than a byte":  {"", "Standard", 4098, "ValidationException"},
		"standard stays without any tier": {"Standard", "", 1, "Standard"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := start(t)
			put := func(tier ssmtypes.ParameterTier, size int) (string, error) {
				value := strings.Repeat("草", size/3) + strings.Repeat("x", size%3)
				out, err := c.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
					Name: aws.String("/p"), Value: &value, Type: ssmtypes.ParameterTypeString, Tier: tier, Overwrite: aws.Bool(true),
				})
				if err != nil {
					return code(err), err
				}
				return string(out.Tier), nil
			}
			if test.was != "" {
				if _, err := put(test.was, 1); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := put(test.tier, test.size); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestStandardParametersAreLimited(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	for i := range 10_000 {
		server.SetParameter(fmt.Sprintf("/p/%05d", i), "v")
	}
	put := func(tier ssmtypes.ParameterTier) (*ssm.PutParameterOutput, error) {
		return c.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: aws.String("/one/more"), Value: aws.String("v"), Type: ssmtypes.ParameterTypeString, Tier: tier,
		})
	}
	var limit *ssmtypes.ParameterLimitExceeded
	if _, err := put(ssmtypes.ParameterTierStandard); !errors.As(err, &limit) {
		t.Errorf("the 10,001st standard parameter: %v", err)
	}
	if out, err := put(ssmtypes.ParameterTierIntelligentTiering); err != nil || out.Tier != ssmtypes.ParameterTierAdvanced {
		t.Errorf("the 10,001st with intelligent tiering: %v, %v", out, err)
	}
	// Ten a page, each secret once.
	seen := make(map[string]bool)
	pages := ssm.NewGetParametersByPathPaginator(c.parameters, &ssm.GetParametersByPathInput{Path: aws.String("/p")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parameters {
			seen[*p.Name] = true
		}
	}
	if len(seen) != 10_000 || server.Calls("ssm:GetParametersByPath") != 1000 {
		t.Errorf("%d parameters in %d pages", len(seen), server.Calls("ssm:GetParametersByPath"))
	}
	if got := len(server.Parameters("/p/0001")); got != 10 {
		t.Errorf("%d parameters by prefix", got)
	}
}

func TestSecureStringIsOfNoUseUndecrypted(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.SetSecureParameter("/s", "hidden")
	out, err := c.parameters.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/s")})
	if err != nil || strings.Contains(*out.Parameter.Value, "hidden") || *out.Parameter.Value == "" {
		t.Errorf("undecrypted: %v, %v", out, err)
	}
	if value, version, ok := server.Parameter("/s"); value != "hidden" || version != 1 || !ok {
		t.Errorf("Parameter = %q, %d, %v", value, version, ok)
	}
}

func TestParameterVersionsAreLimited(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	for i := range 105 {
		server.SetParameter("/p", fmt.Sprint(i+1))
	}
	first, err := c.parameters.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/p")})
	if err != nil || len(first.Parameters) != 50 || first.Parameters[0].Version != 6 {
		t.Fatalf("first page: %v, %v", first, err)
	}
	second, err := c.parameters.GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: aws.String("/p"), NextToken: first.NextToken})
	if err != nil || len(second.Parameters) != 50 || *second.Parameters[49].Value != "105" || second.NextToken != nil {
		t.Errorf("second page: %v, %v", second, err)
	}
}

func draftEvent(detail string) ebtypes.PutEventsRequestEntry {
	return ebtypes.PutEventsRequestEntry{
		Source: aws.String("wechat.draftbox"), DetailType: aws.String("Draft Uploaded"), Detail: &detail,
		EventBusName: aws.String("arn:aws:events:us-east-1:123456789012:event-bus/drafts"), Time: aws.Time(time.Unix(1700000000, 0)),
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	var heard []string
	server.OnEvent(func(e awstest.Event) {
		heard = append(heard, string(e.Detail))
		server.Events() // a listener may use the server
	})
	server.Fail("events:PutEvents", awstest.FailEntries("ThrottlingException", 1))
	out, err := c.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		draftEvent(`{"id":1}`), draftEvent(`{"id":2}`), draftEvent(`{"id":3}`), draftEvent(`[]`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, e := range out.Entries {
		codes = append(codes, aws.ToString(e.ErrorCode))
	}
	if diff := cmp.Diff([]string{"", "ThrottlingException", "", "MalformedDetail"}, codes); diff != "" || out.FailedEntryCount != 2 {
		t.Errorf("%d failed (-want +got):\n%s", out.FailedEntryCount, diff)
	}
	if diff := cmp.Diff([]string{`{"id":1}`, `{"id":3}`}, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	want := awstest.Event{
		ID: *out.Entries[0].EventId, Bus: "drafts", Source: "wechat.draftbox", DetailType: "Draft Uploaded",
		Detail: json.RawMessage(`{"id":1}`), Time: time.Unix(1700000000, 0).UTC(),
	}
	if diff := cmp.Diff(want, server.Events()[0]); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestEventSize(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	// 14 for the time, 15 and 14 for source and type, 8 for {"a":""}.
	for size, want := range map[int]string{262144: "", 262145: "ValidationException"} {
		detail := `{"a":"` + strings.Repeat("x", size-14-15-14-8) + `"}`
		_, err := c.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{draftEvent(detail)}})
		if got := strings.TrimPrefix(code(err), "<nil>"); got != want {
			t.Errorf("%d bytes: %q, want %q", size, got, want)
		}
	}
}

func TestQueueByAnInjectedClock(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server, c := start(t, awstest.WithClock(clock.now))
	dead := server.CreateQueue("dead")
	url := server.CreateQueue("work", awstest.VisibilityTimeout(time.Minute), awstest.DeadLetters(dead, 2))
	if _, err := c.queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("m"), DelaySeconds: 10}); err != nil {
		t.Fatal(err)
	}
	receive := func() int {
		out, err := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Messages)
	}
	for i, step := range []struct {
		advance time.Duration
		want    int
	}{{9 * time.Second, 0}, {time.Second, 1}, {59 * time.Second, 0}, {time.Second, 1}, {time.Hour, 0}} {
		clock.advance(step.advance)
		if got := receive(); got != step.want {
			t.Fatalf("step %d: %d messages, want %d", i, got, step.want)
		}
	}
	if got := server.Messages(dead); len(got) != 1 || got[0].Body != "m" || got[0].Received != 2 {
		t.Errorf("dead letters: %+v", got)
	}
	if got := server.Messages(url); len(got) != 0 {
		t.Errorf("still in the queue: %+v", got)
	}
	clock.advance(5 * 24 * time.Hour)
	if out, err := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &dead}); err != nil || len(out.Messages) != 0 {
		t.Errorf("a message outlived its retention: %v, %v", out, err)
	}
}

func TestStaleReceiptDeletesNothing(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	url := server.CreateQueue("work", awstest.VisibilityTimeout(0))
	if _, err := c.queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("m")}); err != nil {
		t.Fatal(err)
	}
	var receipts []*string
	for range 2 {
		out, err := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("%v, %v", out, err)
		}
		receipts = append(receipts, out.Messages[0].ReceiptHandle)
	}
	for i, want := range []int{1, 0} {
		if _, err := c.queues.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: receipts[i]}); err != nil {
			t.Fatal(err)
		}
		if got := len(server.Messages(url)); got != want {
			t.Errorf("after receipt %d: %d messages, want %d", i, got, want)
		}
	}
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	url := server.CreateQueue("work")
	var group sync.WaitGroup
	group.Go(func() {
		time.Sleep(100 * time.Millisecond)
		c.queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("m")})
	})
	began := time.Now()
	out, err := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 10})
	if err != nil || len(out.Messages) != 1 || time.Since(began) > 5*time.Second {
		t.Errorf("%v, %v after %v", out, err, time.Since(began))
	}
	group.Wait()

	// A poll whose client disconnected takes no message.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	other := server.CreateQueue("other")
	if _, err := c.queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &other, WaitTimeSeconds: 10}); err == nil {
		t.Error("the poll outlived its client")
	}
}

func TestBatchEntryFailures(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	url := server.CreateQueue("work")
	server.Fail("sqs:SendMessageBatch", awstest.FailEntries("InternalError", 0, 2))
	var entries []sqstypes.SendMessageBatchRequestEntry
	for i := range 3 {
		entries = append(entries, sqstypes.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(fmt.Sprint(i))})
	}
	out, err := c.queues.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
	if err != nil || len(out.Failed) != 2 || *out.Failed[0].Code != "InternalError" || out.Failed[0].SenderFault || len(out.Successful) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := server.Messages(url); len(got) != 1 || got[0].Body != "1" {
		t.Errorf("in the queue: %+v", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	isCode := func(want string) func(error) bool {
		return func(err error) bool { return code(err) == want }
	}
	broken := func(err error) bool { return err != nil && code(err) == fmt.Sprint(err) }
	tests := map[string]struct {
		fault   awstest.Fault
		failed  func(error) bool
		written bool
	}{
		"none":       {awstest.Delay(0), func(err error) bool { return err == nil }, true},
		"late":       {awstest.Delay(10 * time.Millisecond), func(err error) bool { return err == nil }, true},
		"too late":   {awstest.Delay(time.Minute), broken, false},
		"throttled":  {awstest.Throttle(), isCode("ThrottlingException"), false},
		"denied":     {awstest.Deny(), isCode("AccessDeniedException"), false},
		"failing":    {awstest.Refuse("InternalServerError", http.StatusInternalServerError), isCode("InternalServerError"), false},
		"hanging":    {awstest.Hang(), broken, false},
		"dropped":    {awstest.Drop(), broken, false},
		"lost":       {awstest.DropAfter(), broken, true},
		"garbage":    {awstest.Garbage(), broken, true},
		"elsewhere":  {awstest.Deny().On("/other"), func(err error) bool { return err == nil }, true},
		"right here": {awstest.Deny().On("/p"), isCode("AccessDeniedException"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c := start(t)
			server.Fail("ssm:PutParameter", test.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := c.parameters.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/p"), Value: aws.String("v"), Type: ssmtypes.ParameterTypeString})
			if !test.failed(err) {
				t.Errorf("error %v", err)
			}
			if _, _, written := server.Parameter("/p"); written != test.written {
				t.Errorf("written %v, want %v", written, test.written)
			}
			if got := server.Calls("ssm:PutParameter"); got != 1 {
				t.Errorf("%d calls", got)
			}
		})
	}
}

func TestFaultsComeInOrderAndHeal(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.SetSecret("s", "v")
	server.Fail("secretsmanager:*", awstest.Refuse("Last", 400).Sticky())
	server.Fail("secretsmanager:GetSecretValue", awstest.Refuse("First", 400), awstest.Refuse("Second", 400))
	for _, want := range []string{"First", "Second", "Last", "Last"} {
		if _, err := getSecret(t.Context(), c, "s"); code(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	server.Heal("secretsmanager:*")
	if _, err := getSecret(t.Context(), c, "s"); err != nil {
		t.Error(err)
	}
	var seen bool
	server.Fail("secretsmanager:GetSecretValue", awstest.Before(func() {
		seen = true
		server.SetSecret("s", "meanwhile")
	}))
	if got, err := getSecret(t.Context(), c, "s"); got != "meanwhile" || err != nil || !seen {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSDKRepeatsThrottledCalls(t *testing.T) {
	t.Parallel()
	server := awstest.New()
	endpoint := httptest.NewServer(server)
	defer endpoint.Close()
	server.SetSecret("s", "v")
	server.Fail("secretsmanager:GetSecretValue", awstest.Throttle())
	if _, err := getSecret(t.Context(), newClients(endpoint.URL), "s"); err != nil {
		t.Error(err)
	}
	if got := server.Calls("secretsmanager:GetSecretValue"); got != 2 {
		t.Errorf("%d calls", got)
	}
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	for service, limit := range map[string]int{"ssm": 3, "secretsmanager": 50} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			server, c := start(t, awstest.WithThrottling())
			server.SetSecret("s", "v")
			began := time.Now()
			accepted := 0
			for range 2 * limit {
				var err error
				if service == "ssm" {
					_, err = c.parameters.PutParameter(t.Context(), &ssm.PutParameterInput{
						Name: aws.String("/p"), Value: aws.String("v"), Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true),
					})
				} else {
					_, err = c.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("s"), SecretString: aws.String("v")})
				}
				if err == nil {
					accepted++
				} else if code(err) != "ThrottlingException" {
					t.Fatal(err)
				}
			}
			most := limit + int(float64(limit)*time.Since(began).Seconds()) + 1
			if accepted < limit || accepted > most {
				t.Errorf("%d writes accepted, want %d to %d", accepted, limit, most)
			}
			if _, err := getSecret(t.Context(), c, "s"); err != nil {
				t.Errorf("reads are throttled with the writes: %v", err)
			}
		})
	}
}

func TestUnknownFieldsAreRefusedAndNothingIsQuoted(t *testing.T) {
	t.Parallel()
	server := awstest.New()
	for _, body := range []string{
		`{"SecretId": "s", "SecretString": "hush-hush", "RotationToken": "hush-hush"}`,
		`{"SecretId": 1, "SecretString": "hush-hush"`,
		`hush-hush`,
		``,
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "secretsmanager.PutSecretValue")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "hush") {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"TableName":"t","Item":{"id":{"N":"hush-hush"}},"Expected":{}}`))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.PutItem")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "hush") {
		t.Errorf("DynamoDB: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusBadRequest {
		t.Errorf("no operation: %d", w.Code)
	}
}

func TestUnknownOperationPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a misspelled operation was counted")
		}
	}()
	awstest.New().Calls("ssm:PutParam")
}

func TestRecorded(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server, c := start(t, awstest.WithClock(clock.now))
	getSecret(t.Context(), c, "a")
	getSecret(t.Context(), c, "b")
	want := []awstest.Call{
		{Service: "secretsmanager", Operation: "secretsmanager:GetSecretValue", Resource: "a", Time: clock.now()},
		{Service: "secretsmanager", Operation: "secretsmanager:GetSecretValue", Resource: "b", Time: clock.now()},
	}
	if diff := cmp.Diff(want, server.Recorded()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	if server.Calls("") != 2 || server.Calls("secretsmanager:*") != 2 || server.Calls("ssm:*") != 0 {
		t.Error("the counts are wrong")
	}
}

// The record is bounded; the counts are not.
func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	server := awstest.New()
	const calls, kept = 70_000, 65_536
	for i := range calls {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(fmt.Sprintf(`{"SecretId":"%d"}`, i)))
		r.Header.Set("X-Amz-Target", "secretsmanager.DescribeSecret")
		server.ServeHTTP(httptest.NewRecorder(), r)
	}
	recorded := server.Recorded()
	if len(recorded) != kept || recorded[0].Resource != fmt.Sprint(calls-kept) || recorded[kept-1].Resource != fmt.Sprint(calls-1) {
		t.Errorf("%d kept, from %s to %s", len(recorded), recorded[0].Resource, recorded[len(recorded)-1].Resource)
	}
	if server.Calls("") != calls {
		t.Errorf("%d counted", server.Calls(""))
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	server, c := start(t, awstest.WithLatency(100*time.Millisecond))
	server.SetSecret("s", "v")
	began := time.Now()
	if _, err := getSecret(t.Context(), c, "s"); err != nil || time.Since(began) < 100*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// Concurrent use, for the race detector.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	url := server.CreateQueue("work")
	server.CreateTable("t", "id", "")
	server.OnEvent(func(awstest.Event) {})
	var group sync.WaitGroup
	for i := range 20 {
		name := fmt.Sprintf("/n/%d", i%5)
		group.Go(func() {
			server.SetSecret(name, "v")
			server.SetParameter(name, "v")
			_, err := getSecret(t.Context(), c, name)
			_, err2 := c.parameters.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/n")})
			_, err3 := c.events.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{draftEvent("{}")}})
			_, err4 := c.queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("m")})
			server.SetItem("t", map[string]any{"id": name})
			_, err6 := c.tables.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("t"), Key: values{"id": s(name)}, UpdateExpression: aws.String("SET a = :a"), ExpressionAttributeValues: values{":a": s("a")},
			})
			_, err7 := c.tables.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("t")})
			server.Items("t")
			_, err5 := c.queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
			server.CreateQueue("work")
			server.Fail("ssm:GetParameter", awstest.Throttle())
			server.Heal("ssm:GetParameter")
			server.Recorded()
			server.Messages(url)
			if err := errors.Join(err, err2, err3, err4, err5, err6, err7); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := len(server.Parameters("/n/")); got != 5 {
		t.Errorf("%d parameters", got)
	}
}

func BenchmarkGetParametersByPath(b *testing.B) {
	server := awstest.New()
	for i := range 10_000 {
		server.SetParameter(fmt.Sprintf("/accounts/%05d", i), `{"status":"authorized"}`)
	}
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"Path":"/accounts"}`))
		r.Header.Set("X-Amz-Target", "AmazonSSM.GetParametersByPath")
		server.ServeHTTP(httptest.NewRecorder(), r)
	}
}
