package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/functiontest"
)

const query = "dynamodb:Query"

type accountsAnswer struct {
	Accounts []accountEntry
	Next     *string
}

func getAccounts(t *testing.T, f *functiontest.Function, query string) (page accountsAnswer) {
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

// numbered is an appid; they are in the order of their numbers.
func numbered(n int) string { return fmt.Sprintf("wx%016d", n) }

// setAccounts stores n accounts: one in three is open, one in two unauthorized, one in five a mini program, one in five
// of a kind that isn't known.
func setAccounts(world *functiontest.World, n int, more ...fields) {
	for i := range n {
		account := fields{"status": "authorized", "draft_switch": "closed"}
		if i%3 == 0 {
			account["draft_switch"] = "open"
		}
		if i%2 == 0 {
			account["status"] = "unauthorized"
		}
		switch i % 5 {
		case 0:
			account["kind"] = "mini-program"
		case 1, 2, 3:
			account["kind"] = "official-account"
		}
		for _, m := range more {
			for name, value := range m {
				account[name] = value
			}
		}
		world.SetAccount(numbered(i), account)
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	f := world.Start(wire)
	if answer := f.HTTP(t.Context(), "GET", "/accounts", ""); answer.Status != 200 || answer.Body != `{"accounts":[]}` {
		t.Errorf("of no accounts: %d %s", answer.Status, answer.Body)
	}

	world.SetAccount(numbered(3), fields{"more": "to come"})
	world.SetAccount(numbered(4), fields{"status": 1, "draft_switch": []string{"open"}, "kind": "robot", "checked_at": "yesterday", "errcode": "61007"})
	world.SetAccount(numbered(1), fields{"status": "authorized", "draft_switch": "closed", "kind": "official-account", "name": "老 <茶>",
		"checked_at": "2026-01-02T03:04:05Z", "status_at": 1413192605})
	world.SetAccount(numbered(2), fields{"status": "unauthorized", "draft_switch": "unknown", "errcode": 61003, "checked_at": "2026-01-02T11:04:05+08:00"})
	world.SetAccount(numbered(5), fields{"status": "authorized", "draft_switch": "unknown", "kind": "mini-program", "name": "Tea"})
	for _, pk := range []string{"accounts", "lease", "opening", "box"} {
		world.AWS.SetItem(functiontest.StateTable, fields{"pk": pk, "sk": numbered(9), "appid": numbered(9)})
	}
	want := `{"accounts":[` +
		`{"appid":"wx0000000000000001","kind":"official-account","name":"老 <茶>","status":"authorized","draft_switch":"closed","checked_at":"2026-01-02T03:04:05Z","errcode":null},` +
		`{"appid":"wx0000000000000002","kind":null,"name":null,"status":"unauthorized","draft_switch":"unknown","checked_at":"2026-01-02T03:04:05Z","errcode":61003},` +
		`{"appid":"wx0000000000000003","kind":null,"name":null,"status":"authorized","draft_switch":"unknown","checked_at":null,"errcode":null},` +
		`{"appid":"wx0000000000000004","kind":null,"name":null,"status":"authorized","draft_switch":"unknown","checked_at":null,"errcode":61007},` +
		`{"appid":"wx0000000000000005","kind":"mini-program","name":"Tea","status":"authorized","draft_switch":null,"checked_at":null,"errcode":null}]}`
	calls := len(world.AWS.Recorded())
	answer := f.HTTP(t.Context(), "GET", "/accounts", "")
	if diff := cmp.Diff(want, answer.Body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if made := world.AWS.Recorded()[calls:]; len(made) != 1 || made[0].Operation != query || world.WeChat.Calls("") != 0 {
		t.Errorf("calls of AWS %v, %d of WeChat", made, world.WeChat.Calls(""))
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
	world.SetAccount(numbered(1), fields{"status": "authorized", "draft_switch": "open"})
	if changed := f.HTTP(t.Context(), "GET", "/accounts", "", "if-none-match", etag); changed.Status != 200 {
		t.Errorf("after a change: %d", changed.Status)
	}
}

func TestAccountsByPage(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	const n = 300
	setAccounts(world, n)
	f := world.Start(wire)
	every := func(int) bool { return true }
	isMini := func(i int) bool { return i%5 == 0 }
	for q, matches := range map[string]func(i int) bool{
		"":                                      every,
		"limit=1000":                            every,
		"limit=7":                               every,
		"limit=100":                             every, // the last page is empty
		"limit=1&status=authorized":             func(i int) bool { return i%2 == 1 },
		"kind=mini-program":                     isMini,
		"kind=official-account":                 func(i int) bool { return !isMini(i) },
		"kind=mini-program&draft_switch=closed": func(int) bool { return false },
		"draft_switch=open":                     func(i int) bool { return i%3 == 0 && !isMini(i) },
		"draft_switch=unknown":                  func(int) bool { return false },
		"draft_switch=open&status=unauthorized&kind=official-account": func(i int) bool { return i%6 == 0 && !isMini(i) },
		"draft_switch=closed&limit=13":                                func(i int) bool { return i%3 != 0 && !isMini(i) },
	} {
		limit := 100
		fmt.Sscanf(q, "limit=%d", &limit)
		var want, got []string
		for i := range n {
			if matches(i) {
				want = append(want, numbered(i))
			}
		}
		for next := ""; ; {
			page := getAccounts(t, f, q+next)
			if len(page.Accounts) > limit {
				t.Errorf("%s: %d on a page", q, len(page.Accounts))
			}
			for _, a := range page.Accounts {
				got = append(got, a.AppID)
			}
			if page.Next == nil {
				break
			}
			if *page.Next != url.QueryEscape(*page.Next) || *page.Next == "" {
				t.Fatalf("next %q has to be escaped", *page.Next)
			}
			next = "&next=" + *page.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", q, diff)
		}
	}
}

// A filtered request reads whole pages of DynamoDB, and recognizes the end of the list.
func TestAFilteredPageThatEndsTheList(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 300)
	f := world.Start(wire)
	for query, want := range map[string]int{"kind=official-account&limit=240": 240, "draft_switch=unknown&limit=1": 0} {
		before := world.AWS.Calls("")
		page := getAccounts(t, f, query)
		if n := world.AWS.Calls("") - before; len(page.Accounts) != want || page.Next != nil || n != 1 {
			t.Errorf("%s: %d accounts, next %v, by %d reads", query, len(page.Accounts), page.Next, n)
		}
	}
}

func TestAccountsByOneQueryAPage(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 5000)
	f := world.Start(wire)
	next := ""
	for n := range 5 {
		page := getAccounts(t, f, "limit=1000"+next)
		if len(page.Accounts) != 1000 || page.Next == nil || page.Accounts[0].AppID != numbered(1000*n) || world.AWS.Calls("") != n+1 {
			t.Fatalf("%d accounts, next %v, %d calls of AWS", len(page.Accounts), page.Next, world.AWS.Calls(""))
		}
		next = "&next=" + *page.Next
	}
	if last := getAccounts(t, f, "limit=1000"+next); len(last.Accounts) != 0 || last.Next != nil {
		t.Errorf("after the end: %+v", last)
	}
}

// A page is full if there are enough accounts, even where DynamoDB's pages are shorter.
func TestAccountsThatFillMoreThanAMegabyte(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 40, fields{"note": strings.Repeat("x", 100_000)})
	f := world.Start(wire)
	page := getAccounts(t, f, "limit=35")
	if n := world.AWS.Calls(query); len(page.Accounts) != 35 || page.Accounts[34].AppID != numbered(34) || n != 4 {
		t.Errorf("%d accounts by %d reads", len(page.Accounts), n)
	}
	if rest := getAccounts(t, f, "limit=35&next="+*page.Next); len(rest.Accounts) != 5 || rest.Next != nil {
		t.Errorf("the rest: %+v", rest)
	}
}

func TestAFilterReadsThirtyTimesAtMost(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 330, fields{"note": strings.Repeat("x", 100_000)}) // eleven fit into 1 MB
	world.SetAccount(numbered(329), fields{"status": "authorized", "draft_switch": "unknown"})
	f := world.Start(wire)
	first := getAccounts(t, f, "draft_switch=unknown")
	if n := world.AWS.Calls(query); n != 30 || len(first.Accounts) != 0 || first.Next == nil {
		t.Fatalf("%d reads, %+v", n, first)
	}
	if second := getAccounts(t, f, "draft_switch=unknown&next="+*first.Next); len(second.Accounts) != 1 || second.Next != nil {
		t.Errorf("the second page: %+v", second)
	}
}

