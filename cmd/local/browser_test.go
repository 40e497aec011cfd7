package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wechat-draftbox/pkg/standin/wechattest"
)

var (
	screenshots = flag.String("screenshots", "", "write the pictures of the console into this `folder`")
	axe         = flag.String("axe", os.Getenv("AXE"), "check the console's accessibility with this `file`, axe.min.js of the npm package axe-core")
)

// A browser is a headless Chromium with one page.
type browser struct {
	t    *testing.T
	do   func(...chromedp.Action[chromedp.Void])
	eval func(expression string) string
}

// startBrowser starts Chromium, if it is installed.
func startBrowser(t *testing.T) browser {
	t.Helper()
	if os.Getenv("PROOF") == "" {
		t.Skip("the console is not tried in a browser: that is done where PROOF is set")
	}
	var binary string
	for _, name := range []string{os.Getenv("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Skip("no Chromium is here, so the console is not tried in a browser (CHROMIUM names one)")
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("lang", "en-US"))...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)

	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			// The browser logs refusals by the API as network errors.
			if message.Source != "network" && (message.IsException() || message.Type == "error") {
				t.Errorf("the page's console: %s", message)
			}
		}
	}()
	b := browser{t: t}
	b.do = func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, actions...); err != nil {
			t.Fatal(err)
		}
	}
	b.eval = func(expression string) string {
		t.Helper()
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		return text
	}
	return b
}

// see waits until the element's text contains the words.
func (b browser) see(selector string, words ...string) {
	b.t.Helper()
	text := ""
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		text = b.eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
		found := text != ""
		for _, word := range words {
			found = found && strings.Contains(text, word)
		}
		if found {
			return
		}
	}
	b.t.Fatalf("%s does not show %q but %q", selector, words, text)
}

// miss waits until no such element is visible.
func (b browser) miss(selector string) {
	b.t.Helper()
	eventually(b.t, selector+" goes away", func() bool {
		return b.eval(fmt.Sprintf("document.querySelector(%q)?.checkVisibility() ?? false", selector)) == "false"
	})
}

func (b browser) click(selector string) {
	b.t.Helper()
	b.do(chromedp.ScrollIntoView(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// press clicks the button with this text.
func (b browser) press(within, text string) {
	b.t.Helper()
	find := fmt.Sprintf("[...document.querySelectorAll('%s button')].find((b) => b.textContent === %q && !b.disabled)", within, text)
	eventually(b.t, "the button "+text, func() bool { return b.eval("!!"+find) == "true" })
	b.eval(find + ".click()")
}

func (b browser) dark(dark bool) {
	b.t.Helper()
	scheme := map[bool]string{true: "dark", false: "light"}[dark]
	b.do(func(ctx context.Context, _ *chromedp.Target) (v chromedp.Void, err error) {
		_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return v, err
	})
}

// picture saves a screenshot, if screenshots are wanted.
func (b browser) picture(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	b.eval("document.activeElement.blur()")
	b.do(func(ctx context.Context, target *chromedp.Target) (v chromedp.Void, err error) {
		taken, err := chromedp.CaptureScreenshot()(ctx, target)
		if err != nil {
			return v, err
		}
		small, err := withPalette(taken)
		if err != nil {
			return v, err
		}
		return v, os.WriteFile(filepath.Join(*screenshots, name), small, 0o644)
	})
}

// withPalette halves a PNG's size: the page has few colours besides antialiasing.
func withPalette(file []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	counts := map[color.Color]int{}
	bounds := from.Bounds()
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			counts[from.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return cmp.Compare(counts[b], counts[a]) })
	to := image.NewPaletted(bounds, colours[:min(len(colours), 256)])
	nearest := map[color.Color]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(to.Palette.Index(c))
	}
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			to.SetColorIndex(x, y, nearest[from.At(x, y)])
		}
	}
	var small bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, to)
	return small.Bytes(), err
}

