package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func standinURL(name string) string { return "http://aws.test/" + account + "/" + name }

// The template of the bundle itself.
func TestReadsTheBundle(t *testing.T) {
	t.Parallel()
	b, err := readTemplate("../../template.yaml", nil, standinURL)
	if err != nil {
		t.Fatal(err)
	}
	var functions, routes, schedules []string
	for _, f := range b.Functions {
		functions = append(functions, f.Name)
		if f.LambdaName != "local-"+f.Name {
			t.Errorf("%s is named %q in AWS", f.Name, f.LambdaName)
		}
		if got := f.Environment["SECRET_PREFIX"]; got != "wechat/draftbox" {
			t.Errorf("SECRET_PREFIX of %s = %q", f.Name, got)
		}
		if got, ok := f.Environment["AWS_ENDPOINT_URL"]; got != "" || !ok {
			t.Errorf("AWS_ENDPOINT_URL of %s = %q, %v, want it declared and empty", f.Name, got, ok)
		}
		if f.Name == "switch" {
			if got, want := f.Environment["SWITCH_QUEUE_URL"], standinURL("local-SwitchQueue"); got != want {
				t.Errorf("SWITCH_QUEUE_URL = %q, want %q", got, want)
			}
		}
	}
	for _, r := range b.Routes {
		guard := "open"
		if r.Guarded {
			guard = "guarded"
		}
		routes = append(routes, r.Function+" "+guard+" "+r.Key())
	}
	for _, s := range b.Schedules {
		schedules = append(schedules, s.Function+" "+s.Every.String()+" "+s.Input)
	}
	slices.Sort(functions)
	slices.Sort(routes)
	slices.Sort(schedules)
	if diff := cmp.Diff([]string{"callback", "drafts", "notify", "switch", "templates", "tokens"}, functions); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"callback open POST /wechat/callback",
		"drafts guarded GET /drafts",
		"drafts guarded GET /drafts/history",
		"drafts guarded GET /drafts/{draft_id}",
		"switch guarded GET /accounts",
		"switch guarded GET /accounts/{appid}/draft-switch",
		"switch guarded GET /accounts/{appid}/drafts",
		"switch guarded POST /accounts/{appid}/draft-switch",
		"templates guarded DELETE /templates/{template_id}",
		"templates guarded GET /templates",
		"templates guarded POST /drafts/latest/template",
		"templates guarded POST /drafts/{draft_id}/template",
	}, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		`drafts 5m0s {"task": "watch-drafts"}`,
		`switch 24h0m0s {"task": "check-switches"}`,
		`tokens 10m0s {"task": "refresh-tokens"}`,
	}, schedules); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]source{
		{Function: "notify", Queue: "local-NoticeQueue", BatchSize: 100, Window: 20 * time.Second, Failures: true},
		{Function: "switch", Queue: "local-SwitchQueue", BatchSize: 10, Failures: true},
		{Function: "tokens", Queue: "local-AuthorizationQueue", BatchSize: 10, Failures: true},
	}, b.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]rule{
		{Queue: "local-NoticeQueue", Pattern: map[string]any{"source": []any{"wechat.draftbox"}, "resources": []any{"wechat/draftbox"}}},
		{Function: "tokens", Pattern: map[string]any{
			"source": []any{"wechat.draftbox"}, "resources": []any{"wechat/draftbox"}, "detail-type": []any{"Token Rejected"},
		}},
	}, b.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	made := map[string]bool{}
	for _, q := range b.Queues {
		if policy := q.Attributes["RedrivePolicy"]; policy != "" {
			_, after, _ := strings.Cut(policy, ":"+account+":")
			if name, _, _ := strings.Cut(after, `"`); !made[name] {
				t.Errorf("%s is made before its dead letters %q", q.Name, name)
			}
		}
		made[q.Name] = true
	}
	if len(made) != 7 {
		t.Errorf("queues: %v", made)
	}
	if diff := cmp.Diff([]table{
		{Name: "local-StateTable", Keys: []string{"pk", "sk"}, Expires: "expires"},
		{Name: "local-TokenTable", Keys: []string{"appid"}},
	}, b.Tables); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	for _, f := range b.Functions {
		for variable, want := range map[string]string{"STATE_TABLE": "local-StateTable", "TOKEN_TABLE": "local-TokenTable"} {
			if got := f.Environment[variable]; got != want {
				t.Errorf("%s of %s = %q, want %q", variable, f.Name, got, want)
			}
		}
	}
}

