package wechat

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
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
	// If the list names two parties, the one to be asked is reported.
	parties := map[string]Party{
		"WeChat": WeChat, "the bundle": Bundle, "platform operator": PlatformOperator, "account administrator": AccountAdministrator,
		"account administrator or platform operator": AccountAdministrator,
		"platform operator or account administrator": PlatformOperator,
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
		if got.Owner != parties[row[3]] {
			t.Errorf("%d: %q owns it, the list says %q", code, got.Owner, row[3])
		}
		if want := repeatOf(row[4]); got.Retry != want {
			t.Errorf("%d: repeat %v, the list says %q", code, got.Retry, row[4])
		}
	}
	if !slices.IsSortedFunc(codes, func(a, b Code) int { return cmp.Compare(a.Code, b.Code) }) {
		t.Error("the table is not sorted, so codes can't be found in it")
	}
}

func repeatOf(words string) Retry {
	switch {
	case strings.HasPrefix(words, "never"):
		return RetryNever
	case strings.HasPrefix(words, "token, once"):
		return RetryWithFreshToken
	case strings.HasPrefix(words, "newest ticket"):
		return RetryWithNewTicket
	case strings.HasPrefix(words, "after"):
		return RetryAfterFix
	}
	return RetryLater // for hours, days, a month
}