// accessible runs axe's accessibility checks, if axe is installed.
func (b browser) accessible(where string) {
	b.t.Helper()
	if *axe == "" {
		return
	}
	script, err := os.ReadFile(*axe)
	if err != nil {
		b.t.Fatal(err)
	}
	b.eval(`(window.axe || (0, eval)(` + strconv.Quote(string(script)) + `), 0)`)
	b.eval(`(window.found = undefined, axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then((r) => { found = r; }), 0)`)
	eventually(b.t, "axe is done", func() bool { return b.eval("!!window.found") == "true" })
	if faults := b.eval(`found.violations.flatMap((v) => v.nodes.map((n) => v.impact + ' ' + v.id + ': ' + n.html.slice(0, 200) + ' ' + n.failureSummary)).join('\n')`); faults != "" {
		b.t.Errorf("%s: axe finds\n%s", where, faults)
	}
}

// The console of a fresh run: look, upload, promote, be refused, open, break, heal.
func TestConsole(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	b := startBrowser(t)
	l, _ := startLocal(t, "../../template.yaml", func(o *options) {
		if *screenshots != "" {
			o.port = "3000" // as readers will see it
		}
	})
	b.do(chromedp.EmulateViewport(1400, 1200), chromedp.Navigate(l.url))
	b.dark(false)
	seeFreshRun(b, l)
	uploadAndPromote(b)
	checkAccounts(b, l)
	openSwitch(b, l)
	breakAndHeal(b)
	deleteTemplate(b)
	useInChinese(b)
	fitAnyWidth(b)
	keepSecrets(b, l)
	tryAPI(b, l)
}

// seeFreshRun checks all sections of a fresh run.
func seeFreshRun(b browser, l *local) {
	t := b.t
	t.Helper()
	closed := "#account-" + wechattest.ExampleClosed
	b.see("#draft-4", "11", "111111", "LXXXXX", "wx6XXXXXXXXXXXXXXX", "XXX")
	b.see("#draft-0", "VVV", "AAS")
	b.see("#places", "simulated WeChat", "stand-in for AWS")
	b.see(closed, "Lantern Street", "Official Account", "switch closed", "checked")
	b.see("#account-"+miniProgram.AppID, "Corner Kiosk", "mini program")
	if text := b.eval("document.querySelector('#account-" + miniProgram.AppID + "').innerText"); strings.Contains(text, "switch") || strings.Contains(text, "Open") {
		t.Errorf("a mini program has no draft switch, but the console shows %q", text)
	}
	b.see("#tokens", "Platform", "expires", "Lantern Street", "Our Own News", "ticket", "pushed")
	b.see("#accounts-chart", "Official Accounts", "switch closed", "Mini programs")
	b.see("#history", "LXXXXX")
	b.see("#calls", "answered")
	b.see("#chat", "Nobody has said anything yet")
	b.accessible("a fresh run")
	b.picture("console-empty.png")
}

// uploadAndPromote checks the effects of two uploads: events, chat, history, template.
func uploadAndPromote(b browser) {
	t := b.t
	t.Helper()
	b.click("#uploading summary")
	b.press("#upload", "Upload")
	b.see("#answer", "POST /_sim/drafts", "Draft 5 is in the box")
	b.see("#draft-5", "2.0.0", "Tea House", "Lin")
	b.press("#tasks", "watch-drafts")
	b.see("#events", "Draft Uploaded", "#5 · 2.0.0 · Tea House")
	b.see("#chat", "slack", "New draft", "2.0.0", "wecom", "新草稿")
	b.see("#history", "Tea House", "Lin uploaded it", "in the draft box")

	b.press("#uploading", "Upload")
	b.see("#draft-6", "2.0.1", "Tea House")
	b.miss("#draft-5")
	b.press("#tasks", "watch-drafts")
	b.see("#events", "Draft Uploaded", "#6 · 2.0.1 · Tea House · replaces #5")

	b.see("#history", "replaced by #6")
	b.press("#draft-6", "To the library")
	b.see("#answer", "201", "POST /drafts/6/template", "It is template 0")
	b.see("#template-0", "2.0.1", "Tea House")
	b.see("#templates-count", "1 of 200")
	b.see("#history li.promoted", "#6", "template 0")
	b.eval("(document.querySelector('#history-source').value = 'wx6XXXXXXXXXXXXXXX', document.querySelector('#history-source').onchange(), 0)")
	eventually(t, "the history is one mini program's", func() bool {
		return !strings.Contains(b.eval("document.querySelector('#history').textContent"), "Tea House")
	})
	b.eval("(document.querySelector('#history-source').value = '', document.querySelector('#history-source').onchange(), 0)")
	b.see("#history", "Tea House")
}

