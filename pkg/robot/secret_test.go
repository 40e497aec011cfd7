package robot_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/secret"
)

func parse(text string) ([]robot.Robot, error) {
	return robot.Parse("wechat/draftbox/notify", secret.New(text))
}

func TestParse(t *testing.T) {
	t.Parallel()
	robots, err := parse(`{"robots": [
		{"name": " ops ", "kind": "wecom", "url": " https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1 "},
		{"name": "dev", "kind": "dingtalk", "url": "https://oapi.dingtalk.com/robot/send?access_token=1", "secret": "s",
		 "events": ["Push Received", "Token Rejected"], "language": "en", "prefix": "[ops]", "remark": "kept"},
		{"name": "quiet", "kind": "slack", "url": "https://hooks.slack.com/services/1", "events": []}
	], "remark": 1}`)
	if err != nil || len(robots) != 3 {
		t.Fatalf("%d robots, %v", len(robots), err)
	}
	ops, dev, quiet := robots[0], robots[1], robots[2]
	if ops.Name != "ops" || ops.Language != robot.Chinese || !ops.Secret.IsZero() || ops.URL.Reveal() != "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1" {
		t.Errorf("got %+v", ops)
	}
	want := []string{"Account Authorized", "Account Unauthorized", "Draft Removed", "Draft Switch Changed", "Draft Uploaded", "Token Refresh Failed"}
	if got := slices.Sorted(slices.Values(ops.Events)); !slices.Equal(got, want) {
		t.Errorf("told of %q by default", got)
	}
	if dev.Secret.Reveal() != "s" || dev.Language != robot.English || dev.Prefix != "[ops]" || !dev.Wants("Push Received") || dev.Wants("Draft Uploaded") {
		t.Errorf("got %+v", dev)
	}
	if quiet.Wants("Draft Uploaded") {
		t.Error("an empty list of events is no list of all")
	}
	for _, none := range []string{`{}`, `{"robots": []}`, `{"robots": null}`} {
		if robots, err := parse(none); err != nil || len(robots) != 0 {
			t.Errorf("%s: %v, %v", none, robots, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	const value = "hidden-value"
	good := map[string]any{"name": "n", "kind": "slack", "url": "https://hooks.slack.com/services/" + value}
	for detail, change := range map[string]map[string]any{
		"robots[0] has no name":              {"name": " "},
		"robots[0] has a name that is none":  {"name": "https://" + value},
		"robots[0] has a kind other than":    {"kind": value},
		"robots[0] has no url":               {"url": "ftp://" + value},
		"robots[0] has no url that":          {"url": "http://hooks.slack.com/" + value},
		"robots[0] has no url that begins":   {"url": "https://user:" + value + "@hooks.slack.com/"},
		"robots[0] has events[1]":            {"events": []string{"Draft Uploaded", value}},
		"robots[0] has a language":           {"language": value},
		"robots[0] has a prefix":             {"prefix": strings.Repeat(value, 20)},
		"robots[0] is no JSON object":        {"events": value},
		"robots[0] is no JSON object, or a ": {"url": map[string]string{value: value}},
	} {
		r := map[string]any{}
		for k, v := range good {
			r[k] = v
		}
		for k, v := range change {
			r[k] = v
		}
		text, _ := json.Marshal(map[string]any{"robots": []any{r}})
		_, err := parse(string(text))
		wantMalformed(t, err, detail, value)
	}
	one, _ := json.Marshal(good)
	for text, detail := range map[string]string{
		value: "it is no JSON object", `"` + value + `"`: "it is no JSON object", "null": "it is no JSON object", `{"robots": "` + value + `"}`: "it is no JSON object",
		`{"robots": [null]}`: "robots[0] is no JSON object", `{"robots": [` + string(one) + `,` + string(one) + `]}`: "robots[1] has the name of another one",
	} {
		_, err := parse(text)
		wantMalformed(t, err, detail, value)
	}
	for _, near := range []string{"http://127.0.0.1:4000/services/1", "http://localhost/x", "http://[::1]/x", "http://172.17.0.1:3000/x"} {
		if _, err := parse(`{"robots": [{"name": "n", "kind": "slack", "url": "` + near + `"}]}`); err != nil {
			t.Errorf("%s: %v", near, err)
		}
	}
}

func wantMalformed(t *testing.T, err error, detail, value string) {
	t.Helper()
	var malformed *awserror.MalformedError
	if !errors.As(err, &malformed) || !strings.HasPrefix(malformed.Detail, detail) || strings.Contains(err.Error(), value) {
		t.Errorf("got %v, want %s", err, detail)
	}
}
