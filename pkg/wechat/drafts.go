package wechat

import (
	"context"
	"errors"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

var errNoID = errors.New("no draft_id")

// DraftList is the draft box as WeChat tells it.
type DraftList struct {
	Drafts []Draft // in WeChat's order
	// Keyless: the answer had no draft_list. That can be an empty box, or half an answer.
	Keyless bool
}

// DraftList lists the platform's draft box. It takes the component token, and has a daily quota.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/getTemplatedRaftList.html
func (c *Client) DraftList(ctx context.Context, component secret.Value) (DraftList, error) {
	const path = "/wxa/gettemplatedraftlist"
	answer, err := c.do(ctx, call{method: http.MethodGet, path: path, token: component})
	if err != nil {
		return DraftList{}, err
	}
	drafts, keyless, err := list(answer, path, "draft_list", newDraft)
	return DraftList{drafts, keyless}, err
}

// list reads the array under key. An answer that says errcode 0 without it is an empty one.
func list[T any](answer fields, path, key string, read func(fields) (T, bool)) (all []T, keyless bool, err error) {
	unusable := func(detail string) error {
		return &Failure{Call: path, Cause: Unusable, Detail: detail, Sent: true}
	}
	if !answer.has(key) {
		if !answer.has("errcode") {
			return nil, true, unusable("the answer has neither errcode nor " + key)
		}
		return nil, true, nil
	}
	objects, ok := answer.list(key)
	if !ok {
		return nil, false, unusable(key + " is no list of objects")
	}
	all = make([]T, 0, len(objects))
	for _, o := range objects {
		one, ok := read(o)
		if !ok { // without its id nothing can be done with it, and leaving it out would be a lie
			return nil, false, unusable("an entry of " + key + " has no id")
		}
		all = append(all, one)
	}
	return all, false, nil
}