// checkAccounts checks switches and article drafts, and filters the list through the chart.
func checkAccounts(b browser, l *local) {
	t := b.t
	t.Helper()
	closed := "#account-" + wechattest.ExampleClosed
	notGranted := "#account-" + wechattest.ExampleNotGranted
	b.press(closed, "Check")
	b.see("#answer", "200", "WeChat says: switch closed")
	if said, want := b.eval("document.querySelector('#answer-curl').textContent"), "curl -s '"+l.url+"/accounts/"+wechattest.ExampleClosed+"/draft-switch'"; said != want {
		t.Errorf("the command of the request is %s, want %s", said, want)
	}
	b.press(notGranted, "Check")
	b.see("#answer", "403", "61007", "set 11")

	b.press("#account-"+wechattest.ExampleOpen, "Articles")
	b.see("#reading", "Article drafts of Harbour Tea", "2 of 2", "春茶上市", "Opening hours", "untitled")
	b.accessible("the article drafts")
	b.press("#reading", "Close")
	b.press(notGranted, "Articles")
	b.see("#articles-failure", "61007")
	b.press("#reading", "Close")

	b.eval("document.querySelector('[data-query*=mini-program]').click()")
	b.see("#accounts-filter", "Mini programs", "authorised")
	b.miss(closed)
	b.see("#account-"+miniProgram.AppID, "Corner Kiosk")
	b.press("#accounts-filter", "Show all accounts")
}

// openSwitch is refused without the appid, then opens the switch once.
func openSwitch(b browser, l *local) {
	t := b.t
	t.Helper()
	closed := "#account-" + wechattest.ExampleClosed
	open := func(typed string) {
		t.Helper()
		b.press(closed, "Open …")
		b.see("#opening", wechattest.ExampleClosed, "for good")
		if typed != "" {
			b.do(chromedp.SendKeys(chromedp.CSS("#opening-confirm"), typed))
		}
		b.press("#opening", "Open for good")
	}
	open("")
	b.see("#answer", "400", "can't be undone")
	open(wechattest.ExampleOpen)
	b.see("#answer", "400", "can't be undone")
	b.press(closed, "Open …")
	b.press("#opening", "Cancel")
	if n := l.world.wechat.OpenCalls(); n != 0 {
		t.Fatalf("WeChat was asked %d times to open a switch that nobody confirmed", n)
	}
	open(wechattest.ExampleClosed)
	b.see("#answer", "200", "switch open", "It was opened now")
	b.see(closed, "switch open")
	b.see("#events", "Draft Switch Changed", "closed → open")
	if n := l.world.wechat.OpenCalls(); n != 1 {
		t.Errorf("WeChat was asked %d times to open the switch, want once", n)
	}
}

