package wechat

import (
	"cmp"
	"encoding/csv"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryCodeIsKnown holds the table against the list of codes that was gathered from WeChat's pages.
func TestEveryCodeIsKnown(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/errors.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// Where the list names two parties, the one that people have to ask is told.
	parties := map[string]Party{
		"WeChat": WeChat, "the bundle": Bundle, "platform operator": PlatformOperator, "account administrator": AccountAdministrator,
		"account administrator or platform operator": AccountAdministrator,
		"the bundle, then platform operator":         PlatformOperator,
		"the bundle, then account administrator":     AccountAdministrator,
	}
	if len(rows)-1 != len(codes) {
		t.Errorf("%d codes, the list has %d", len(codes), len(rows)-1)
	}
	for _, row := range rows[1:] {
		code, _ := strconv.Atoi(row[0])
		got := Lookup(code)
		if got.Code != code || got.Meaning == "" || got.Action == "" {
			t.Errorf("%d: %+v", code, got)
		}
		if got.Acts != parties[row[3]] {
			t.Errorf("%d: %q acts, the list says %q", code, got.Acts, row[3])
		}
		if want := repeatOf(row[4]); got.Repeat != want {
			t.Errorf("%d: repeat %v, the list says %q", code, got.Repeat, row[4])
		}
	}
	if !slices.IsSortedFunc(codes, func(a, b Code) int { return cmp.Compare(a.Code, b.Code) }) {
		t.Error("the table is not sorted, so codes can't be found in it")
	}
}

func repeatOf(words string) Repeat {
	switch {
	case strings.HasPrefix(words, "never"):
		return RepeatNever
	case strings.HasPrefix(words, "token, once"):
		return RepeatFreshToken
	case strings.HasPrefix(words, "newest ticket"):
		return RepeatNewTicket
	case strings.HasPrefix(words, "after"):
		return RepeatAfterFix
	}
	return RepeatWait // for hours, days, a month
}

func TestClasses(t *testing.T) {
	t.Parallel()
	classes := map[Class][]int{
		Busy:          {-1},
		TokenRefused:  {40001, 40014, 42001, 42006},
		NotGranted:    {42002, 42007, 43007, 48001, 50001, 61003, 61007, 61017, 48004, 50002},
		Misconfigured: {61014, 61015, 40013, 40125, 61011},
		Whitelist:     {61004, 40164, 45035, 40090, 89501, 89502, 89503, 89504, 89505, 89506, 89507},
		DayQuota:      {45009},
		MinuteQuota:   {45011},
		NotFound:      {85064},
		LibraryFull:   {85065},
		Retired:       {48009},
	}
	of := make(map[int]Class)
	for class, codes := range classes {
		for _, code := range codes {
			of[code] = class
		}
	}
	for _, known := range codes {
		if known.Class != of[known.Code] {
			t.Errorf("%d has class %v, want %v", known.Code, known.Class, of[known.Code])
		}
	}
	for _, unknown := range []int{1, -2, 99999, 0} {
		if got := Lookup(unknown); got.Class != Other || got.Code != unknown || got.Action == "" || got.Repeat != RepeatNever {
			t.Errorf("%d: %+v", unknown, got)
		}
	}
}

func TestWhatMessagesName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code         int
		message      string
		rid, address string
	}{
		{61004, "access clientip is not registered requestIP: 198.51.100.154 rid: 6949fe38-0627ff0d-47df91c7", "6949fe38-0627ff0d-47df91c7", "198.51.100.154"},
		{61004, "access clientip is not registered requestIP:198.51.100.154", "", "198.51.100.154"},
		{40164, "invalid ip 198.51.100.30 ipv6 ::ffff:198.51.100.30, not in whitelist rid: 6949fe38-0627ff0d-47df91c7", "6949fe38-0627ff0d-47df91c7", "198.51.100.30"},
		{40164, "invalid ip ::ffff:198.51.100.30, not in whitelist", "", "198.51.100.30"},
		{40164, "invalid ip 2001:db8::7, not in whitelist", "", "2001:db8::7"},
		{40164, "invalid ip X, not in whitelist", "", ""},
		{40001, "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r rid: 6949fe38-0627ff0d-47df91c7", "6949fe38-0627ff0d-47df91c7", ""},
		{40001, "invalid credential 198.51.100.1", "", ""},
		{45009, "reach max api daily quota limit rid: 65af81fb-4abb2a3b-18a1751e", "65af81fb-4abb2a3b-18a1751e", ""},
		{40013, "invalid appid hint: [abc_0123]", "", ""},
		{40013, "grid: 12", "", ""},
		{0, "", "", ""},
	} {
		e := &Error{Code: c.code, Message: c.message}
		if e.RID() != c.rid || e.EgressIP() != c.address {
			t.Errorf("%q: rid %q, address %q", c.message, e.RID(), e.EgressIP())
		}
	}
}

func TestIsLostAndIsRetired(t *testing.T) {
	t.Parallel()
	const other = "/wxa/addtotemplate"
	for _, c := range []struct {
		name          string
		err           error
		lost, retired bool
	}{
		{"no error", nil, false, false},
		{"another error", errors.New("x"), false, false},
		{"busy", &Error{Code: -1}, true, false},
		{"refused", &Error{Code: 61007}, false, false},
		{"retired", &Error{Code: 48009}, false, true},
		{"never sent", &Failure{Cause: Unreachable}, false, false},
		{"time-out in connecting", &Failure{Cause: TimedOut}, false, false},
		{"broken", &Failure{Cause: Unreachable, Sent: true}, true, false},
		{"time-out", &Failure{Cause: TimedOut, Sent: true}, true, false},
		{"500", &Failure{Cause: Unusable, Status: 500, Sent: true}, true, false},
		{"404 of the switch", &Failure{Call: switchPath, Cause: Unusable, Status: 404, Sent: true}, true, true},
		{"410 of the switch", &Failure{Call: switchPath, Cause: Unusable, Status: 410, Sent: true}, true, true},
		{"404 of another call", &Failure{Call: other, Cause: Unusable, Status: 404, Sent: true}, true, false},
	} {
		if IsLost(c.err) != c.lost || IsRetired(c.err) != c.retired {
			t.Errorf("%s: lost %v, retired %v", c.name, IsLost(c.err), IsRetired(c.err))
		}
	}
}
