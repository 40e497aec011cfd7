package wechat

import (
	"context"
	"net/http"
	"strconv"

	"wechat-draftbox/pkg/secret"
)

// TemplateLimit is how many ordinary templates a library holds.
const TemplateLimit = 200

// TemplateList lists the template library with the component token; only the templates of one type where
// templateType isn't nil.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/getTemplateList.html
func (c *Client) TemplateList(ctx context.Context, component secret.Value, templateType *int) ([]Template, error) {
	const path = "/wxa/gettemplatelist"
	request := call{method: http.MethodGet, path: path, token: component}
	if templateType != nil {
		request.query = "template_type=" + strconv.Itoa(*templateType)
	}
	answer, err := c.do(ctx, request)
	if err != nil {
		return nil, err
	}
	templates, _, err := list(answer, path, "template_list", newTemplate)
	return templates, err
}

// AddToTemplate copies a draft into the template library with the component token. WeChat's answer has no template
// id. It is sent once: adding a draft twice makes two templates. See [IsLost].
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/addToTemplate.html
func (c *Client) AddToTemplate(ctx context.Context, component secret.Value, draftID int64, templateType int) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/wxa/addtotemplate", token: component, write: true,
		body: struct {
			DraftID      int64 `json:"draft_id"`
			TemplateType int   `json:"template_type"`
		}{draftID, templateType}})
	return err
}

// DeleteTemplate deletes a template with the component token. It is sent once.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/deleteTemplate.html
func (c *Client) DeleteTemplate(ctx context.Context, component secret.Value, templateID int64) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/wxa/deletetemplate", token: component, write: true,
		body: struct {
			TemplateID int64 `json:"template_id"`
		}{templateID}})
	return err
}
