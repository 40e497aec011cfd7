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

// newUpload reads an upload. ids are the keys of its kind that stand first in its JSON. unreadable are the keys whose
// values were replaced by a default.
func newUpload(sent fields, ids ...string) (u Upload, unreadable []string) {
	e := encoder{sent: sent, rest: maps.Clone(sent)}
	for _, key := range ids {
		e.id(key)
	}
	u.CreateTime = e.createTime()
	for _, field := range []struct {
		key  string
		into *string
	}{
		{"user_version", &u.UserVersion},
		{"user_desc", &u.UserDesc},
		{"source_miniprogram_appid", &u.SourceMiniprogramAppID},
		{"source_miniprogram", &u.SourceMiniprogram},
		{"developer", &u.Developer},
	} {
		*field.into = e.text(field.key)
	}
	e.categories()
	e.others()
	u.encoded = e.out.Bytes()
	return u, e.unreadable
}

// MarshalJSON implements [json.Marshaler]. The keys stand in the order of WeChat's page, each with a value of the type
// that the OpenAPI document promises, created_at beside create_time, and then whatever else WeChat sent. A key that
// WeChat did not send isn't there: missing and empty differ.
func (u Upload) MarshalJSON() ([]byte, error) { return u.encoded, nil }

// encoder makes the JSON of an upload: once, since a list is asked for far more often than it changes.
type encoder struct {
	sent       fields
	rest       fields // what isn't written yet
	out        bytes.Buffer
	unreadable []string
}

func (e *encoder) put(key string, value []byte) {
	delete(e.rest, key)
	if e.out.Len() == 0 {
		e.out.WriteByte('{')
	} else {
		e.out.WriteByte(',')
	}
	e.out.WriteString(`"` + key + `":`) // the keys put here are plain ASCII
	e.out.Write(value)
}

// isSent reports whether the key is there. A value that isn't the one expected and is more than null is noted.
func (e *encoder) isSent(key string, ok bool) bool {
	_, there := e.sent[key]
	if !ok && e.sent.has(key) {
		e.unreadable = append(e.unreadable, key)
	}
	return there
}

// id writes a whole number. One that can't be read is left out.
func (e *encoder) id(key string) {
	n, ok := e.sent.number(key)
	if key == "template_type" {
		n, ok = templateType(e.sent)
	}
	if e.isSent(key, ok); ok {
		e.put(key, strconv.AppendInt(nil, n, 10))
	}
	delete(e.rest, key)
}

// createTime writes create_time, with 0 for one that can't be read, and created_at, which is ours.
func (e *encoder) createTime() int64 {
	delete(e.rest, "created_at")
	seconds, ok := e.sent.unixSeconds("create_time")
	if !e.isSent("create_time", ok) {
		return 0
	}
	e.put("create_time", strconv.AppendInt(nil, seconds, 10))
	created := []byte("null")
	if seconds != 0 {
		created = []byte(time.Unix(seconds, 0).UTC().Format(`"` + time.RFC3339 + `"`))
	}
	e.put("created_at", created)
	return seconds
}

// text writes a text. A number is written as it was spelled, and what is no text at all as an empty one.
func (e *encoder) text(key string) string {
	text, ok := e.sent.text(key)
	raw := e.sent[key]
	if !ok && (string(raw) == "true" || string(raw) == "false") {
		text, ok = string(raw), true
	}
	if !e.isSent(key, ok) {
		return ""
	}
	if isPlain(raw) {
		e.put(key, raw)
	} else {
		e.put(key, quote(text))
	}
	return text
}

// categories writes category_list, an array of objects.
func (e *encoder) categories() {
	const key = "category_list"
	if raw := e.sent[key]; string(raw) == "[]" {
		e.put(key, raw)
		return
	}
	var kept [][]byte
	_, ok := e.sent.list(key)
	if !e.isSent(key, ok) {
		return
	}
	var entries []json.RawMessage
	json.Unmarshal(e.sent[key], &entries) // of what is no array, there is nothing to keep
	for _, entry := range entries {
		if entry[0] == '{' {
			kept = append(kept, replaceLoneSurrogates(entry))
		}
	}
	e.put(key, slices.Concat([]byte("["), bytes.Join(kept, []byte(",")), []byte("]")))
}

// others writes what is left, as it came.
func (e *encoder) others() {
	for _, key := range slices.Sorted(maps.Keys(e.rest)) {
		e.out.WriteByte(',')
		e.out.Write(quote(key))
		e.out.WriteByte(':')
		e.out.Write(replaceLoneSurrogates(e.sent[key]))
	}
	e.out.WriteByte('}')
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
	draft, _, ok := newDraft(sent)
	if !ok {
		return errNoID
	}
	*d = draft
	return nil
}

func newDraft(sent fields) (d Draft, unreadable []string, ok bool) {
	if d.DraftID, ok = sent.number("draft_id"); !ok {
		return Draft{}, nil, false
	}
	d.Upload, unreadable = newUpload(sent, "draft_id")
	return d, unreadable, true
}

// Template is one entry of the template library. Its JSON is WeChat's, see [Upload].
type Template struct {
	TemplateID   int64  // 0 is an id like any other
	DraftID      *int64 // the draft that it was made of; WeChat gives it sometimes
	TemplateType int64  // 0 ordinary, which is WeChat's default where it sent none; 1 standard
	Upload
}

func newTemplate(sent fields) (t Template, unreadable []string, ok bool) {
	if t.TemplateID, ok = sent.number("template_id"); !ok {
		return Template{}, nil, false
	}
	t.Upload, unreadable = newUpload(sent, "template_id", "draft_id", "template_type")
	if n, ok := sent.number("draft_id"); ok {
		t.DraftID = &n
	}
	t.TemplateType, _ = templateType(sent)
	return t, unreadable, true
}

// templateType reads the type of a template; there are two.
func templateType(sent fields) (n int64, ok bool) {
	n, ok = sent.number("template_type")
	if n != 0 && n != 1 {
		return 0, false
	}
	return n, ok
}
