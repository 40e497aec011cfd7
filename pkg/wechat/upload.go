package wechat

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Upload is what drafts and templates have in common: one upload of a development mini program.
type Upload struct {
	CreateTime             int64           // Unix seconds; 0 if missing or unreadable
	UserVersion            string          // the developer's own text; CI puts the commit here
	UserDesc               string          //
	SourceMiniprogramAppID string          // missing in older answers
	SourceMiniprogram      string          // the mini program's name; missing in older answers
	Developer              string          // the uploader's WeChat name; missing in older answers
	CategoryList           json.RawMessage // an array of objects
	Other                  []Member        // unknown keys, sorted by name

	sent sentKeys
}

// Member is an unknown key with its JSON.
type Member struct {
	Name  string
	Value json.RawMessage
}

// sentKeys are the keys that WeChat sent. In JSON a missing key and an empty value differ.
type sentKeys uint8

const (
	sentCreateTime sentKeys = 1 << iota
	sentUserVersion
	sentUserDesc
	sentSourceAppID
	sentSource
	sentDeveloper
	sentTemplateType
)

// uploadText is a text field of an upload.
type uploadText struct {
	key   string
	field *string
	sent  sentKeys
}

// texts are the text fields, in the order of WeChat's documentation.
func (u *Upload) texts() [5]uploadText {
	return [5]uploadText{
		{"user_version", &u.UserVersion, sentUserVersion},
		{"user_desc", &u.UserDesc, sentUserDesc},
		{"source_miniprogram_appid", &u.SourceMiniprogramAppID, sentSourceAppID},
		{"source_miniprogram", &u.SourceMiniprogram, sentSource},
		{"developer", &u.Developer, sentDeveloper},
	}
}

// read reads an upload, without the ids of its kind. Of duplicate keys the last one counts. unreadable are the keys whose
// values were replaced by a default.
func (u *Upload) read(sent fields) (unreadable []string) {
	texts := u.texts()
	for _, m := range sent {
		ok := true
		switch m.name {
		case "draft_id", "template_id", "template_type", "created_at": // read by its kind; the last one is ours
		case "create_time":
			u.CreateTime, ok = unixSecondsOf(m.value)
			u.sent |= sentCreateTime
		case "category_list":
			u.CategoryList, ok = readCategories(m.value)
		default:
			at := slices.IndexFunc(texts[:], func(t uploadText) bool { return t.key == m.name })
			if at < 0 {
				u.addOther(m)
				continue
			}
			*texts[at].field, ok = readText(m.value)
			u.sent |= texts[at].sent
		}
		if !ok && m.value.text != "null" && !slices.Contains(unreadable, m.name) {
			unreadable = append(unreadable, m.name)
		}
	}
	slices.Sort(unreadable)
	return unreadable
}

// readText reads a text. Numbers and booleans are read as spelled.
func readText(v value) (text string, ok bool) {
	if v.text == "true" || v.text == "false" {
		return v.text, true
	}
	return textOf(v)
}

// readCategories reads category_list, without entries that are no objects.
func readCategories(v value) (list json.RawMessage, ok bool) {
	if v.text == "[]" {
		return v.raw, true
	}
	ok = v.forEach(func(fields) {})
	var entries []json.RawMessage
	json.Unmarshal(v.raw, &entries) // no entries if it is no array
	entries = slices.DeleteFunc(entries, func(entry json.RawMessage) bool { return entry[0] != '{' })
	list = append(list, '[')
	for i, entry := range entries {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, replaceLoneSurrogates(entry)...)
	}
	return append(list, ']'), ok
}

// addOther adds an unknown key, sorted by name. Of duplicate names the last one counts.
func (u *Upload) addOther(m member) {
	at, there := slices.BinarySearchFunc(u.Other, m.name, func(o Member, name string) int { return cmp.Compare(o.Name, name) })
	if !there {
		u.Other = slices.Insert(u.Other, at, Member{Name: m.name})
	}
	u.Other[at].Value = replaceLoneSurrogates(m.value.raw)
}

