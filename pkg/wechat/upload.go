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

	sent fields // every key that WeChat sent, those that this package doesn't know too
}

func newUpload(sent fields) Upload {
	u := Upload{sent: sent}
	u.CreateTime, _ = sent.number("create_time")
	for key, field := range u.texts() {
		*field, _ = sent.text(key)
	}
	return u
}

func (u *Upload) texts() map[string]*string {
	return map[string]*string{
		"user_version":             &u.UserVersion,
		"user_desc":                &u.UserDesc,
		"source_miniprogram_appid": &u.SourceMiniprogramAppID,
		"source_miniprogram":       &u.SourceMiniprogram,
		"developer":                &u.Developer,
	}
}

// marshal writes the keys in the order of WeChat's page, numbers as numbers and texts as texts however they were
// sent, created_at beside create_time, and then whatever else WeChat sent. A key that WeChat did not send isn't
// there: missing and empty differ.
func (u Upload) marshal(ids ...string) ([]byte, error) {
	var out bytes.Buffer
	rest := maps.Clone(u.sent)
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
		out.WriteString(strconv.Quote(key)) // the keys put here are plain ASCII
		out.WriteByte(':')
		out.Write(value)
	}
	number := func(key string) []byte {
		if n, ok := u.sent.number(key); ok {
			return strconv.AppendInt(nil, n, 10)
		}
		return u.sent[key]
	}
	text := func(key string) ([]byte, error) {
		s, ok := u.sent.text(key)
		if !ok {
			return u.sent[key], nil
		}
		return plainjson.Marshal(s)
	}

	for _, key := range ids {
		put(key, number(key))
	}
	put("create_time", number("create_time"))
	if u.CreateTime != 0 {
		put("created_at", []byte(time.Unix(u.CreateTime, 0).UTC().Format(`"`+time.RFC3339+`"`)))
	}
	for _, key := range []string{"user_version", "user_desc", "source_miniprogram_appid", "source_miniprogram", "developer"} {
		value, err := text(key)
		if err != nil {
			return nil, err
		}
		put(key, value)
	}
	put("category_list", u.sent["category_list"])
	for _, key := range slices.Sorted(maps.Keys(rest)) {
		name, err := plainjson.Marshal(key)
		if err != nil {
			return nil, err
		}
		out.WriteByte(',')
		out.Write(name)
		out.WriteByte(':')
		out.Write(u.sent[key])
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Draft is one entry of the platform's draft box. Its JSON is WeChat's, see [Upload].
type Draft struct {
	DraftID int64 // 0 is an id like any other
	Upload
}

// MarshalJSON implements [json.Marshaler].
func (d Draft) MarshalJSON() ([]byte, error) { return d.marshal("draft_id") }

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
	return Draft{id, newUpload(sent)}, ok
}

// Template is one entry of the template library. Its JSON is WeChat's, see [Upload].
type Template struct {
	TemplateID   int64  // 0 is an id like any other
	DraftID      *int64 // the draft that it was made of; WeChat gives it sometimes
	TemplateType *int64 // 0 ordinary, 1 standard
	Upload
}

// MarshalJSON implements [json.Marshaler].
func (t Template) MarshalJSON() ([]byte, error) {
	return t.marshal("template_id", "draft_id", "template_type")
}

func newTemplate(sent fields) (Template, bool) {
	id, ok := sent.number("template_id")
	t := Template{TemplateID: id, Upload: newUpload(sent)}
	if n, ok := sent.number("draft_id"); ok {
		t.DraftID = &n
	}
	if n, ok := sent.number("template_type"); ok {
		t.TemplateType = &n
	}
	return t, ok
}
