package wechat

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"wechat-draftbox/pkg/plainjson"
)

// Upload is what drafts and templates have in common: one upload of a development mini program.
type Upload struct {
	CreateTime             int64  // Unix seconds; 0 where WeChat sent none
	UserVersion            string // the developer's own text; CI puts the commit here
	UserDesc               string
	SourceMiniprogramAppID string // missing in older answers
	SourceMiniprogram      string // the mini program's name; missing in older answers
	Developer              string // the uploader's WeChat name; missing in older answers

	encoded []byte // see [Upload.MarshalJSON]
}

// newUpload reads an upload. ids are the keys of its kind that stand first in its JSON.
func newUpload(sent fields, ids ...string) Upload {
	var u Upload
	u.CreateTime, _ = sent.number("create_time")
	u.UserVersion, _ = sent.text("user_version")
	u.UserDesc, _ = sent.text("user_desc")
	u.SourceMiniprogramAppID, _ = sent.text("source_miniprogram_appid")
	u.SourceMiniprogram, _ = sent.text("source_miniprogram")
	u.Developer, _ = sent.text("developer")
	u.encoded = u.encode(sent, ids)
	return u
}

// MarshalJSON implements [json.Marshaler]. The keys stand in the order of WeChat's page, numbers as numbers and texts as
// texts however they were sent, created_at beside create_time, and then whatever else WeChat sent. A key that WeChat did
// not send isn't there: missing and empty differ.
func (u Upload) MarshalJSON() ([]byte, error) { return u.encoded, nil }

// encode makes the JSON of an upload: once, since a list is asked for far more often than it changes.
func (u Upload) encode(sent fields, ids []string) []byte {
	var out bytes.Buffer
	rest := maps.Clone(sent)
	put := func(key string, value []byte) {
		delete(rest, key)
		if value == nil {
			return
		}
		if out.Len() == 0 {
			out.WriteByte('{')
		} else {
			out.WriteByte(',')
		}
		out.WriteString(`"` + key + `":`) // the keys put here are plain ASCII
		out.Write(value)
	}
	number := func(key string) []byte {
		if n, ok := sent.number(key); ok {
			return strconv.AppendInt(nil, n, 10)
		}
		return sent[key]
	}
	text := func(key string) []byte {
		s, ok := sent.text(key)
		if raw := sent[key]; !ok || isPlain(raw) {
			return raw
		}
		return quote(s)
	}

	for _, key := range ids {
		put(key, number(key))
	}
	put("create_time", number("create_time"))
	if u.CreateTime != 0 {
		put("created_at", []byte(time.Unix(u.CreateTime, 0).UTC().Format(`"`+time.RFC3339+`"`)))
	}
	for _, key := range []string{"user_version", "user_desc", "source_miniprogram_appid", "source_miniprogram", "developer"} {
		put(key, text(key))
	}
	put("category_list", sent["category_list"])
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		out.WriteByte(',')
		out.Write(quote(key))
		out.WriteByte(':')
		out.Write(sent[key])
	}
	out.WriteByte('}')
	return out.Bytes()
}

func quote(text string) []byte {
	quoted, _ := plainjson.Marshal(text) // a string always encodes
	return quoted
}

// Draft is one entry of the platform's draft box. Its JSON is WeChat's, see [Upload].
type Draft struct {
	DraftID int64 // 0 is an id like any other
	Upload
}

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Draft) UnmarshalJSON(data []byte) error {
	var sent fields
	if err := json.Unmarshal(data, &sent); err != nil {
		return err
	}
	draft, ok := newDraft(sent)
	if !ok {
		return errNoID
	}
	*d = draft
	return nil
}

func newDraft(sent fields) (Draft, bool) {
	id, ok := sent.number("draft_id")
	return Draft{id, newUpload(sent, "draft_id")}, ok
}

// Template is one entry of the template library. Its JSON is WeChat's, see [Upload].
type Template struct {
	TemplateID   int64  // 0 is an id like any other
	DraftID      *int64 // the draft that it was made of; WeChat gives it sometimes
	TemplateType int64  // 0 ordinary, which is WeChat's default where it sent none; 1 standard
	Upload
}

func newTemplate(sent fields) (Template, bool) {
	id, ok := sent.number("template_id")
	t := Template{TemplateID: id, Upload: newUpload(sent, "template_id", "draft_id", "template_type")}
	if n, ok := sent.number("draft_id"); ok {
		t.DraftID = &n
	}
	t.TemplateType, _ = sent.number("template_type")
	return t, ok
}