func TestClasses(t *testing.T) {
	t.Parallel()
	classes := map[Class][]int{
		Busy:          {-1},
		TokenRefused:  {40001, 40014, 42001, 42006},
		NotGranted:    {42002, 42007, 43007, 48001, 50001, 61003, 61007, 61017, 48004, 50002},
		Misconfigured: {61014, 61015, 40013, 40125, 61011, 40243, 61028},
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
		if got := Lookup(unknown); got.Class != Other || got.Code != unknown || got.Action == "" || got.Retry != RetryNever {
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
		{40013, "invalid appid hint: [abc_0123]", "abc_0123", ""},
		{40164, "invalid ip 198.51.100.4 ipv6 ::ffff:198.51.100.4, not in whitelist hint: [jotvMa01143580]", "jotvMa01143580", "198.51.100.4"},
		{40001, "invalid credential hint: [dq1i3013336-0]    rid: 684d20cd-4e3b2108-3ad934e2", "684d20cd-4e3b2108-3ad934e2", ""},
		{61009, "invalid code, hints: [ req_id: UdICunNre-o_pNZa ]", "UdICunNre-o_pNZa", ""},
		{40164, "invalid ip not in\n whitelist", "", ""},
		{40164, "invalid ip: 198.51.100.4. not in whitelist hint: []", "", "198.51.100.4"},
		{40164, "invalid ip ::, not in whitelist rid: 684d20cd-4e3b2108-3ad934e2", "684d20cd-4e3b2108-3ad934e2", ""},
		{40164, "invalid ip 198.51.100.4，not in whitelist", "", "198.51.100.4"},
		{45035, "access clientip is not registered, not in ip-white-list (198.51.100.4)", "", "198.51.100.4"},
		{40013, "grid: 12", "", ""},
		{0, "", "", ""},
	} {
		e := &APIError{Code: c.code, Message: c.message}
		if e.RID() != c.rid || e.EgressIP() != c.address {
			t.Errorf("%q: rid %q, address %q", c.message, e.RID(), e.EgressIP())
		}
	}
}

func TestIsOutcomeUnknownAndIsRetired(t *testing.T) {
	t.Parallel()
	const other = "/wxa/addtotemplate"
	for _, c := range []struct {
		name          string
		err           error
		lost, retired bool
	}{
		{"no error", nil, false, false},
		{"another error", errors.New("x"), false, false},
		{"busy", &APIError{Code: -1}, true, false},
		{"refused", &APIError{Code: 61007}, false, false},
		{"retired", &APIError{Code: 48009}, false, true},
		{"never sent", &TransportError{Cause: Unreachable}, false, false},
		{"time-out in connecting", &TransportError{Cause: TimedOut}, false, false},
		{"broken", &TransportError{Cause: Unreachable, Sent: true}, true, false},
		{"time-out", &TransportError{Cause: TimedOut, Sent: true}, true, false},
		{"500", &TransportError{Cause: Unusable, Status: 500, Sent: true}, true, false},
		{"404 of the switch", &TransportError{Call: switchPath, Cause: Unusable, Status: 404, Sent: true}, true, true},
		{"410 of the switch", &TransportError{Call: switchPath, Cause: Unusable, Status: 410, Sent: true}, true, true},
		{"404 of the count", &TransportError{Call: draftCountPath, Cause: Unusable, Status: 404, Sent: true}, true, true},
		{"404 of another call", &TransportError{Call: other, Cause: Unusable, Status: 404, Sent: true}, true, false},
	} {
		if IsOutcomeUnknown(c.err) != c.lost || IsRetired(c.err) != c.retired {
			t.Errorf("%s: lost %v, retired %v", c.name, IsOutcomeUnknown(c.err), IsRetired(c.err))
		}
	}
}

// TestAdviceFollowsFromWhoseTokenTheCallTook: WeChat uses one code for the whitelists and secrets of both.
func TestAdviceFollowsFromWhoseTokenTheCallTook(t *testing.T) {
	t.Parallel()
	const account, platform = "微信开发者平台 (developers.weixin.qq.com/platform) → 我的业务 → 公众号 → 开发密钥", "platform's settings"
	for _, c := range []struct {
		code   int
		caller Caller
		acts   Party
		names  string
	}{
		{61004, UnknownCaller, PlatformOperator, platform},
		{61004, ByPlatform, PlatformOperator, platform},
		{61004, ByOwnAccount, AccountAdministrator, account},
		{40164, UnknownCaller, AccountAdministrator, account},
		{40164, ByPlatform, PlatformOperator, platform},
		{40164, ByOwnAccount, AccountAdministrator, account},
		{45035, ByOwnAccount, AccountAdministrator, account},
		{89503, ByOwnAccount, AccountAdministrator, "confirm the calling address"},
		{40243, UnknownCaller, PlatformOperator, "ten minutes"},
		{40243, ByPlatform, PlatformOperator, "platform's settings"},
		{40243, ByOwnAccount, AccountAdministrator, account},
		{40125, ByOwnAccount, PlatformOperator, account},
		{45009, ByOwnAccount, PlatformOperator, "midnight"},
	} {
		err := &APIError{Code: c.code}
		SetCaller(fmt.Errorf("outer: %w", err), c.caller)
		got := err.Info()
		if got.Owner != c.acts || !strings.Contains(got.Action, c.names) || got.Class != Lookup(c.code).Class {
			t.Errorf("%d to caller %d: %s acts: %s", c.code, c.caller, got.Owner, got.Action)
		}
	}
	SetCaller(nil, ByPlatform)
	SetCaller(&TransportError{}, ByPlatform)
}

func TestTheClientNotesWhoseTokenACallTook(t *testing.T) {
	t.Parallel()
	c := answering(t, `{"errcode":61004,"errmsg":"access clientip is not registered requestIP: 198.51.100.154 rid: 6949fe38-0627ff0d-47df91c7"}`)
	_, list := c.DraftList(t.Context(), awkward)
	_, templates := c.TemplateList(t.Context(), awkward)
	_, component := c.ComponentToken(t.Context(), Platform{"wx1", awkward}, awkward)
	_, authorizer := c.AuthorizerToken(t.Context(), awkward, "wx1", "wx2", awkward)
	_, info := c.AuthorizerInfo(t.Context(), awkward, "wx1", "wx2")
	_, stable := c.StableToken(t.Context(), "wx1", awkward, false)
	_, check := c.CheckDraftSwitch(t.Context(), awkward)
	add := c.AddToTemplate(t.Context(), awkward, 1, 0)
	for name, c := range map[string]struct {
		err  error
		want Caller
	}{
		"draft list": {list, ByPlatform}, "template list": {templates, ByPlatform}, "component token": {component, ByPlatform},
		"authorizer token": {authorizer, ByPlatform}, "authorizer info": {info, ByPlatform},
		"add": {add, ByPlatform}, "stable token": {stable, ByOwnAccount}, "switch": {check, UnknownCaller},
	} {
		var refusal *APIError
		if !errors.As(c.err, &refusal) || refusal.Caller != c.want {
			t.Errorf("%s: %+v", name, c.err)
		}
	}
}

func TestFrozenAppSecret(t *testing.T) {
	t.Parallel()
	c := answering(t, `{"errcode":40243,"errmsg":"appsecret is frozen rid: 6949fe38-0627ff0d-47df91c7"}`)
	_, err := c.StableToken(t.Context(), "wx1", awkward, false)
	var refusal *APIError
	if !errors.As(err, &refusal) || refusal.Info().Class != Misconfigured || !strings.Contains(refusal.Info().Action, "ten minutes") {
		t.Errorf("%v", err)
	}
}

// TestAPlatformThatIsNotPublished: WeChat answers -1 and then 61006, which otherwise says to wait for a ticket.
func TestAPlatformThatIsNotPublished(t *testing.T) {
	t.Parallel()
	busy, ticket := wechattest.Refuse(-1), wechattest.Refuse(61006)
	for _, c := range []struct {
		name      string
		faults    []wechattest.Fault
		published bool
	}{
		{"-1, then 61006", []wechattest.Fault{busy, ticket}, false},
		{"-1 twice, then 61006", []wechattest.Fault{busy, busy, ticket}, false},
		{"61006 alone", []wechattest.Fault{ticket}, true},
		{"a broken connection, then 61006", []wechattest.Fault{wechattest.Drop(), ticket}, true},
		{"-1, then another code", []wechattest.Fault{busy, wechattest.Refuse(61005)}, true},
	} {
		wechat, client, _, _ := simulated(t)
		wechat.Fail(wechattest.PathComponentToken, c.faults...)
		_, err := client.ComponentToken(t.Context(), Platform{wechattest.ExamplePlatform().AppID, secret.New(wechattest.ExamplePlatform().AppSecret)}, secret.New("ticket@@@1"))
		var refusal *APIError
		if !errors.As(err, &refusal) || strings.Contains(refusal.Info().Action, "全网发布") == c.published || refusal.Info().Retry != RetryWithNewTicket {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
