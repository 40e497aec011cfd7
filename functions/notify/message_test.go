package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/robot"
	"wechat-draftbox/pkg/secret"
)

var update = flag.Bool("update", false, "write the golden files anew")

var kinds = []robot.Kind{robot.WeCom, robot.DingTalk, robot.Feishu, robot.Slack}

func robotOf(kind robot.Kind, language robot.Language) robot.Robot {
	return robot.Robot{Name: "ops", Kind: kind, URL: secret.New("https://example.com/"), Language: language, Events: robot.Events()}
}

func event(t testing.TB, detailType, detail string) Event {
	t.Helper()
	e, err := Parse(fmt.Sprintf(`{"version": "0", "id": "envelope", "detail-type": %q, "source": "wechat.draftbox", "detail": %s}`, detailType, detail))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// all returns events of every kind.
func all(t testing.TB) []Event {
	const draft = `{"draft_id": 4, "create_time": 1504790906, "user_version": "1.2.3", "user_desc": "修复登录问题\n第二行", "source_miniprogram": "小店", "source_miniprogram_appid": "wx6XXXXXXXXXXXXXXX", "developer": "张三", "category_list": []}`
	return []Event{
		event(t, "Draft Uploaded", `{"id": "1", "draft": `+draft+`, "previous": {"draft_id": 3, "user_version": "1.2.2"}}`),
		event(t, "Draft Uploaded", `{"id": "2", "draft": {"draft_id": 0}}`),
		event(t, "Draft Removed", `{"id": "3", "draft": `+draft+`}`),
		event(t, "Draft Switch Changed", `{"id": "4", "appid": "wx0000000000000001", "from": "closed", "to": "open"}`),
		event(t, "Account Authorized", `{"id": "5", "appid": "wx0000000000000001", "kind": "official-account", "name": "城市早报"}`),
		event(t, "Account Authorized", `{"id": "6", "appid": "wx0000000000000002", "kind": null, "name": null}`),
		event(t, "Account Unauthorized", `{"id": "7", "appid": "wx0000000000000003", "kind": "mini-program", "name": "小店"}`),
		event(t, "Token Rejected", `{"appid": "", "errcode": 42001, "version_id": "v"}`),
		event(t, "Token Refresh Failed", `{"appid": "", "errcode": 61004, "errmsg": "access clientip is not registered requestIP: 192.0.2.7",
			"action": "Add the address that the message names (egress_ip) to the whitelist in the platform's settings (Open Platform, third-party platform, development settings; \"修改\" acts at once, \"编辑\" only after the whole platform is published). (Who acts: the platform's operator.)"}`),
		event(t, "Token Refresh Failed", `{"appid": "wx0000000000000001", "errcode": 61023, "errmsg": "refresh_token is invalid", "action": "The account's administrator: authorise the platform again (wx0000000000000001)."}`),
		event(t, "Token Refresh Failed", `{"appid": "wx0000000000000001", "errcode": 0, "errmsg": "secretsmanager:GetSecretValue: no answer", "action": "Try again in a moment."}`),
		event(t, "Push Received", `{"id": "8", "info_type": "notify_third_fasteregister", "appid": "", "create_time": 1, "fields": {"info/name": "某公司", "info/legal_persona_name": "李四", "status": "0", "msg": "OK"}}`),
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, language := range []robot.Language{robot.English, robot.Chinese} {
			name := fmt.Sprintf("%s-%s.txt", kind, language)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var got bytes.Buffer
				r := robotOf(kind, language)
				show := func(m robot.Message) { fmt.Fprintf(&got, "---- %s\n%s\n", m.Title, m.Text) }
				for _, e := range all(t) {
					show(Compose(r, []Event{e}))
				}
				r.Prefix = "[ops]"
				show(Compose(r, []Event{all(t)[0], all(t)[9]}))
				show(Test(r))
				r.Events = nil
				show(Test(r))
				compareGolden(t, filepath.Join("testdata", name), got.Bytes())
			})
		}
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got); go test ./functions/notify -update writes it anew:\n%s", file, diff)
	}
}

const hostile = `<!channel> <!here|x> <@U123> <https://evil.example|ok> <at user_id="all">all</at> [ok](https://evil.example) ![x](http://evil.example/a.png) **b** # h > q @all @张三 www.evil.example mailto:a@evil.example ` +
	"`c` &lt;!channel&gt;\r\n# heading\n> quote\n<font color=\"warning\">x</font> \u202etxt \x00\x07"

// acts finds what would act in a message of the kind.
var acts = map[robot.Kind]*regexp.Regexp{
	robot.Slack:    regexp.MustCompile(`[<>]|@|://|www\.e|evil\.e`),
	robot.Feishu:   regexp.MustCompile(`[<>]|@|\]\(|://|www\.e|evil\.e`),
	robot.WeCom:    regexp.MustCompile(`[<>]|@|\]\(|://|www\.e|evil\.e|(?m:^\s*[#>])|&`),
	robot.DingTalk: regexp.MustCompile(`[<>]|@|\]\(|://|www\.e|evil\.e|(?m:^\s*[#>])|&`),
}

