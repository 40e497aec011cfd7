package wechattest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

// fetchComponent calls api_component_token with the platform's settings, changed by more.
func (w *wechat) fetchComponent(ticket string, more ...string) object {
	w.t.Helper()
	p := w.Platform()
	body := object{"component_appid": p.AppID, "component_appsecret": p.AppSecret, "component_verify_ticket": ticket}
	for i := 0; i < len(more); i += 2 {
		body[more[i]] = more[i+1]
	}
	return w.post(wechattest.PathComponentToken, "", body)
}

func (w *wechat) refresh(appid, refreshToken string) object {
	w.t.Helper()
	return w.post(wechattest.PathAuthorizerToken, w.LiveToken(""), object{"component_appid": w.Platform().AppID, "authorizer_appid": appid, "authorizer_refresh_token": refreshToken})
}

func (w *wechat) stable(more ...any) object {
	w.t.Helper()
	body := object{"grant_type": "client_credential", "appid": wechattest.ExampleOwn, "secret": wechattest.ExampleOwnSecret}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return w.post(wechattest.PathStableToken, "", body)
}

func TestTokenChecks(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	component, authorizer, own := w.IssueComponentToken(), w.IssueAccountToken(wechattest.ExampleClosed), w.IssueAccountToken(wechattest.ExampleOwn)
	list := object{"component_appid": w.Platform().AppID, "offset": 0, "count": 1}
	wantCode(t, "drafts: none", w.get(wechattest.PathDraftList, ""), 41001)
	wantCode(t, "drafts: malformed", w.get(wechattest.PathDraftList, "{token}"), 40014)
	wantCode(t, "drafts: unknown", w.get(wechattest.PathDraftList, component[:len(component)-1]+"_"), 40001)
	wantCode(t, "drafts: authorizer's", w.get(wechattest.PathDraftList, authorizer), 61014)
	wantCode(t, "drafts: own", w.get(wechattest.PathDraftList, own), 86000)
	wantCode(t, "drafts: component's", w.get(wechattest.PathDraftList, component), 0)
	wantCode(t, "authorizers: own", w.post(wechattest.PathAuthorizerList, own, list), 61014)
	wantCode(t, "authorizers: authorizer's", w.post(wechattest.PathAuthorizerList, authorizer, list), 61014)
	w.clock.advance(2*time.Hour - time.Second)
	wantCode(t, "a second before the end", w.get(wechattest.PathDraftList, component), 0)
	w.clock.advance(time.Second)
	wantCode(t, "at the end", w.get(wechattest.PathDraftList, component), 42001)
	component = w.IssueComponentToken()
	w.ExpireTokens()
	wantCode(t, "made to expire", w.get(wechattest.PathDraftList, component), 42001)
}

func TestSupersededTokensLiveFiveMinutes(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	for _, c := range []struct {
		name, appid string
		use         func(token string) object
	}{
		{"component", "", func(token string) object { return w.get(wechattest.PathDraftList, token) }},
		{"authorizer", wechattest.ExampleClosed, func(token string) object {
			return w.post(wechattest.PathSwitch, token, nil, "checkonly", "1")
		}},
		{"own", wechattest.ExampleOwn, func(token string) object {
			return w.post(wechattest.PathSwitch, token, nil, "checkonly", "1")
		}},
	} {
		former := w.KickToken(c.appid)
		w.clock.advance(time.Minute)
		newer := w.KickToken(c.appid)
		if w.LiveToken(c.appid) != newer {
			t.Errorf("%s: the live token is not the newest", c.name)
		}
		w.clock.advance(4*time.Minute + 59*time.Second)
		wantCode(t, c.name+" at 4:59", c.use(former), 0)
		w.clock.advance(2 * time.Second)
		wantCode(t, c.name+" at 5:01", c.use(former), 40001)
		wantCode(t, c.name+", the newer one", c.use(newer), 0)

		kind, appid, superseded, known := w.TokenState(former)
		if kind != c.name || appid != c.appid || !superseded || !known {
			t.Errorf("%s: former token: %s %s %t %t", c.name, kind, appid, superseded, known)
		}
		if _, _, superseded, known = w.TokenState(newer); superseded || !known {
			t.Errorf("%s: newer token: %t %t", c.name, superseded, known)
		}
	}
	if _, _, _, known := w.TokenState("nobody's"); known {
		t.Error("a token that was never issued is known")
	}
}

