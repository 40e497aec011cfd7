package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/wechat"
)

const (
	usualLimit = 100 // accounts on a page where the query doesn't say
	maxReads   = 100 // calls of SSM for a page
	pageSize   = 10  // accounts in what SSM answers
)

// accounts tells what is known of the accounts.
type accounts struct {
	records account.Records
	log     logging.Log
}

// entry is an account in the list; null stands for what isn't known.
type entry struct {
	AppID       string             `json:"appid"`
	Status      account.Status     `json:"status"`
	DraftSwitch wechat.SwitchState `json:"draft_switch"`
	CheckedAt   *time.Time         `json:"checked_at"`
	Errcode     *int               `json:"errcode"`
}

func entryOf(r account.Record) entry {
	e := entry{AppID: r.AppID, Status: r.Status, DraftSwitch: r.DraftSwitch}
	if !r.CheckedAt.IsZero() {
		e.CheckedAt = new(r.CheckedAt.UTC())
	}
	if r.Errcode != 0 {
		e.Errcode = new(r.Errcode)
	}
	return e
}

type accountsQuery struct {
	draftSwitch, status string // empty: any
	limit               int
	next                string // SSM's
}

func (q accountsQuery) matches(r account.Record) bool {
	return (q.draftSwitch == "" || q.draftSwitch == string(r.DraftSwitch)) && (q.status == "" || q.status == string(r.Status))
}

// list answers GET /accounts.
func (a accounts) list(ctx context.Context, r *api.Request) (*api.Answer, error) {
	query := accountsQuery{limit: usualLimit}
	err := api.ReadQuery(r.Query, map[string]func(string) error{
		"draft_switch": func(v string) error {
			query.draftSwitch = v
			return api.OneOf(v, string(wechat.SwitchOpen), string(wechat.SwitchClosed), string(wechat.SwitchUnknown))
		},
		"status": func(v string) error {
			query.status = v
			return api.OneOf(v, string(account.Authorized), string(account.Unauthorized))
		},
		"limit": func(v string) (err error) { query.limit, err = api.Limit(v); return err },
		"next":  func(v string) (err error) { query.next, err = readNext(v); return err },
	})
	if err != nil {
		return nil, err
	}
	page, next, err := a.page(ctx, query)
	if err != nil {
		return nil, err
	}
	body, err := plainjson.Marshal(struct {
		Accounts []entry `json:"accounts"`
		Next     string  `json:"next,omitempty"`
	}{page, next})
	if err != nil {
		return nil, fmt.Errorf("encode the accounts: %w", err)
	}
	return &api.Answer{Body: json.RawMessage(body), Cache: &api.Cache{Content: body}}, nil
}

// page reads until there are enough accounts, or until it was enough reading. Each read asks for no more than there is
// room for, so that the next page begins where this one ends.
func (a accounts) page(ctx context.Context, q accountsQuery) (page []entry, next string, err error) {
	page = []entry{}
	next = q.next
	for range maxReads {
		records, after, unreadable, err := a.records.Page(ctx, next, min(pageSize, q.limit-len(page)))
		if next != "" && next == q.next && isBadToken(err) {
			return nil, "", api.InvalidRequest("the query parameter next can't be used: " + errNext.Error())
		}
		if err != nil {
			return nil, "", err
		}
		if unreadable > 0 {
			a.log.WarnContext(ctx, "accounts have parameters that can't be read", "count", unreadable)
		}
		for _, record := range records {
			if q.matches(record) {
				page = append(page, entryOf(record))
			}
		}
		if next = after; next == "" || len(page) == q.limit {
			break
		}
	}
	return page, writeNext(next), nil
}

var errNext = errors.New("the next of the former page, as it is")

// writeNext makes the next of an answer of SSM's token: in letters that need no escaping in a query, and behind a sum
// that tells it from any other text, since what SSM makes of one that it didn't give is not sure to be a clear refusal.
func writeNext(token string) string {
	if token == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(sumOf(token), token...))
}

func readNext(v string) (token string, err error) {
	const size = crc32.Size
	text, err := base64.RawURLEncoding.Strict().DecodeString(v)
	if err != nil || len(text) <= size || !bytes.Equal(text[:size], sumOf(string(text[size:]))) {
		return "", errNext
	}
	return string(text[size:]), nil
}

func sumOf(token string) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(token)))
}

// isBadToken reports whether SSM refused a token.
func isBadToken(err error) bool {
	var refused *awserror.Error
	return errors.As(err, &refused) && slices.Contains([]string{"InvalidNextToken", "ValidationException"}, refused.Code)
}
