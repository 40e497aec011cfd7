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
	answer, err := c.do(ctx, call{method: http.MethodPost, path: "/cgi-bin/component/api_get_authorizer_info", token: component,
		body: map[string]string{"component_appid": componentAppID, "authorizer_appid": appID}})
	info := answer.object("authorizer_info")
	name, _ := info.text("nick_name")
	return AuthorizerInfo{name, info.has("MiniProgramInfo")}, err
}