func TestAccountsRefuses(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 30)
	f := world.Start(wire)
	good := *getAccounts(t, f, "limit=10").Next
	calls := world.AWS.Calls("")
	encode := base64.RawURLEncoding.EncodeToString
	for _, query := range []string{
		"limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=", "limit=1&limit=2",
		"draft_switch=OPEN", "draft_switch=", "draft_switch=opening", "draft_switch=null", "status=revoked", "status=", "kind=", "kind=Mini-Program",
		"appid=wx0000000000000001", "cursor=" + good, "Limit=1",
		"next=", "next=10", "next=" + good + "x", "next=" + good[:len(good)-1], "next=%00", "next=" + url.QueryEscape("../../"),
		"next=" + encode([]byte(numbered(1))), "next=" + encode([]byte("\x00\x00\x00\x00")),
		"next=" + api.WriteCursor("AAAA"), "next=" + api.WriteCursor("\x00\xff"), "next=" + api.WriteCursor(strings.Repeat("A", 10_000)),
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
		if !strings.Contains(detail, "draft_switch, kind, limit, next, status") && !strings.Contains(detail, "as it is") {
			t.Errorf("%.60s: those there are aren't named: %s", query, detail)
		}
	}
	// Every corrupted next is rejected.
	for i := range good {
		other := "A"
		if good[i] == 'A' {
			other = "B"
		}
		for _, forged := range []string{good[:i], good[:i] + other + good[i+1:], good[:i] + good[i+1:], good[:i] + other + good[i:]} {
			if answer := f.HTTP(t.Context(), "GET", "/accounts?next="+forged, ""); answer.Status != 400 {
				t.Errorf("%s for %s: %d", forged, good, answer.Status)
			}
		}
	}
	if n := world.AWS.Calls("") - calls; n > 0 {
		t.Errorf("%d calls of AWS", n)
	}
	if answer := f.HTTP(t.Context(), "DELETE", "/accounts", ""); answer.Status != 405 || answer.Header["Allow"] != "GET" {
		t.Errorf("DELETE: %d %v", answer.Status, answer.Header)
	}
}