func TestParametersChangeTheBundle(t *testing.T) {
	t.Parallel()
	b, err := readTemplate("../../template.yaml", map[string]string{
		"ManageTokens": "false", "WatchDraftsState": "DISABLED", "CheckSwitchesRate": "rate(2 hours)", "SecretPrefix": "mine",
		"ExistingStateTable": "kept",
	}, standinURL)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(b.Functions, func(f function) bool { return f.Name == "callback" }) {
		t.Error("callback is there without ManageTokens")
	}
	if !slices.ContainsFunc(b.Functions, func(f function) bool { return f.Name == "tokens" }) {
		t.Error("tokens is gone without ManageTokens: doctor needs it")
	}
	if len(b.Rules) != 1 || len(b.Sources) != 2 {
		t.Errorf("rules %v, sources %v, want the queues of the switch and of notices alone, and the rule of notices", b.Rules, b.Sources)
	}
	if diff := cmp.Diff([]schedule{{
		Function: "switch", Expression: "rate(2 hours)", Every: 2 * time.Hour, Input: `{"task": "check-switches"}`,
	}}, b.Schedules); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}
	if got := b.Functions[0].Environment["SECRET_PREFIX"]; got != "mine" {
		t.Errorf("SECRET_PREFIX = %q", got)
	}
	if got := b.Functions[0].Environment["STATE_TABLE"]; got != "kept" || len(b.Tables) != 1 {
		t.Errorf("STATE_TABLE = %q and the stack makes %v, want an adopted table and the tokens' alone", got, b.Tables)
	}
}

func TestIntrinsics(t *testing.T) {
	t.Parallel()
	e := &evaluator{
		file: "t.yaml",
		parameters: map[string]*yaml.Node{
			"Stage": scalar(&yaml.Node{}, "dev"), "Empty": scalar(&yaml.Node{}, ""),
		},
		visiting: map[string]bool{},
		queueURL: standinURL,
		stack:    stack,
	}
	var shared struct {
		Mappings   map[string]map[string]map[string]yaml.Node `yaml:"Mappings"`
		Conditions map[string]yaml.Node                       `yaml:"Conditions"`
		Resources  map[string]resource                        `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(`
Mappings: {Sizes: {dev: {memory: 128}}}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: {'Fn::Not': [{Condition: IsDev}]}
  Both: !And [!Condition IsDev, !Condition IsProd]
  Either: !Or [!Condition IsDev, !Condition IsProd]
  Itself: !Not [!Condition Itself]
Resources:
  Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Sub '${Stage}-q'}}
  Bus: {Type: 'AWS::Events::EventBus', Properties: {Name: b}}
  F: {Type: 'AWS::Serverless::Function'}
  T: {Type: 'AWS::DynamoDB::Table'}
  Key: {Type: 'AWS::KMS::Key'}
