package wechat

import (
	"context"
	"net/http"
	"time"

	"wechat-draftbox/pkg/secret"
)

// The calls in this file fetch tokens. They are retried like reads: the token of a lost answer is superseded by the next one.

// Grant is an access token as WeChat issues it.
type Grant struct {
	Access    secret.Value
	ExpiresIn time.Duration // from now
	Refresh   secret.Value  // an authorizer's; may be empty
}

// Platform is a third-party platform's identity.
type Platform struct {
	AppID     string
	AppSecret secret.Value
}

const componentTokenPath = "/cgi-bin/component/api_component_token"

// ComponentToken fetches a component token with the newest ticket. The former one works for five more minutes. The call
// has a daily quota.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getComponentAccessToken.html
func (c *Client) ComponentToken(ctx context.Context, p Platform, ticket secret.Value) (Grant, error) {
	answer, err := c.do(ctx, call{method: http.MethodPost, path: componentTokenPath, caller: ByPlatform,
		secrets: []secret.Value{p.AppSecret, ticket},
		body: map[string]string{
			"component_appid":         p.AppID,
			"component_appsecret":     p.AppSecret.Reveal(),
			"component_verify_ticket": ticket.Reveal(),
		}})
	if err != nil {
		return Grant{}, err
	}
	return grant(answer, componentTokenPath, "component_access_token", "")
}

// AuthorizerToken fetches an account's token with its refresh token, and the component token. The refresh token in the
// answer replaces the former one.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/getAuthorizerAccessToken.html
func (c *Client) AuthorizerToken(ctx context.Context, component secret.Value, componentAppID, appID string, refresh secret.Value) (Grant, error) {
	const path = "/cgi-bin/component/api_authorizer_token"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByPlatform, token: component, secrets: []secret.Value{refresh},
		body: map[string]string{
			"component_appid":          componentAppID,
			"authorizer_appid":         appID,
			"authorizer_refresh_token": refresh.Reveal(),
		}})
	if err != nil {
		return Grant{}, err
	}
	return grant(answer, path, "authorizer_access_token", "authorizer_refresh_token")
}

// StableToken fetches an own account's token with its app secret. WeChat returns the same token until shortly before
// its expiry, unless force is set (20 times a day).
//
// https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/getStableAccessToken.html
func (c *Client) StableToken(ctx context.Context, appID string, appSecret secret.Value, force bool) (Grant, error) {
	const path = "/cgi-bin/stable_token"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByOwnAccount, secrets: []secret.Value{appSecret},
		body: map[string]any{
			"grant_type":    "client_credential",
			"appid":         appID,
			"secret":        appSecret.Reveal(),
			"force_refresh": force,
		}})
	if err != nil {
		return Grant{}, err
	}
	return grant(answer, path, "access_token", "")
}

// maxExpiresIn is a day, in seconds. WeChat's tokens live two hours; a much longer life is an error.
const maxExpiresIn = 24 * 60 * 60

func grant(answer fields, path, access, refresh string) (Grant, error) {
	token, _ := answer.text(access)
	seconds, ok := answer.number("expires_in")
	if token == "" || !ok || seconds <= 0 || seconds > maxExpiresIn {
		return Grant{}, &TransportError{Call: path, Cause: Unusable, Detail: "the answer has no " + access + " or no expires_in that can be", Sent: true}
	}
	renewed, _ := answer.text(refresh)
	return Grant{secret.New(token), time.Duration(seconds) * time.Second, secret.New(renewed)}, nil
}

// StartPushTicket asks WeChat to push tickets to the platform. It is harmless if WeChat already does.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/ticket-token/startPushTicket.html
func (c *Client) StartPushTicket(ctx context.Context, p Platform) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/cgi-bin/component/api_start_push_ticket", caller: ByPlatform,
		secrets: []secret.Value{p.AppSecret},
		body:    map[string]string{"component_appid": p.AppID, "component_secret": p.AppSecret.Reveal()}})
	return err
}

// QueryAuth exchanges an authorization code, which works once, for the tokens of the account that authorised the
// platform.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerRefreshToken.html
func (c *Client) QueryAuth(ctx context.Context, component secret.Value, componentAppID string, code secret.Value) (appID string, g Grant, err error) {
	const path = "/cgi-bin/component/api_query_auth"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByPlatform, token: component, secrets: []secret.Value{code},
		body: map[string]string{"component_appid": componentAppID, "authorization_code": code.Reveal()}})
	if err != nil {
		return "", Grant{}, err
	}
	info := answer.object("authorization_info")
	appID, _ = info.text("authorizer_appid")
	g, err = grant(info, path, "authorizer_access_token", "authorizer_refresh_token")
	return appID, g, err
}

// Authorizer is an account that authorised the platform.
type Authorizer struct {
	AppID   string
	Refresh secret.Value // may be empty
}

// authorizersPerPage is the most that WeChat allows (40170).
const authorizersPerPage = 500

// AuthorizerPage is a page of the list of authorizers.
type AuthorizerPage struct {
	Authorizers []Authorizer
	Entries     int // on the page, also those without an appid, which are left out
	Total       int // on all pages
}

// Authorizers lists the accounts that authorised the platform, a page of at most 500 entries from offset.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerList.html
func (c *Client) Authorizers(ctx context.Context, component secret.Value, componentAppID string, offset int) (AuthorizerPage, error) {
	const path = "/cgi-bin/component/api_get_authorizer_list"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByPlatform, token: component,
		body: map[string]any{"component_appid": componentAppID, "offset": offset, "count": authorizersPerPage}})
	if err != nil {
		return AuthorizerPage{}, err
	}
	list, err := readList(answer, listOf[Authorizer]{path, "list", "authorizer_appid", newAuthorizer})
	count, _ := answer.number("total_count")
	return AuthorizerPage{list.entries, list.count, int(count)}, err
}

func newAuthorizer(sent fields) (a Authorizer, unreadable []string, ok bool) {
	a.AppID, ok = sent.text("authorizer_appid")
	refresh, _ := sent.text("refresh_token")
	a.Refresh = secret.New(refresh)
	return a, nil, ok && a.AppID != ""
}

// Quota is a call's daily quota.
type Quota struct{ Limit, Used, Left int }

// IsKnown reports whether WeChat returned numbers. It returns only zeros for some calls that work.
func (q Quota) IsKnown() bool { return q != Quota{} }

// DraftListQuota gets the quota of the draft list.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/openapi/getApiQuota.html
func (c *Client) DraftListQuota(ctx context.Context, component secret.Value) (Quota, error) {
	const path = "/cgi-bin/openapi/quota/get"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByPlatform, token: component,
		body: map[string]string{"cgi_path": "/wxa/gettemplatedraftlist"}})
	if err != nil {
		return Quota{}, err
	}
	quota := answer.object("quota")
	limit, ok := quota.number("daily_limit")
	used, _ := quota.number("used")
	left, _ := quota.number("remain")
	if !ok {
		return Quota{}, &TransportError{Call: path, Cause: Unusable, Detail: "the answer has no quota", Sent: true}
	}
	return Quota{int(limit), int(used), int(left)}, nil
}