func TestComponentToken(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithDailyLimit(wechattest.PathComponentToken, 4))
	wantCode(t, "no ticket yet", w.fetchComponent("ticket@@@x"), 61006)
	ticket := w.NewTicket()
	wantCode(t, "wrong secret", w.fetchComponent(ticket, "component_appsecret", "x"), 40125)
	wantCode(t, "no secret", w.fetchComponent(ticket, "component_appsecret", ""), 41004)
	wantCode(t, "wrong appid", w.fetchComponent(ticket, "component_appid", "wx"), 40013)
	wantCode(t, "no appid", w.fetchComponent(ticket, "component_appid", ""), 41018)
	wantCode(t, "no ticket", w.fetchComponent(""), 61006)

	got := w.fetchComponent(ticket)
	if diff := cmp.Diff(object{"component_access_token": w.LiveToken(""), "expires_in": 7200.0}, got); diff != "" {
		t.Error(diff)
	}
	w.clock.advance(12*time.Hour - time.Second)
	newer := w.NewTicket()
	wantCode(t, "a ticket just under 12 hours old", w.fetchComponent(ticket), 0)
	w.clock.advance(time.Second)
	wantCode(t, "a ticket 12 hours old", w.fetchComponent(ticket), 61005)
	wantCode(t, "the newer ticket", w.fetchComponent(newer), 0)
	wantCode(t, "the newer ticket again", w.fetchComponent(newer), 0)
	wantCode(t, "over the daily limit", w.fetchComponent(newer), 45009)
}

func TestAuthorizerToken(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	w.IssueComponentToken()
	a, _ := w.Account(wechattest.ExampleClosed)
	other, _ := w.Account(wechattest.ExampleOpen)
	got := w.refresh(a.AppID, a.RefreshToken)
	if diff := cmp.Diff(object{"authorizer_access_token": w.LiveToken(a.AppID), "expires_in": 7200.0, "authorizer_refresh_token": a.RefreshToken}, got); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "empty", w.refresh(a.AppID, ""), 61023)
	wantCode(t, "foreign", w.refresh(a.AppID, other.RefreshToken), 61023)
	wantCode(t, "revoked", w.refresh(wechattest.ExampleRevoked, "refreshtoken@@@x"), 61003)
	wantCode(t, "unknown account", w.refresh("wx00000000000000ff", "refreshtoken@@@x"), 61003)
	wantCode(t, "other platform", w.post(wechattest.PathAuthorizerToken, w.LiveToken(""), object{"component_appid": "wx", "authorizer_appid": a.AppID}), 61011)
}

func TestRotatingRefreshTokens(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample(), wechattest.WithRotatingRefreshTokens())
	w.IssueComponentToken()
	a, _ := w.Account(wechattest.ExampleClosed)
	second, _ := w.refresh(a.AppID, a.RefreshToken)["authorizer_refresh_token"].(string)
	if second == "" || second == a.RefreshToken {
		t.Fatal("the refresh token did not change")
	}
	w.clock.advance(4*time.Minute + 59*time.Second)
	third, _ := w.refresh(a.AppID, a.RefreshToken)["authorizer_refresh_token"].(string)
	if third == "" || third == second {
		t.Error("the former refresh token did not work at 4:59")
	}
	w.clock.advance(2 * time.Second)
	wantCode(t, "the first at 5:01", w.refresh(a.AppID, a.RefreshToken), 61023)
	wantCode(t, "the third", w.refresh(a.AppID, third), 0)
}

func TestStableToken(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	wantCode(t, "wrong grant", w.stable("grant_type", "x"), 40002)
	wantCode(t, "no appid", w.stable("appid", ""), 41002)
	wantCode(t, "unknown appid", w.stable("appid", "wx00000000000000ff"), 40013)
	wantCode(t, "the platform", w.stable("appid", w.Platform().AppID), 61024)
	wantCode(t, "no secret", w.stable("secret", ""), 41004)
	wantCode(t, "wrong secret", w.stable("secret", "x"), 40125)
	wantCode(t, "an authorizer", w.stable("appid", wechattest.ExampleClosed), 40125)

	first := w.stable()
	if diff := cmp.Diff(object{"access_token": w.LiveToken(wechattest.ExampleOwn), "expires_in": 7200.0}, first); diff != "" {
		t.Error(diff)
	}
	w.clock.advance(100 * time.Minute)
	if diff := cmp.Diff(object{"access_token": first["access_token"], "expires_in": 1200.0}, w.stable()); diff != "" {
		t.Errorf("later: %s", diff)
	}
	w.clock.advance(15 * time.Minute) // five minutes are left
	second := w.stable()
	if second["access_token"] == first["access_token"] || second["expires_in"] != 7200.0 {
		t.Error("no new token near the end of the former one")
	}
	seen := map[any]bool{second["access_token"]: true}
	for range 20 {
		seen[w.stable("force_refresh", true)["access_token"]] = true
	}
	if len(seen) != 21 {
		t.Errorf("%d different tokens after 20 forced refreshes, want 21", len(seen))
	}
	wantCode(t, "the 21st", w.stable("force_refresh", true), 45009)
	wantCode(t, "an ordinary one", w.stable(), 0)
	w.clock.advance(24 * time.Hour)
	wantCode(t, "forced on the next day", w.stable("force_refresh", true), 0)
}

