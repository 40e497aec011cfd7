package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

// printServices prints what is running.
func (l *local) printServices() {
	l.lock.Lock()
	defer l.lock.Unlock()
	out := l.options.out
	write := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	var functions []string
	for _, f := range l.bundle.Functions {
		functions = append(functions, f.Name)
	}
	write("wechat-draftbox serves its API on %s\n", l.url)
	write("  console    %s/, and the API to try: %[1]s/_local/api", l.url)
	write("  functions  %s", strings.Join(functions, ", "))
	if len(l.missing) > 0 {
		write("             not here: %s", strings.Join(l.missing, ", "))
	}
	write("  WeChat     %s", where(l.world.wechatURL, "simulated", l.options.getenv("WECHAT_API_BASE_URL")))
	write("  AWS        %s", where(l.world.awsURL, "a stand-in, in memory", cmp.Or(l.options.getenv("AWS_ENDPOINT_URL"), "the account that the SDK finds")))
	if l.notifies() {
		write("  chat       %d robots, whose messages are lines here and at %s/_local/chat", len(l.world.robots), l.url)
	}
	if l.options.realAWS && !l.options.schedules {
		write("  schedules  off, since AWS is real; -schedules runs them")
	}
	for _, s := range l.schedules() {
		if s.Every == 0 {
			write("  schedule   %s %s: not run here", s.Expression, s.Input)
			continue
		}
		write("  schedule   %s, once ready and every %v", s.Input, faster(s.Every, l.options.speed).Round(time.Second))
	}
	write("")
}

// printExamples prints example commands to paste into another terminal.
func (l *local) printExamples(ready bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	write := func(format string, args ...any) { fmt.Fprintf(l.options.out, format+"\n", args...) }
	heading := map[bool]string{true: "Ready.", false: "Not ready, but you may look."}[ready]
	write("\n%s Open %s/ in a browser, or paste into another terminal:\n", heading, l.url)
	for _, line := range l.lines() {
		write("  # %s\n  %s", line.what, line.command)
	}
	write("\nCtrl-C stops it.\n")
}

func where(url, kind, outside string) string {
	if url == "" {
		return outside
	}
	return url + " (" + kind + ")"
}

// A line is a command to paste.
type line struct{ what, command string }

func (l *local) lines() []line {
	closed := wechattest.ExampleClosed
	var all []line
	add := func(condition bool, what, format string, args ...any) {
		if condition {
			all = append(all, line{what, fmt.Sprintf(format, args...)})
		}
	}
	simulated := l.world.wechat != nil
	drafts, sees, opens := l.serves("GET /drafts"), l.serves("GET /accounts/{appid}/draft-switch"), l.serves("POST /accounts/{appid}/draft-switch")

	add(drafts, "the drafts of the platform, newest first", "curl -s %s/drafts", l.url)
	if simulated {
		add(sees, "is the switch of an account open?", "curl -s %s/accounts/%s/draft-switch", l.url, closed)
		add(opens, "opening it can't be undone, so it is refused without confirm", "curl -s -X POST %s/accounts/%s/draft-switch", l.url, closed)
		add(opens, "open it; the second time it says that nothing changed", `curl -s -H 'Content-Type: application/json' -d '{"confirm": "%[2]s"}' %[1]s/accounts/%[2]s/draft-switch`, l.url, closed)
		watches := l.fleet["drafts"] != nil
		watch := fmt.Sprintf(`curl -s -d '{"task": "watch-drafts"}' %s/_local/invoke/drafts`, l.url)
		upload := `curl -s -d '{"user_version": "%s", "user_desc": "%s", "source_miniprogram_appid": "wx00000000000000aa", "source_miniprogram": "Tea House", "developer": "Lin"}' %s/_sim/drafts; %s`
		add(watches, "a developer uploads a draft; the watch, which would look within five minutes, tells it as Draft Uploaded",
			upload, "2.0.0", "order by table number", l.world.wechatURL, watch)
		add(watches, "another upload of that mini program replaces it: Draft Uploaded, with the previous one",
			upload, "2.0.1", "and pay there", l.world.wechatURL, watch)
		add(watches, "it is deleted on the platform's page (6 is the draft_id that the line before answered): Draft Removed",
			`curl -s -X DELETE %s/_sim/drafts/6; %s`, l.world.wechatURL, watch)
		add(l.serves("GET /drafts/history"), "every draft that was ever seen, with what became of it", "curl -s %s/drafts/history", l.url)
	}
	add(l.world.aws != nil && !simulated, "the stand-in for AWS holds no token yet; store one",
		`AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws --region %s --endpoint-url %s secretsmanager create-secret --name %s/component-token --secret-string file://component-token.json`,
		region, l.world.awsURL, namesOf(l.bundle, l.options.getenv).secrets)
	add(l.fleet["tokens"] != nil, "any task can be run at once: an event as body, a function in the path; the doctor says what is well and what isn't",
		`curl -s -d '{"task": "doctor"}' %s/_local/invoke/tokens`, l.url)
	add(l.fleet["tokens"] != nil, "what tokens there are and how long they live, but for the tokens",
		`curl -s -d '{"task": "tokens"}' %s/_local/invoke/tokens`, l.url)
	add(l.notifies(), "one message to each robot of the chat, then the chat",
		`curl -s -d '{"task": "notify-test"}' %[1]s/_local/invoke/notify; curl -s %[1]s/_local/chat`, l.url)
	add(l.managesTokens(), "let all tokens run out: the first answer is a refusal, then the bundle has new ones",
		`curl -s -X POST %[1]s/_local/tokens/expire; sleep 3; curl -s '%[1]s/drafts?fresh=true'; sleep 1; curl -s '%[1]s/drafts?fresh=true'`, l.url)
	add(simulated, "WeChat refuses this machine's address; an empty refused_ip ends that", `curl -s -d '{"refused_ip": "198.51.100.154"}' %s/_sim/whitelist`, l.world.wechatURL)
	add(simulated, "what the simulated WeChat holds", "curl -s %s/_sim/state", l.world.wechatURL)
	return all
}