func TestPeoplesTextDoesNotAct(t *testing.T) {
	t.Parallel()
	details := map[string]string{
		"Draft Uploaded":       `{"id": "1", "draft": {"draft_id": %[1]q, "user_version": %[1]q, "user_desc": %[1]q, "source_miniprogram": %[1]q, "source_miniprogram_appid": %[1]q, "developer": %[1]q}, "previous": {"user_version": %[1]q}}`,
		"Draft Switch Changed": `{"id": "1", "appid": %[1]q, "name": %[1]q, "from": %[1]q, "to": %[1]q}`,
		"Account Authorized":   `{"id": "1", "appid": %[1]q, "name": %[1]q, "kind": %[1]q}`,
		"Token Refresh Failed": `{"appid": %[1]q, "errcode": 1, "errmsg": %[1]q, "action": %[1]q}`,
		"Push Received":        `{"id": "1", "appid": %[1]q, "info_type": %[1]q, "fields": {"a/msg": %[1]q, "status": %[1]q}}`,
	}
	quoted := func(format string) string { // as JSON, whose escapes differ from Go's
		return strings.ReplaceAll(format, "%[1]q", jsonOf(hostile))
	}
	for _, kind := range kinds {
		for _, language := range []robot.Language{robot.English, robot.Chinese} {
			for detailType, format := range details {
				m := Compose(robotOf(kind, language), []Event{event(t, detailType, quoted(format))})
				if found := acts[kind].FindString(m.Title + "\n" + m.Text); found != "" {
					t.Errorf("%s: %q acts in\n%s", kind, found, m.Text)
				}
				if strings.ContainsAny(m.Text, "\x00\x07\r\u202e") || !utf8.ValidString(m.Text) {
					t.Errorf("%s: control characters in %q", kind, m.Text)
				}
			}
		}
	}
}

func TestLongestNoticeFits(t *testing.T) {
	t.Parallel()
	for _, letter := range []string{"&", "a.", "字", "😀", "*", `"`, "\\"} {
		long := jsonOf(strings.Repeat(letter, 3000))
		for detailType, detail := range map[string]string{
			"Draft Uploaded":       `{"id": "1", "draft": {"draft_id": L, "user_version": L, "user_desc": L, "source_miniprogram": L, "source_miniprogram_appid": L, "developer": L}, "previous": {"user_version": L}}`,
			"Token Refresh Failed": `{"appid": L, "name": L, "errcode": 1, "errmsg": L, "action": L}`,
			"Push Received":        `{"id": "1", "appid": L, "info_type": L, "fields": {"a/msg": L, "b/msg": L, "c/msg": L, "d/msg": L, "e/msg": L}}`,
		} {
			e := event(t, detailType, strings.ReplaceAll(detail, "L", long))
			for _, kind := range kinds {
				r := robotOf(kind, robot.English)
				r.Prefix = strings.Repeat("字", 200)
				m := Compose(r, []Event{e})
				if !r.Fits(m) || strings.Contains(m.Text, "… and 1 more") {
					t.Errorf("%s: %s of %q has %d bytes", kind, detailType, letter, len(m.Text))
				}
			}
		}
	}
}

func TestManyNoticesAreCutAndCounted(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var events []Event
			for n := range 500 {
				events = append(events, event(t, "Draft Uploaded", fmt.Sprintf(`{"id": "%[1]d", "draft": {"draft_id": %[1]d, "user_version": "1.0.%[1]d", "user_desc": "%[2]s", "source_miniprogram": "小店"}}`, n, strings.Repeat("描述😀", 20))))
			}
			events = append(events, event(t, "Account Unauthorized", `{"id": "last", "appid": "wx0000000000000003"}`))
			r := robotOf(kind, robot.English)
			m := Compose(r, events)
			var rest int
			last := m.Text[strings.LastIndex(m.Text, "\n")+1:]
			if _, err := fmt.Sscanf(last, "… and %d more", &rest); err != nil {
				t.Fatalf("the last line is %q", last)
			}
			if shown := strings.Count(m.Text, "New draft") + strings.Count(m.Text, "Authorization ended"); shown+rest != len(events) || shown < 10 {
				t.Errorf("%d shown, and %d more", shown, rest)
			}
			if !utf8.ValidString(m.Text) || !r.Fits(m) {
				t.Errorf("%d bytes", len(m.Text))
			}
			if !strings.Contains(m.Text[:60], "Authorization ended") {
				t.Errorf("what is urgent isn't first: %s", m.Text[:100])
			}
		})
	}
}

// Texts of characters that are markup in some chat: the message fits, and none of them takes effect.
func TestAnyTextIsHarmless(t *testing.T) {
	t.Parallel()
	pieces := []string{"<", ">", "!", "@", "all", "channel", "[", "]", "(", ")", "://", "http", "www.", "evil", ".", "e", "#", "\n", "> ", "&", "lt;", "*", "`",
		"\\", "\"", " ", "\u202e", "\u200b", "\x00", "字", "😀", "at user_id", "=", "|", "-", "\xff"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var words strings.Builder
		for range random.IntN(80) {
			words.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := jsonOf(words.String())
		e := event(t, "Draft Uploaded", `{"draft": {"user_version": `+text+`, "user_desc": `+text+`, "source_miniprogram": `+text+`, "developer": `+text+`}}`)
		for _, kind := range kinds {
			r := robotOf(kind, robot.Chinese)
			m := Compose(r, []Event{e, e, e})
			if found := acts[kind].FindString(m.Title + "\n" + m.Text); found != "" || !r.Fits(m) || !utf8.ValidString(m.Text) {
				t.Fatalf("%s: %q acts in %q, made of %q", kind, found, m.Text, words.String())
			}
		}
	}
}