func TestAuthorization(t *testing.T) {
	t.Parallel()
	const appid = "wx00000000000000aa"
	w := start(t)
	component := w.IssueComponentToken()
	query := func(code string) object {
		t.Helper()
		return w.post(wechattest.PathQueryAuth, component, object{"component_appid": w.Platform().AppID, "authorization_code": code})
	}
	list := func() object {
		t.Helper()
		return w.post(wechattest.PathAuthorizerList, component, object{"component_appid": w.Platform().AppID, "offset": 0, "count": 500})
	}
	code, late := w.NewCode(appid), w.NewCode(appid)
	entry := object{"authorizer_appid": appid, "auth_time": float64(w.clock.now().Unix())}
	if diff := cmp.Diff(object{"total_count": 1.0, "list": []any{entry}}, list()); diff != "" {
		t.Errorf("before the exchange: %s", diff)
	}
	wantCode(t, "unknown code", query("queryauthcode@@@x"), 61009)
	got := query(code)
	a, _ := w.Account(appid)
	if a.RefreshToken == "" {
		t.Error("no refresh token")
	}
	want := object{"authorization_info": object{"authorizer_appid": appid, "authorizer_access_token": w.LiveToken(appid), "expires_in": 7200.0,
		"authorizer_refresh_token": a.RefreshToken, "func_info": []any{
			object{"funcscope_category": object{"id": 1.0}}, object{"funcscope_category": object{"id": 11.0}}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "second time", query(code), 61009)
	entry["refresh_token"] = a.RefreshToken
	if diff := cmp.Diff(object{"total_count": 1.0, "list": []any{entry}}, list()); diff != "" {
		t.Errorf("after the exchange: %s", diff)
	}
	w.clock.advance(time.Hour)
	wantCode(t, "after an hour", query(late), 61010)

	token := w.LiveToken(appid)
	if _, err := w.Unauthorize(t.Context(), appid); err == nil {
		t.Error("a push without a callback succeeded")
	}
	wantCode(t, "switch, no longer authorised", w.post(wechattest.PathSwitch, token, nil, "checkonly", "1"), 61003)
	wantCode(t, "refresh, no longer authorised", w.refresh(appid, a.RefreshToken), 61003)
	again := w.NewCode(appid)
	wantCode(t, "switch with the token of the former authorisation", w.post(wechattest.PathSwitch, token, nil, "checkonly", "1"), 40001)
	wantCode(t, "refresh token of the former authorisation", w.refresh(appid, a.RefreshToken), 61023)
	wantCode(t, "exchange", query(again), 0)
}

func TestAuthorizerListAndInfo(t *testing.T) {
	t.Parallel()
	w := start(t, wechattest.WithExample())
	w.AddAccount(wechattest.Account{AppID: "wx0000000000000006", Name: "Mini", Authorized: true, MiniProgram: true})
	component := w.IssueComponentToken()
	page := func(offset, count int) object {
		t.Helper()
		return w.post(wechattest.PathAuthorizerList, component, object{"component_appid": w.Platform().AppID, "offset": offset, "count": count})
	}
	var appids []any
	for offset := 0; offset < 6; offset += 2 {
		got := page(offset, 2)
		if got["total_count"] != 4.0 {
			t.Errorf("total %v, want 4", got["total_count"])
		}
		for _, e := range got["list"].([]any) {
			appids = append(appids, e.(object)["authorizer_appid"])
		}
	}
	if diff := cmp.Diff([]any{wechattest.ExampleClosed, wechattest.ExampleOpen, wechattest.ExampleNotGranted, "wx0000000000000006"}, appids); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "501", page(0, 501), 40170)
	wantCode(t, "500", page(0, 500), 0)
	wantCode(t, "no count", page(0, 0), 61020)

	info := func(appid string) object {
		t.Helper()
		return w.post(wechattest.PathAuthorizerInfo, component, object{"component_appid": w.Platform().AppID, "authorizer_appid": appid})
	}
	official := info(wechattest.ExampleNotGranted)
	if _, mini := official["authorizer_info"].(object)["MiniProgramInfo"]; mini || official["authorizer_info"].(object)["nick_name"] != "Willow Books" {
		t.Errorf("an Official Account: %v", official)
	}
	if diff := cmp.Diff([]any{object{"funcscope_category": object{"id": 1.0}}}, official["authorization_info"].(object)["func_info"]); diff != "" {
		t.Error(diff)
	}
	if _, mini := info("wx0000000000000006")["authorizer_info"].(object)["MiniProgramInfo"]; !mini {
		t.Error("a mini program without MiniProgramInfo")
	}
	wantCode(t, "revoked", info(wechattest.ExampleRevoked), 61003)
}