// breakAndHeal injects faults into WeChat and removes them.
func breakAndHeal(b browser) {
	b.press("#faults", "Address not whitelisted")
	b.see("#drafts-failure", "61004", "egress_ip: 198.51.100.154", "whitelist")
	b.see("#faults-state", "198.51.100.154")
	b.press("#tasks", "doctor")
	b.see("#answer", "Not all is well", "whitelist", "198.51.100.154")
	b.see("#calls", "refused")
	b.accessible("a failure")
	b.eval("scrollTo(0, 0)")
	b.picture("console-doctor.png")
	b.press("#faults", "Heal")
	b.miss("#drafts-failure")
	b.press("#faults", "WeChat is busy")
	b.see("#drafts-failure", "errcode -1")
	b.press("#faults", "Heal")
	b.miss("#drafts-failure")
	b.press("#faults", "Answers get lost")
	b.see("#answer", "gets lost")
	b.press("#draft-0", "To the library")
	b.see("#answer", "201", "It is template 1")
	b.press("#faults", "Heal")
	b.see("#faults-state", "Nothing is broken")
	b.press("#tasks", "doctor")
	b.see("#answer", "All is well", "component token accepted", "draft list quota")
	b.press("#faults", "Tokens run out")
	b.see("#events", "Token Rejected")
	b.miss("#drafts-failure")
}

// deleteTemplate checks the confirmation, then deletes.
func deleteTemplate(b browser) {
	b.press("#template-1", "Delete")
	b.press("#deleting", "Cancel")
	b.press("#template-1", "Delete")
	b.press("#deleting", "Delete")
	b.see("#answer", "204", "Template 1 is deleted")
	b.miss("#template-1")
}

// useInChinese repeats it in Chinese and in dark mode.
func useInChinese(b browser) {
	t := b.t
	t.Helper()
	b.click("[data-language=zh]")
	b.see("#drafts-title", "草稿箱")
	b.do(chromedp.Reload())
	b.see("main", "草稿箱", "模板库", "公众号", "小程序", "开关已开启")
	b.dark(true)
	b.click("#uploading summary")
	b.press("#upload", "上传")
	b.see("#draft-7", "茶馆点单", "小林")
	b.press("#tasks", "watch-drafts")
	b.see("#events", "#7 · 2.0.0 · 茶馆点单 · 取代 #6")
	b.see("#tokens", "已过期：")
	b.press("#tasks", "refresh-tokens")
	eventually(t, "no token is past its end", func() bool {
		return !strings.Contains(b.eval("document.querySelector('#tokens').innerText"), "已过期：")
	})
	b.press("#draft-4", "删除")
	b.miss("#draft-4")
	b.press("#tasks", "watch-drafts")
	b.see("#events", "Draft Removed", "#4 · 11 · LXXXXX")
	b.press("#draft-7", "添加到模板库")
	b.see("#answer", "模板 ID 为 2")
	b.see("#history", "模板 2")
	b.eval("scrollTo(0, 0)")
	b.picture("console-zh.png")
}

// fitAnyWidth checks narrow and wide windows, and the controls' accessible names.
func fitAnyWidth(b browser) {
	t := b.t
	t.Helper()
	b.accessible("Chinese and dark")
	for _, width := range []int64{360, 960, 1400} {
		b.do(chromedp.EmulateViewport(width, 844))
		if width == 360 {
			b.accessible("a phone")
		}
		if wide := b.eval("document.documentElement.scrollWidth"); wide != fmt.Sprint(width) {
			t.Errorf("on a page %d wide, it is %s wide", width, wide)
		}
	}
	if nameless := b.eval(`[...document.querySelectorAll('button, input, select, textarea, a')].filter((e) =>
		!(e.ariaLabel || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)`); nameless != "" {
		t.Errorf("controls without a name: %s", nameless)
	}
}

// keepSecrets checks that no secret was shown.
func keepSecrets(b browser, l *local) {
	t := b.t
	t.Helper()
	_, _, state := call(t, "GET", l.world.wechatURL+"/_sim/state", "")
	seen := b.eval("document.documentElement.outerHTML + JSON.stringify(localStorage)") + state
	for _, secret := range l.world.wechat.Secrets() {
		if strings.Contains(seen, secret) {
			t.Errorf("the console shows the secret %.6s…", secret)
		}
	}
}