`), &shared); err != nil {
		t.Fatal(err)
	}
	e.mappings, e.conditions, e.resources = shared.Mappings, shared.Conditions, shared.Resources

	for text, want := range map[string]any{
		`!Ref Stage`:               "dev",
		`{Ref: Stage}`:             "dev",
		`!Ref AWS::Region`:         "us-east-1",
		`!Ref AWS::NoValue`:        nil,
		`!Ref Q`:                   standinURL("dev-q"),
		`!GetAtt Q.Arn`:            "arn:aws:sqs:us-east-1:123456789012:dev-q",
		`{'Fn::GetAtt': [Q, Arn]}`: "arn:aws:sqs:us-east-1:123456789012:dev-q",
		`!GetAtt Q.QueueName`:      "dev-q",
		`!Ref Bus`:                 "b",
		`!GetAtt Bus.Arn`:          "arn:aws:events:us-east-1:123456789012:event-bus/b",
		`!Ref F`:                   "local-F",
		`!Ref F.Alias`:             "arn:aws:lambda:us-east-1:123456789012:function:local-F:live",
		`!GetAtt FRole.Arn`:        nil, // SAM makes it
		`!Ref T`:                   "local-T",
		`!GetAtt T.Arn`:            "arn:aws:dynamodb:us-east-1:123456789012:table/local-T",
		`!GetAtt T.StreamArn`:      nil,
		`!Ref Key`:                 "Key", // of a kind that is not known here
		`!Sub '${Stage}/${Q.Arn}/${!Literal}/$x/${T.StreamArn}'`: "dev/arn:aws:sqs:us-east-1:123456789012:dev-q/${Literal}/$x/",
		`!Sub ['${A}-${Stage}', {A: !Ref AWS::Region}]`:          "us-east-1-dev",
		`!If [IsDev, 1, 2]`:                                               1,
		`!If [IsProd, 1, !Ref Stage]`:                                     "dev",
		`!If [Both, 1, !Ref AWS::NoValue]`:                                nil,
		`!If [Either, {a: !Ref Stage}, 2]`:                                map[string]any{"a": "dev"},
		`!Join ['-', [a, !Ref Stage, !Ref AWS::NoValue]]`:                 "a-dev",
		`!Select [1, !Split [',', 'a,b,c']]`:                              "b",
		`!FindInMap [Sizes, !Ref Stage, memory]`:                          128,
		`{'Fn::Base64': abc}`:                                             "YWJj",
		`!ImportValue elsewhere`:                                          nil,
		`{a: !ImportValue elsewhere, b: [1, !Ref AWS::NoValue], c: "05"}`: map[string]any{"b": []any{1}, "c": "05"},
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		resolved, err := e.resolve(n.Content[0])
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got any
		if resolved != nil {
			if err := resolved.Decode(&got); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}

	for text, want := range map[string]string{
		`!Ref Nothing`:              "t.yaml:1: there is no parameter and no resource Nothing",
		`!Ref AWS::Nothing`:         "t.yaml:1: there is no pseudo parameter AWS::Nothing",
		`!Sub 'a ${Nothing} b'`:     "t.yaml:1: there is no parameter and no resource Nothing",
		`!GetAtt Nothing.Arn`:       "t.yaml:1: there is no parameter and no resource Nothing",
		`!If [Nothing, 1, 2]`:       "t.yaml:1: there is no condition Nothing",
		`!If [Itself, 1, 2]`:        "t.yaml:8: the condition Itself depends on itself",
		`!If [IsDev, 1]`:            "t.yaml:1: !If takes a condition and two values",
		`!Equals [1]`:               "t.yaml:1: !Equals does not take 1 values",
		`!Sub [1]`:                  "t.yaml:1: !Sub takes a text and a map of values",
		`!Select [7, [a]]`:          "t.yaml:1: !Select finds no element 7",
		`{a: [!Ref Stage, !Ref N]}`: "t.yaml:1: there is no parameter and no resource N",
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if _, err := e.resolve(n.Content[0]); err == nil || err.Error() != want {
			t.Errorf("%s: error = %v, want %s", text, err, want)
		}
	}
}

// An error in a template is one line with its position.
func TestBrokenTemplates(t *testing.T) {
	t.Parallel()
	const head = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n"
	for text, want := range map[string]string{
		"":                        "EOF",
		"a: [":                    "did not find expected node content",
		"- a":                     "cannot unmarshal",
		"Resources: {}":           "has no functions",
		head + "      Timeout: 3": "a function needs a CodeUri (in F)",
		head + "      CodeUri: f/\n      Timeout: soon":                                                                            "cannot unmarshal",
		head + "      CodeUri: f/\n      Timeout: !Ref Nothing":                                                                    ":6: there is no parameter and no resource Nothing (in F)",
		head + "      CodeUri: f/\n      Environment: {Variables: [1]}":                                                            "a map of names to values",
		head + "      CodeUri: f/\n      Events: {E: {Type: HttpApi, Properties: {Method: GET}}}":                                  "a route needs a Method and a Path",
		head + "      CodeUri: f/\n      Events: {E: {Type: S3}}":                                                                  `no event of type "S3"`,
		head + "      CodeUri: f/\n      Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: often}}}":                 `"often" is no schedule expression`,
		head + "      CodeUri: f/\n      Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day), Input: x}}}": "Input is no JSON",
		head + "      CodeUri: f/\n      Events: {E: {Type: EventBridgeRule, Properties: {Pattern: {a: [{suffix: b}]}}}}":          "no filter in a pattern but prefix",
		head + "      CodeUri: f/\n      Events: {E: {Type: EventBridgeRule, Properties: {Pattern: {a: b}}}}":                      "must be a list",
		"Resources: {F: {Type: 'AWS::Serverless::Function', Condition: C, Properties: {CodeUri: f/}}}":                             "there is no condition C",
		"Resources: {T: {Type: 'AWS::DynamoDB::Table', Properties: {BillingMode: PAY_PER_REQUEST}}}":                               "a table needs a KeySchema (in T)",
	} {
		file := filepath.Join(t.TempDir(), "template.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readTemplate(file, nil, standinURL)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error = %v, want one line with %q", text, err, want)
		}
	}
	missing := filepath.Join(t.TempDir(), "template.yaml")
	if _, err := readTemplate(missing, nil, standinURL); err == nil || err.Error() != missing+": no such template" {
		t.Errorf("no file: error = %v", err)
	}
	if _, err := readTemplate("../../template.yaml", map[string]string{"Nope": "1"}, standinURL); err == nil || !strings.Contains(err.Error(), "no parameter Nope") {
		t.Errorf("unknown parameter: error = %v", err)
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"rate(1 minute)":       time.Minute,
		"rate(5 minutes)":      5 * time.Minute,
		"rate(2 hours)":        2 * time.Hour,
		"rate(1 day)":          24 * time.Hour,
		"cron(0 12 * * ? *)":   0,
		"at(2030-01-01T00:00)": 0,
	} {
		if got, err := period(text); err != nil || got != want {
			t.Errorf("period(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "rate()", "rate(0 minutes)", "rate(-1 minutes)", "rate(5 moons)", "5 minutes"} {
		if got, err := period(text); err == nil {
			t.Errorf("period(%q) = %v, want an error", text, got)
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	event := map[string]any{
		"source": "wechat.draftbox", "detail-type": "Token Rejected", "resources": []any{"a", "b"},
		"detail": map[string]any{"errcode": 40001.0, "appid": ""},
	}
	for text, want := range map[string]bool{
		`{"source": ["wechat.draftbox"]}`:                                   true,
		`{"source": ["other", "wechat.draftbox"]}`:                          true,
		`{"source": ["other"]}`:                                             false,
		`{"source": ["wechat.draftbox"], "detail-type": ["Draft Removed"]}`: false,
		`{"source": [{"prefix": "wechat."}]}`:                               true,
		`{"source": [{"prefix": "wecom."}]}`:                                false,
		`{"detail": {"errcode": [40001]}}`:                                  true,
		`{"detail": {"errcode": [40014]}}`:                                  false,
		`{"detail": {"nothing": ["x"]}}`:                                    false,
		`{"source": {"nested": ["x"]}}`:                                     false,
		`{"resources": ["b"]}`:                                              true,
	} {
		var pattern map[string]any
		if err := yaml.Unmarshal([]byte(text), &pattern); err != nil {
			t.Fatal(err)
		}
		if err := checkPattern(pattern); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := matches(pattern, event); got != want {
			t.Errorf("matches(%s) = %v, want %v", text, got, want)
		}
	}
}
