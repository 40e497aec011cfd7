package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/functiontest"
)

type accountsPage struct {
	Accounts []entry
	Next     *string
}

func getAccounts(t *testing.T, f *functiontest.Function, query string) (page accountsPage) {
	t.Helper()
	answer := f.HTTP(t.Context(), "GET", "/accounts?"+query, "")
	if answer.Status != http.StatusOK {
		t.Fatalf("GET /accounts?%s: status %d, %s", query, answer.Status, answer.Body)
	}
	answer.Decode(t, &page)
	if page.Accounts == nil {
		t.Errorf("GET /accounts?%s: accounts is null", query)
	}
	return page
}

// recordSome writes n parameters; one in three accounts is open, one in two unauthorized.
func recordSome(world *functiontest.World, n int) {
	for i := range n {
		state, status := "closed", "authorized"
		if i%3 == 0 {
			state = "open"
		}
		if i%2 == 0 {
			status = "unauthorized"
		}
		record(world, fmt.Sprintf("wx%016d", i), fmt.Sprintf(`"status": %q, "draft_switch": %q`, status, state))
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	f := world.Start(wire)
	if answer := f.HTTP(t.Context(), "GET", "/accounts", ""); answer.Status != 200 || answer.Body != `{"accounts":[]}` {
		t.Errorf("of no accounts: %d %s", answer.Status, answer.Body)
	}

	record(world, "wx0000000000000001", `"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z", "status_at": 1413192605`)
	record(world, "wx0000000000000002", `"status": "unauthorized", "draft_switch": "unknown", "errcode": 61003, "checked_at": "2026-01-02T11:04:05+08:00"`)
	record(world, "wx0000000000000003", `"more": "to come"`)
	world.AWS.SetParameter(parameters+"wx0000000000000004", "not JSON")
	world.AWS.SetParameter("/wechat/draftbox/drafts-seen", "no account")
	want := `{"accounts":[` +
		`{"appid":"wx0000000000000001","status":"authorized","draft_switch":"closed","checked_at":"2026-01-02T03:04:05Z","errcode":null},` +
		`{"appid":"wx0000000000000002","status":"unauthorized","draft_switch":"unknown","checked_at":"2026-01-02T03:04:05Z","errcode":61003},` +
		`{"appid":"wx0000000000000003","status":"authorized","draft_switch":"unknown","checked_at":null,"errcode":null}]}`
	answer := f.HTTP(t.Context(), "GET", "/accounts", "")
	if diff := cmp.Diff(want, answer.Body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if n := len(world.Log.Lines("can't be read")); n != 1 {
		t.Errorf("%d log lines of the unreadable one", n)
	}
	if n := world.WeChat.Calls("") + world.AWS.Calls("secretsmanager:*"); n != 0 {
		t.Errorf("%d calls of others than SSM", n)
	}

	etag := answer.Header["ETag"]
	if answer.Header["Cache-Control"] != "private, no-cache" || etag == "" {
		t.Errorf("header %v", answer.Header)
	}
	if again := f.HTTP(t.Context(), "GET", "/accounts", "", "if-none-match", etag); again.Status != http.StatusNotModified || again.Body != "" {
		t.Errorf("the same again: %d %s", again.Status, again.Body)
	}
	if other := f.HTTP(t.Context(), "GET", "/accounts?limit=99", "", "if-none-match", etag); other.Status != 200 {
		t.Errorf("another query: %d", other.Status)
	}
	record(world, "wx0000000000000001", `"status": "authorized", "draft_switch": "open"`)
	if changed := f.HTTP(t.Context(), "GET", "/accounts", "", "if-none-match", etag); changed.Status != 200 {
		t.Errorf("after a change: %d", changed.Status)
	}
}

func TestAccountsByPage(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	recordSome(world, 250)
	f := world.Start(wire)
	for query, want := range map[string]int{
		"":                                       250,
		"limit=1000":                             250,
		"limit=7":                                250,
		"limit=1&status=authorized":              125,
		"draft_switch=open":                      84,
		"draft_switch=unknown":                   0,
		"draft_switch=open&status=authorized":    42,
		"draft_switch=open&status=unauthorized":  42,
		"draft_switch=closed&limit=13":           166,
		"status=unauthorized&draft_switch=open&": 42,
	} {
		limit := 100
		fmt.Sscanf(query, "limit=%d", &limit)
		seen := make(map[string]bool)
		for next := ""; ; {
			page := getAccounts(t, f, query+next)
			if len(page.Accounts) > limit {
				t.Errorf("%s: %d on a page", query, len(page.Accounts))
			}
			for _, a := range page.Accounts {
				if seen[a.AppID] {
					t.Errorf("%s: %s twice", query, a.AppID)
				}
				seen[a.AppID] = true
				if strings.Contains(query, "draft_switch=open") && a.DraftSwitch != "open" || strings.Contains(query, "status=authorized") && a.Status != "authorized" {
					t.Errorf("%s: %+v", query, a)
				}
			}
			if page.Next == nil {
				break
			}
			if *page.Next != url.QueryEscape(*page.Next) || *page.Next == "" {
				t.Fatalf("next %q has to be escaped", *page.Next)
			}
			next = "&next=" + *page.Next
		}
		if len(seen) != want {
			t.Errorf("%s: %d accounts, want %d", query, len(seen), want)
		}
	}
}

func TestAccountsReadsAHundredTimesAtMost(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	recordSome(world, 1015)
	f := world.Start(wire)
	first := getAccounts(t, f, "draft_switch=unknown")
	if n := world.AWS.Calls("ssm:*"); n != 100 || len(first.Accounts) != 0 || first.Next == nil {
		t.Fatalf("%d reads, %+v", n, first)
	}
	if second := getAccounts(t, f, "draft_switch=unknown&next="+*first.Next); len(second.Accounts) != 0 || second.Next != nil {
		t.Errorf("the second page: %+v", second)
	}
	if n := world.AWS.Calls("ssm:*"); n != 102 {
		t.Errorf("%d reads", n)
	}
	if all := getAccounts(t, f, "limit=1000"); len(all.Accounts) != 1000 || all.Next == nil {
		t.Errorf("%d accounts in 100 reads", len(all.Accounts))
	}
}

func TestAccountsRefuses(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	recordSome(world, 30)
	f := world.Start(wire)
	good := *getAccounts(t, f, "limit=10").Next
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=1&limit=2",
		"draft_switch=OPEN", "draft_switch=", "draft_switch=opening", "status=revoked", "status=",
		"appid=wx0000000000000001", "cursor=" + good, "Limit=1",
		"next=", "next=10", "next=" + good + "x", "next=" + good[:len(good)-1], "next=%00", "next=" + url.QueryEscape("../../"),
		"next=" + encode("/wechat/draftbox/account-tokens/"), "next=" + encode("\x00\x00\x00\x00"), "next=" + encode("sum:AAAA"),
		"next=" + writeNext("AAAA"), "next=" + writeNext("\x00\xff"), "next=" + writeNext(strings.Repeat("A", 10_000)),
		"next=" + good + "&next=" + good,
	} {
		answer := f.HTTP(t.Context(), "GET", "/accounts?"+query, "")
		slug, body := answer.Problem(t)
		if answer.Status != 400 || slug != "invalid-request" {
			t.Errorf("%.60s: %d %s", query, answer.Status, slug)
			continue
		}
		detail, name := body["detail"].(string), query[:strings.Index(query, "=")]
		if !strings.Contains(detail, name) {
			t.Errorf("%.60s: the parameter isn't named: %s", query, detail)
		}
		if !strings.Contains(detail, "draft_switch, limit, next, status") && !strings.Contains(detail, "as it is") {
			t.Errorf("%.60s: those there are aren't named: %s", query, detail)
		}
	}
	if answer := f.HTTP(t.Context(), "DELETE", "/accounts", ""); answer.Status != 405 || answer.Header["Allow"] != "GET" {
		t.Errorf("DELETE: %d %v", answer.Status, answer.Header)
	}
}

// What SSM answers to a token that it didn't give is its own affair, and may be a failure.
func TestAForgedNextNeverGetsToSSM(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	recordSome(world, 30)
	f := world.Start(wire)
	good := *getAccounts(t, f, "limit=10").Next
	before := world.AWS.Calls("ssm:*")
	for i := range good {
		other := "A"
		if good[i] == 'A' {
			other = "B"
		}
		for _, forged := range []string{good[:i], good[:i] + other + good[i+1:], good[:i] + good[i+1:], good[:i] + other + good[i:]} {
			if forged == "" || forged == good {
				continue
			}
			if answer := f.HTTP(t.Context(), "GET", "/accounts?next="+forged, ""); answer.Status != 400 {
				t.Errorf("%s for %s: %d", forged, good, answer.Status)
			}
		}
	}
	if n := world.AWS.Calls("ssm:*") - before; n > 0 {
		t.Errorf("%d calls of SSM", n)
	}
}

func TestAccountsWithoutSSM(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  awstest.Fault
		status int
		slug   string
	}{
		"throttled": {awstest.Throttle(), 503, "aws-unavailable"},
		"dropped":   {awstest.Drop(), 503, "aws-unavailable"},
		"denied":    {awstest.Deny(), 500, "misconfigured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			recordSome(world, 30)
			f := startWith(world, (&waits{}).wait)
			next := *getAccounts(t, f, "limit=10").Next
			world.AWS.Fail("ssm:GetParametersByPath", test.fault.Sticky())
			for _, query := range []string{"", "limit=10&next=" + next} {
				answer := f.HTTP(t.Context(), "GET", "/accounts?"+query, "")
				if slug, _ := answer.Problem(t); answer.Status != test.status || slug != test.slug {
					t.Errorf("%d %s", answer.Status, slug)
				}
			}
		})
	}
}

// What SSM finds wrong with the bundle's own request is no fault of the caller's.
func TestAccountsThatSSMRefuses(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.AWS.Fail("ssm:GetParametersByPath", awstest.Refuse("ValidationException", 400))
	answer := world.Start(wire).HTTP(t.Context(), "GET", "/accounts", "")
	if slug, _ := answer.Problem(t); answer.Status != 500 || slug != "misconfigured" {
		t.Errorf("%d %s", answer.Status, slug)
	}
}