// tryAPI sends requests from the page of the API.
func tryAPI(b browser, l *local) {
	b.do(chromedp.Navigate(l.url + "/_local/api"))
	b.see("#operations", "/drafts")
	b.accessible("the API to try")
	b.click("#listDrafts summary")
	b.press("#listDrafts", "Send")
	b.see("#listDrafts pre", "GET /drafts", "200", "etag:", `"draft_id": 0`)
	b.click("#openDraftSwitch summary")
	b.press("#openDraftSwitch", "Send")
	b.see("#openDraftSwitch pre", "POST /accounts/"+wechattest.ExampleClosed+"/draft-switch", "200", `"changed": false`)
}

// A busy week: several mini programs with several drafts each, some of which became templates.
func TestConsoleBusy(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	b := startBrowser(t)
	l, _ := startLocal(t, "../../template.yaml", func(o *options) { o.basePath = "/shop" }) // as behind an own domain
	now := time.Now()
	upload := func(age time.Duration, name, version, developer, description string) int64 {
		t.Helper()
		id := l.world.wechat.UploadDraft(wechattest.Draft{CreateTime: now.Add(-age).Unix(), SourceMiniProgram: name, UserVersion: version,
			SourceMiniProgramAppID: fmt.Sprintf("wx%x", name[:8]), Developer: developer, UserDesc: description})
		if status, _, body := call(t, "POST", l.url+"/_local/invoke/drafts", `{"task": "watch-drafts"}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		return id
	}
	promote := func(id int64) {
		t.Helper()
		if status, _, body := call(t, "POST", fmt.Sprintf("%s/drafts/%d/template", l.url, id), ""); status != 201 {
			t.Fatalf("%d %s", status, body)
		}
	}
	const day = 24 * time.Hour
	upload(6*day, "Tea House", "2.3.0", "Lin", "order by table number")
	promote(upload(4*day+5*time.Hour, "Tea House", "2.4.0", "Lin", "pay at the table"))
	upload(5*day, "Flower Market", "0.9.1", "Zhou", "first try")
	upload(3*day, "Flower Market", "1.0.0", "Zhou", "<b>delivery</b> by the hour")
	promote(upload(2*day, "读书会", "3.1.0", "小林", "新增：签到"))
	upload(20*time.Hour, "Tea House", "2.5.0", "Chen", "coupons")
	gone := upload(30*time.Hour, "Bike Repair Shop", "0.1.0", "Mo", "a sketch")
	l.world.wechat.RemoveDraft(gone)
	promote(upload(3*time.Hour, "Flower Market", "1.0.1", "Zhou", "fixes the calendar"))
	call(t, "POST", l.url+"/_local/invoke/switch", `{"task": "check-switches"}`)

	b.do(chromedp.EmulateViewport(1400, 1400), chromedp.Navigate(l.url+"/"))
	b.dark(false)
	b.see("#history", "over the last 8 d", "Tea House", "读书会", "Chen uploaded it", "<b>delivery</b> by the hour", "template 2", "removed · after 30 h", "replaced by")
	b.see("#chat", "Flower Market", "1.0.1")
	b.click("#calls summary")
	b.see("#calls-section", "/wxa/gettemplatedraftlist", "answered")
	b.eval("scrollTo(0, 0)")
	if lanes := b.eval("document.querySelectorAll('#history svg svg').length"); lanes != "5" {
		b.t.Errorf("there are %s lanes", lanes)
	}
	b.picture("console.png")
	b.dark(true)
	b.picture("console-dark.png")
	b.do(chromedp.EmulateViewport(360, 1400))
	b.dark(false)
	b.accessible("a busy week on a phone")
	b.eval("(document.querySelector('#history-section').scrollIntoView(), 0)")
	b.picture("console-phone.png")
}

// Without simulators, the console hides their controls.
func TestConsoleWithoutStandins(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	l, _ := startLocal(t, echoTemplate, func(o *options) {
		o.realAWS = true
		o.environ = []string{"WECHAT_API_BASE_URL=http://wechat.test", "AWS_ENDPOINT_URL=http://aws.test", "HOME=/nowhere"}
	})
	b.do(chromedp.Navigate(l.url))
	b.see("#where", "local run")
	for _, part := range []string{"#events-section", "#chat-section", "#calls-section", "#faults-section", "#uploading"} {
		b.miss(part)
	}
	b.see("#jumps", "Accounts", "Tokens")
}

// manyAccounts fills the tables with accounts in all states and tokens of all ages.
func manyAccounts(l *local, accounts int) {
	names := namesOf(l.bundle, l.options.getenv)
	now := time.Now().UTC().Truncate(time.Second)
	for i := range accounts {
		appID := fmt.Sprintf("wx%016d", 1_000_000+i)
		item := map[string]any{"pk": "account", "sk": appID, "appid": appID, "status": "authorized", "draft_switch": "closed",
			"kind": "official-account", "name": fmt.Sprintf("Branch %d", i+1), "checked_at": now.Add(-time.Duration(i) * time.Second).Format(time.RFC3339)}
		switch {
		case i%5 == 0:
			item["kind"] = "mini-program"
		case i%3 == 0:
			item["draft_switch"] = "open"
		case i%101 == 0:
			item["draft_switch"], item["errcode"] = "unknown", 61007
		}
		if i%211 == 0 {
			item["status"] = "unauthorized"
		}
		l.world.aws.SetItem(names.states, item)
		ends := now.Add(20*time.Minute + time.Duration(i*97%6000)*time.Second)
		if i%1999 == 7 {
			ends = now.Add(-time.Duration(i%50) * time.Minute)
		}
		l.world.aws.SetItem(names.tokens, map[string]any{"appid": appID, "access_token": "t", "refresh_token": "r",
			"expires_at": ends.Format(time.RFC3339), "updated_at": ends.Add(-2 * time.Hour).Format(time.RFC3339Nano)})
	}
}

// With 10,000 accounts one chart still shows their states, and the list still responds.
func TestConsoleManyAccounts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds all functions")
	}
	b := startBrowser(t)
	l, _ := startLocal(t, "../../template.yaml", func(o *options) {
		o.parameters = map[string]string{"AccountTokenStore": "dynamodb"}
	})
	manyAccounts(l, 10_000)
	b.do(chromedp.EmulateViewport(1400, 1200))
	b.dark(false)
	began := time.Now()
	b.do(chromedp.Navigate(l.url))
	b.see("#accounts-count", "10,005")
	t.Logf("console: 10,005 accounts are drawn %v after the page was asked for", time.Since(began).Round(10*time.Millisecond))
	b.see("#accounts-chart", "Official Accounts 8,0", "Mini programs 2,0", "authorisation ended")
	b.see("#tokens-chart", "Tokens by minutes left", "first 1,000 tokens")
	began = time.Now()
	b.press("#tokens-chart", "Read all")
	b.see("#tokens-chart", "counts all 10,00", "expired")
	t.Logf("console: the tokens of all are drawn %v after they were asked for", time.Since(began).Round(10*time.Millisecond))
	b.eval("document.querySelector('[data-query*=unknown]').click()")
	b.see("#accounts-filter", "switch unknown")
	b.see("#accounts", "errcode 61007")
	b.press("#accounts-more", "Show more")
	eventually(t, "more accounts are listed", func() bool { return b.eval("document.querySelectorAll('#accounts > li').length > 50") == "true" })
	b.press("#accounts-filter", "Show all accounts")
	b.see("#accounts", "Lantern Street")
	b.accessible("10,000 accounts")
	b.eval("scrollTo(0, 0)")
	b.picture("console-accounts.png")
}
