package wechat

import (
	"context"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

// AuthorizerInfo is what WeChat tells of an account that authorised the platform.
type AuthorizerInfo struct {
	Name        string
	MiniProgram bool
}

// AuthorizerInfo asks for an account's name and kind.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/authorization-management/getAuthorizerInfo.html
func (c *Client) AuthorizerInfo(ctx context.Context, component secret.Value, componentAppID, appID string) (AuthorizerInfo, error) {
	const path = "/cgi-bin/component/api_get_authorizer_info"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, token: component,
		body: map[string]string{"component_appid": componentAppID, "authorizer_appid": appID}})
	if err != nil {
		return AuthorizerInfo{}, err
	}
	info := answer.object("authorizer_info")
	if len(info) == 0 { // a mini program would count as an Official Account for good
		return AuthorizerInfo{}, &Failure{Call: path, Cause: Unusable, Detail: "the answer has no authorizer_info", Sent: true}
	}
	name, _ := info.text("nick_name")
	return AuthorizerInfo{name, info.has("MiniProgramInfo")}, nil
}
