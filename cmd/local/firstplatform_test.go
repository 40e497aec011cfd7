package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wechat-draftbox/pkg/standin/wechattest"
)

// A new operator follows docs/first-platform.md from an AWS account with only the stack to the first template. The
// commands print what the page shows, in both languages. UPDATE_PAGES=1 updates the pages.
func TestFirstPlatform(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	n := startNewcomer(t)
	var shown []string
	show := func(command, output string) {
		shown = append(shown, fmt.Sprintf("$ %s\n%s\n", command, strings.TrimSpace(output)))
	}
	doctor := func() { show("make doctor STACK=wechat-draftbox", n.doctor()) }
	refresh := func() {
		const task = `{"task": "refresh-tokens", "force": true}`
		show("task tokens '"+task+"'", n.answer("POST", "/_local/invoke/tokens", task))
	}

	doctor() // the stack is there, and nothing else
	n.local.world.aws.SetSecret("wechat/draftbox/platform", n.secret())
	doctor() // WeChat has yet to push
	n.wechat.PushTo(n.local.url + callbackPath)
	n.push(n.wechat.SendTicket(t.Context()))
	refresh() // the address is not whitelisted
	doctor()
	n.wechat.RefuseAddress("")
	refresh()
	doctor() // no accounts
	n.wechat.AddAccount(wechattest.Account{AppID: "wx0000000000000001", Name: "Lantern Street", Granted: true})
	n.push(n.wechat.Authorize(t.Context(), "wx0000000000000001"))
	n.local.emptyQueues(t.Context())
	eventually(t, "the account has a token", func() bool { return strings.Contains(n.doctor(), "1 in order") })
	doctor() // all is well
	show(`call "$API_URL/accounts"`, n.answer("GET", "/accounts", ""))
	n.wechat.UploadDraft(wechattest.Draft{CreateTime: 1795791910, UserVersion: "1.0.0", UserDesc: "our first", SourceMiniProgramAppID: "wx00000000000000aa",
		SourceMiniProgram: "Tea House", Developer: "Lin"})
	show(`call "$API_URL/drafts?fresh=true"`, n.answer("GET", "/drafts?fresh=true", ""))
	show(`call -X POST "$API_URL/drafts/latest/template?source_miniprogram_appid=wx00000000000000aa"`,
		n.answer("POST", "/drafts/latest/template?source_miniprogram_appid=wx00000000000000aa", ""))
	n.wechat.RefuseAddress("198.51.100.7")
	doctor() // another way out, one day

	for _, page := range []string{"../../docs/first-platform.md", "../../docs/first-platform.zh-CN.md"} {
		checkPage(t, page, shown)
	}
}

// newcomer follows the page.
type newcomer struct {
	t        *testing.T
	local    *local
	wechat   *wechattest.Server
	operator string // the program
}

func startNewcomer(t *testing.T) newcomer {
	t.Helper()
	operator := filepath.Join(t.TempDir(), "operator")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", operator, "../operator").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	simulated := wechattest.New()
	simulated.RefuseAddress("198.51.100.154")
	server := httptest.NewServer(simulated)
	t.Cleanup(server.Close)
	l, _ := startLocal(t, "../../template.yaml", func(o *options) {
		o.parameters = map[string]string{"AWS::StackName": "wechat-draftbox"}
		o.environ = append(o.environ, "WECHAT_API_BASE_URL="+server.URL)
	})
	return newcomer{t, l, simulated, operator}
}

// secret runs what make secrets runs.
func (n newcomer) secret() string {
	p := n.wechat.Platform()
	return fmt.Sprintf(`{"component_appid":%q,"component_appsecret":%q,"message_token":%q,"encoding_aes_key":%q}`,
		p.AppID, p.AppSecret, p.MessageToken, p.EncodingAESKey)
}

func (n newcomer) push(p wechattest.Push, err error) {
	n.t.Helper()
	if err != nil || !p.Accepted() {
		n.t.Fatalf("the push was answered %d %s: %v", p.Status, p.Body, err)
	}
}

// doctor returns the output of make doctor, whether or not a check failed.
func (n newcomer) doctor() string {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), n.operator, "doctor", "-local", n.local.url).Output()
	if len(out) == 0 {
		n.t.Fatal(err)
	}
	return string(out)
}

func (n newcomer) answer(method, path, body string) string {
	n.t.Helper()
	status, _, answer := call(n.t, method, n.local.url+path, body)
	if status >= 300 {
		n.t.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

var (
	consoleBlocks = regexp.MustCompile("(?s)```console\n(.*?)```")
	changing      = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|(\d+m)?\d+s old|rid: [0-9a-f-]+|"create_time":\d+|:\d+/`)
	spaces        = regexp.MustCompile(` +`)
)

// checkPage compares a page's console blocks with the real output, ignoring times and the like.
func checkPage(t *testing.T, name string, shown []string) {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_PAGES") != "" {
		n := 0
		page = consoleBlocks.ReplaceAllFunc(page, func(old []byte) []byte {
			if n++; n > len(shown) {
				return old
			}
			return []byte("```console\n" + shown[n-1] + "```")
		})
		if err := os.WriteFile(name, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settled := func(text []byte) string {
		return string(spaces.ReplaceAll(changing.ReplaceAll(bytes.TrimSpace(text), []byte("…")), []byte(" ")))
	}
	blocks := consoleBlocks.FindAllSubmatch(page, -1)
	if len(blocks) != len(shown) {
		t.Errorf("%s shows %d commands, want %d", name, len(blocks), len(shown))
	}
	for i := range min(len(blocks), len(shown)) {
		if got, want := settled(blocks[i][1]), settled([]byte(shown[i])); got != want {
			t.Errorf("%s shows\n%s\nbut it is (UPDATE_PAGES=1 writes it)\n%s", name, got, want)
		}
	}
}
