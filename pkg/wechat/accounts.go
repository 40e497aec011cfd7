package wechat

import (
	"context"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

// AccountKind is what an account is.
type AccountKind string

// The kinds. Only an Official Account has a draft switch.
const (
	OfficialAccount AccountKind = "official-account"
	MiniProgram     AccountKind = "mini-program"
)

// AuthorizerInfo describes an account that authorised the platform.
type AuthorizerInfo struct {
	Name string // any text; may be empty
	Kind AccountKind
}

// AuthorizerInfo gets the name and kind of an account that authorised the platform.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerInfo.html
func (c *Client) AuthorizerInfo(ctx context.Context, component secret.Value, platformAppID, appID string) (AuthorizerInfo, error) {
	const path = "/cgi-bin/component/api_get_authorizer_info"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, caller: ByPlatform, token: component,
		body: map[string]string{"component_appid": platformAppID, "authorizer_appid": appID}})
	if err != nil {
		return AuthorizerInfo{}, err
	}
	sent := answer.object("authorizer_info")
	if len(sent) == 0 { // which would look like an Official Account
		return AuthorizerInfo{}, &TransportError{Call: path, Cause: Unusable, Detail: "the answer has no authorizer_info", Sent: true}
	}
	info := AuthorizerInfo{Kind: OfficialAccount}
	info.Name, _ = sent.text("nick_name")
	if sent.has("MiniProgramInfo") {
		info.Kind = MiniProgram
	}
	return info, nil
}

// IsMiniProgram reports whether an account that authorised the platform is a mini program, by [Client.AuthorizerInfo].
func (c *Client) IsMiniProgram(ctx context.Context, component secret.Value, componentAppID, appID string) (bool, error) {
	info, err := c.AuthorizerInfo(ctx, component, componentAppID, appID)
	return info.Kind == MiniProgram, err
}