// appendJSON appends an upload's members: the known keys in the order of WeChat's documentation with the types of the
// OpenAPI document, created_at after create_time, then unknown keys. A key that WeChat didn't send is omitted while its
// field is empty.
func (u *Upload) appendJSON(out []byte) []byte {
	if u.CreateTime != 0 || u.sent&sentCreateTime != 0 {
		out = appendNumber(out, "create_time", u.CreateTime)
		out = append(out, `,"created_at":`...)
		if u.CreateTime == 0 {
			out = append(out, "null"...)
		} else {
			out = time.Unix(u.CreateTime, 0).UTC().AppendFormat(out, `"`+time.RFC3339+`"`)
		}
	}
	for _, t := range u.texts() {
		if *t.field != "" || u.sent&t.sent != 0 {
			out, _ = jsontext.AppendQuote(appendKey(out, t.key), *t.field)
		}
	}
	if u.CategoryList != nil {
		out = append(appendKey(out, "category_list"), u.CategoryList...)
	}
	for _, o := range u.Other {
		out, _ = jsontext.AppendQuote(appendComma(out), o.Name)
		out = append(append(out, ':'), o.Value...)
	}
	return out
}

func appendComma(out []byte) []byte {
	if out[len(out)-1] != '{' {
		out = append(out, ',')
	}
	return out
}

// appendKey appends a key of plain ASCII.
func appendKey(out []byte, key string) []byte {
	return append(append(append(appendComma(out), '"'), key...), `":`...)
}

func appendNumber(out []byte, key string, n int64) []byte {
	return strconv.AppendInt(appendKey(out, key), n, 10)
}

// Draft is one entry of the platform's draft box.
type Draft struct {
	DraftID int64 // 0 is an id like any other
	Upload
}

// AppendJSON appends the draft's JSON, which is WeChat's with created_at beside create_time.
func (d Draft) AppendJSON(out []byte) []byte {
	out = appendNumber(append(out, '{'), "draft_id", d.DraftID)
	return append(d.appendJSON(out), '}')
}

// MarshalJSON implements [json.Marshaler].
func (d Draft) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// UnmarshalJSON implements [json.Unmarshaler].
func (d *Draft) UnmarshalJSON(data []byte) error {
	sent, err := decodeObject(newValue(bytes.Clone(data)))
	if err != nil {
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
	return d, d.read(sent), true
}

// Template is one entry of the template library.
type Template struct {
	TemplateID   int64  // 0 is an id like any other
	DraftID      *int64 // the draft that it was made from; not always sent
	TemplateType int64  // 0 ordinary, the default; 1 standard
	Upload
}

// AppendJSON appends the template's JSON, which is WeChat's with created_at beside create_time.
func (t Template) AppendJSON(out []byte) []byte {
	out = appendNumber(append(out, '{'), "template_id", t.TemplateID)
	if t.DraftID != nil {
		out = appendNumber(out, "draft_id", *t.DraftID)
	}
	if t.TemplateType != 0 || t.sent&sentTemplateType != 0 {
		out = appendNumber(out, "template_type", t.TemplateType)
	}
	return append(t.appendJSON(out), '}')
}

// MarshalJSON implements [json.Marshaler].
func (t Template) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil), nil }

func newTemplate(sent fields) (t Template, unreadable []string, ok bool) {
	if t.TemplateID, ok = sent.number("template_id"); !ok {
		return Template{}, nil, false
	}
	unreadable = t.read(sent)
	if n, ok := sent.number("draft_id"); ok {
		t.DraftID = &n
	} else if sent.has("draft_id") {
		unreadable = append(unreadable, "draft_id")
	}
	if n, ok := sent.number("template_type"); ok && (n == 0 || n == 1) {
		t.TemplateType = n
		t.sent |= sentTemplateType
	} else if sent.has("template_type") {
		unreadable = append(unreadable, "template_type")
	}
	return t, unreadable, true
}
