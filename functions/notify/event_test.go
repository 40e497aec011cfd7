package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/wechat"
)

func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func TestParse(t *testing.T) {
	t.Parallel()
	for envelope, id := range map[string]string{
		`{"id": "e", "detail-type": "Draft Uploaded", "detail": {"id": "d"}}`:                                       "d",
		`{"id": "e", "detail-type": "Token Rejected", "detail": {"appid": ""}}`:                                     "e",
		`{"id": "e", "detail-type": "Draft Uploaded", "detail": {"id": "d", "draft": [1], "errcode": "x"}}`:         "d",
		`{"id": "e", "detail-type": "Draft Uploaded", "detail": {"draft": {"user_version": {"a": 1}}, "id": null}}`: "e",
	} {
		if e, err := Parse(envelope); err != nil || e.ID != id {
			t.Errorf("%s: id %q, %v", envelope, e.ID, err)
		}
	}
	for _, envelope := range []string{"", "null", "[]", "secret", `{"detail-type": "x"}`, `{"id": "e", "detail": {}}`, `{"detail-type": "x", "detail": {}}`, `{"task": "secret"}`} {
		if _, err := Parse(envelope); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", envelope, err)
		}
	}
}

// told formats a failure as a notice in Chinese.
func told(t *testing.T, f renewal.Failure) string {
	t.Helper()
	detail := jsonOf(map[string]any{"appid": f.AppID, "errcode": f.Errcode, "errmsg": "e", "action": f.Action})
	m := Compose(robotOf(robot.Feishu, robot.Chinese), []Event{event(t, "Token Refresh Failed", detail)})
	return m.Text
}

func TestEveryActionIsTranslated(t *testing.T) {
	t.Parallel()
	const lowest, highest = -1, 100_000
	unknown := wechat.Lookup(highest).Action
	for code := lowest; code < highest; code++ {
		if known := wechat.Lookup(code); known.Action != unknown {
			text := told(t, renewal.FailureOf("wx0000000000000001", &wechat.APIError{Call: "/x", Code: code, Message: "e"}, time.Now()))
			todo := text[strings.LastIndex(text, "\n")+1:]
			if _, action, ok := strings.Cut(strings.TrimPrefix(todo, "处理："), "："); !ok || strings.Contains(todo, "account") || len([]rune(action)) < 8 {
				t.Errorf("%d: %s", code, todo)
			}
		}
	}
	for name, err := range map[string]error{
		"no ticket": renewal.ErrTicket, "no refresh token": renewal.ErrNoRefreshToken, "another's code": renewal.ErrOtherAccount,
		"unexpected": errors.New("unexpected"), "timeout": &wechat.TransportError{Call: "/x", Cause: wechat.TimedOut},
		"unreachable": &wechat.TransportError{Call: "/x", Cause: wechat.Unreachable}, "unusable": &wechat.TransportError{Call: "/x", Cause: wechat.Unusable},
	} {
		text := told(t, renewal.FailureOf("wx0000000000000001", err, time.Now()))
		if strings.Contains(text, " the ") || !strings.Contains(text, "处理：") {
			t.Errorf("%s: %s", name, text)
		}
	}
	// An app secret that is wrong is refused with 40001 too, but it isn't the token that is wrong.
	text := told(t, renewal.FailureOf("", &wechat.APIError{Call: "/cgi-bin/component/api_component_token", Code: 40001}, time.Now()))
	if !strings.Contains(text, "平台运营者：AppSecret 错误") {
		t.Errorf("got %s", text)
	}
	if text := told(t, renewal.Failure{Action: "Something new."}); !strings.Contains(text, "处理：Something new.") {
		t.Errorf("an action without a translation: %s", text)
	}
}
