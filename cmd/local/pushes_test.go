package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

// pushed is the event Push Received, for a push that the simulated WeChat encrypted, as rules see it.
func pushed(t *testing.T, infoType, more string) (event, detail map[string]any) {
	t.Helper()
	p := wechattest.ExamplePlatform()
	receiver, err := push.NewReceiver(p.AppID, secret.New(p.MessageToken), secret.New(p.EncodingAESKey), secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	xml := bytes.Replace(wechattest.InfoXML(p.AppID, infoType, time.Unix(1413192605, 0)), []byte("</xml>"), []byte(more+"</xml>"), 1)
	query, body := wechattest.EncryptPush(p, xml, "1413192605", "1", make([]byte, 16))
	opened, err := receiver.Open(query, body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(eventbus.Received(opened).Detail)
	if err == nil {
		err = json.Unmarshal(text, &detail)
	}
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"source": "wechat.draftbox", "detail-type": "Push Received", "resources": []any{"wechat/draftbox"}, "detail": detail}, detail
}

// The example in docs/pushes.md is a real event, its patterns match as the page says, and its resources are valid
// YAML.
func TestPushesPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/pushes.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]string{
		"authorized": "<AuthorizerAppid>wx00000000000000aa</AuthorizerAppid><AuthorizationCode>queryauthcode@@@1</AuthorizationCode>",
		"notify_third_fasteregister": "<appid>wx00000000000000cc</appid><status>0</status><auth_code>queryauthcode@@@2</auth_code><msg>OK</msg><info><name>Night Ferry</name>" +
			"<code>91110000MA00EXAMPLE</code><code_type>1</code_type><legal_persona_name>王军</legal_persona_name></info>",
		"wxa_nickname_audit":             "<appid>wx00000000000000dd</appid><ret>3</ret>",
		"notify_icpfiling_verify_result": "<authorizer_appid>wx00000000000000ee</authorizer_appid>",
	}
	patterns := 0
	for _, block := range regexp.MustCompile("(?s)(?:<!-- matches: ([a-z_ ]+) -->\n)?```(json|yaml)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		matching, language, text := strings.Fields(block[1]), block[2], block[3]
		var shown map[string]any
		switch {
		case language == "yaml":
			if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
				t.Errorf("%v in %s", err, text)
			}
		case json.Unmarshal([]byte(text), &shown) != nil:
			t.Errorf("no JSON: %s", text)
		case len(matching) == 0: // the detail
			_, want := pushed(t, "notify_third_fasteregister", samples["notify_third_fasteregister"])
			if diff := cmp.Diff(want, shown); diff != "" {
				t.Errorf("the page's detail (-want +shown):\n%s", diff)
			}
		default:
			patterns++
			if err := checkPattern(shown); err != nil {
				t.Errorf("%v in %s", err, text)
			}
			for infoType, more := range samples {
				event, _ := pushed(t, infoType, more)
				if got := matches(shown, event); got != slices.Contains(matching, infoType) {
					t.Errorf("%s matches %s: %v", strings.TrimSpace(text), infoType, got)
				}
			}
			other, _ := pushed(t, matching[0], samples[matching[0]])
			other["resources"] = []any{"wechat/other"}
			if matches(shown, other) {
				t.Errorf("%s matches another stack's pushes", text)
			}
		}
	}
	if patterns < 3 {
		t.Errorf("the page has %d patterns", patterns)
	}
}
