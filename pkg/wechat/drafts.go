package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"wechat-draftbox/pkg/secret"
)

var errNoID = errors.New("no draft_id")

// DraftList is the content of the draft box.
type DraftList struct {
	Drafts []Draft // in WeChat's order
	// ListMissing: the answer had no draft_list. The box may be empty, or the answer incomplete.
	ListMissing bool
	// Unreadable are the entries that could not be read. A draft that was left out is still in the box.
	Unreadable []Unreadable
}

// HasLeftOut reports whether a draft was left out of the list.
func (l DraftList) HasLeftOut() bool {
	return slices.ContainsFunc(l.Unreadable, func(u Unreadable) bool { return u.LeftOut })
}

// Unreadable says what could not be read of one entry of a list.
type Unreadable struct {
	Entry   int      // its index in WeChat's list
	Keys    []string // whose values were replaced by a default
	LeftOut bool     // the entry's id is one of them, so the entry is not in the list
}

// String describes it for the log.
func (u Unreadable) String() string {
	if u.LeftOut {
		return fmt.Sprintf("entry %d is left out: its %s can't be read", u.Entry, strings.Join(u.Keys, ", "))
	}
	return fmt.Sprintf("entry %d: %s can't be read", u.Entry, strings.Join(u.Keys, ", "))
}

// DraftList lists the platform's draft box. It takes the component token, and has a daily quota.
//
// https://developers.weixin.qq.com/doc/oplatform/openApi/OpenApiDoc/thirdparty-management/template-library-management/getTemplatedRaftList.html
func (c *Client) DraftList(ctx context.Context, component secret.Value) (DraftList, error) {
	const path = "/wxa/gettemplatedraftlist"
	answer, err := c.do(ctx, call{method: http.MethodGet, path: path, caller: ByPlatform, token: component})
	if err != nil {
		return DraftList{}, err
	}
	list, err := readList(answer, listOf[Draft]{path, "draft_list", "draft_id", newDraft})
	return DraftList{list.entries, list.missing, list.unreadable}, err
}

// listOf describes the list of an answer and how to read its entries.
type listOf[T any] struct {
	path, key, id string
	read          func(fields) (entry T, unreadable []string, ok bool)
}

type listing[T any] struct {
	entries    []T
	count      int  // of the answer's entries
	missing    bool // the answer has no such key
	unreadable []Unreadable
}

// readList reads the list of an answer. Errcode 0 without a list counts as an empty list. Entries without an id are left
// out; if none has one, the answer is unusable.
func readList[T any](answer fields, of listOf[T]) (listing[T], error) {
	unusable := func(detail string) error {
		return &TransportError{Call: of.path, Cause: Unusable, Detail: detail, Sent: true}
	}
	if !answer.has(of.key) {
		if !answer.has("errcode") {
			return listing[T]{missing: true}, unusable("the answer has neither errcode nor " + of.key)
		}
		return listing[T]{missing: true}, nil
	}
	sent := answer.get(of.key)
	l := listing[T]{entries: make([]T, 0, strings.Count(sent.text, `"`+of.id+`"`))}
	isList := sent.forEach(func(o fields) {
		entry, unreadable, ok := of.read(o)
		switch {
		case !ok:
			l.unreadable = append(l.unreadable, Unreadable{l.count, []string{of.id}, true})
		case len(unreadable) > 0:
			l.unreadable = append(l.unreadable, Unreadable{l.count, unreadable, false})
		}
		if ok {
			l.entries = append(l.entries, entry)
		}
		l.count++
	})
	if !isList {
		return listing[T]{}, unusable(of.key + " is no list of objects")
	}
	if len(l.entries) == 0 && l.count > 0 {
		return listing[T]{}, unusable("the entries of " + of.key + " have no id that can be read")
	}
	return l, nil
}