func TestAccountsWithoutTheTable(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"throttled": awstest.Throttle(), "dropped": awstest.Drop(), "denied": awstest.Deny(), "garbage": awstest.Garbage(),
		"no table": awstest.Refuse("ResourceNotFoundException", 400),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world := functiontest.New(t)
			setAccounts(world, 30)
			f := world.Start(wire)
			next := *getAccounts(t, f, "limit=10").Next
			world.AWS.Fail(query, fault.Sticky())
			for _, q := range []string{"", "limit=10&next=" + next, "status=authorized"} {
				answer := f.HTTP(t.Context(), "GET", "/accounts?"+q, "")
				if slug, _ := answer.Problem(t); answer.Status != 503 || slug != "aws-unavailable" {
					t.Errorf("%s: %d %s", q, answer.Status, slug)
				}
			}
		})
	}
}

// A failed read between others loses no account of the page.
func TestAccountsWhoseSecondReadIsThrottled(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	setAccounts(world, 40, fields{"note": strings.Repeat("x", 100_000)})
	world.AWS.Fail(query, awstest.Before(func() {}), awstest.Throttle(), awstest.Drop())
	page := getAccounts(t, world.Start(wire), "kind=official-account")
	if len(page.Accounts) != 32 || !slices.IsSortedFunc(page.Accounts, func(a, b accountEntry) int { return strings.Compare(a.AppID, b.AppID) }) {
		t.Errorf("%d accounts", len(page.Accounts))
	}
}
