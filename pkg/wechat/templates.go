package wechat

import (
	"context"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

// TemplateLimit is the maximum number of ordinary templates in a library.
const TemplateLimit = 200

// IsNotFound reports whether err says that there is no such draft or template.
func IsNotFound(err error) bool { return hasClass(err, NotFound) }

// IsLibraryFull reports whether err says that the library has no room for another template.
func IsLibraryFull(err error) bool { return hasClass(err, LibraryFull) }

// TemplateList is the content of the template library.
type TemplateList struct {
	Templates []Template // in WeChat's order
	// Unreadable are the entries that could not be read. A template that was left out is still in the library.
	Unreadable []Unreadable
}

// TemplateList lists the whole template library, of both types, with the component token.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/getTemplateList.html
func (c *Client) TemplateList(ctx context.Context, component secret.Value) (TemplateList, error) {
	const path = "/wxa/gettemplatelist"
	answer, err := c.do(ctx, call{method: http.MethodGet, path: path, caller: ByPlatform, token: component})
	if err != nil {
		return TemplateList{}, err
	}
	list, err := readList(answer, listOf[Template]{path, "template_list", "template_id", newTemplate})
	return TemplateList{list.entries, list.unreadable}, err
}

// AddToTemplate copies a draft into the template library with the component token. WeChat's answer has no template
// id. It is sent once: adding a draft twice makes two templates. See [IsOutcomeUnknown].
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/addToTemplate.html
func (c *Client) AddToTemplate(ctx context.Context, component secret.Value, draftID, templateType int64) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/wxa/addtotemplate", caller: ByPlatform, token: component, write: true,
		body: struct {
			DraftID      int64 `json:"draft_id"`
			TemplateType int64 `json:"template_type"`
		}{draftID, templateType}})
	return err
}

// DeleteTemplate deletes a template with the component token. It is sent once.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/deleteTemplate.html
func (c *Client) DeleteTemplate(ctx context.Context, component secret.Value, templateID int64) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/wxa/deletetemplate", caller: ByPlatform, token: component, write: true,
		body: struct {
			TemplateID int64 `json:"template_id"`
		}{templateID}})
	return err
}
