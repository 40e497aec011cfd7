package wechattest

import (
	"encoding/json"
	"errors"
	"slices"
)

// Draft is an entry of the platform's draft box.
type Draft struct {
	DraftID                int64
	CreateTime             int64 // Unix seconds of the upload
	UserVersion            string
	UserDesc               string
	SourceMiniProgramAppID string // source_miniprogram_appid
	SourceMiniProgram      string // source_miniprogram
	Developer              string
	CategoryList           []any          // nil is sent as []
	Extra                  map[string]any // keys that WeChat may add one day
	Omit                   []string       // keys left out of the answer, as older answers leave some out
}

// draft caches a draft's JSON, so that long lists need no encoding.
type draft struct {
	Draft
	encoded json.RawMessage
}

// MarshalJSON writes the draft as WeChat does.
func (d Draft) MarshalJSON() ([]byte, error) {
	m := map[string]any{
		"draft_id":    d.DraftID,
		"create_time": d.CreateTime,
	}
	addUpload(m, d)
	return encode(m), nil
}

// UnmarshalJSON parses a draft as WeChat writes it; unknown keys become Extra.
func (d *Draft) UnmarshalJSON(b []byte) error {
	var fields struct {
		DraftID                int64  `json:"draft_id"`
		CreateTime             int64  `json:"create_time"`
		UserVersion            string `json:"user_version"`
		UserDesc               string `json:"user_desc"`
		SourceMiniProgramAppID string `json:"source_miniprogram_appid"`
		SourceMiniProgram      string `json:"source_miniprogram"`
		Developer              string `json:"developer"`
		CategoryList           []any  `json:"category_list"`
	}
	var extra map[string]any
	if err := errors.Join(json.Unmarshal(b, &fields), json.Unmarshal(b, &extra)); err != nil {
		return err
	}
	for _, known := range draftKeys {
		delete(extra, known)
	}
	*d = Draft{
		DraftID: fields.DraftID, CreateTime: fields.CreateTime,
		UserVersion: fields.UserVersion, UserDesc: fields.UserDesc,
		SourceMiniProgramAppID: fields.SourceMiniProgramAppID, SourceMiniProgram: fields.SourceMiniProgram,
		Developer: fields.Developer, CategoryList: fields.CategoryList,
	}
	if len(extra) > 0 {
		d.Extra = extra
	}
	return nil
}

var draftKeys = []string{"draft_id", "create_time", "user_version", "user_desc", "source_miniprogram_appid", "source_miniprogram", "developer", "category_list"}

// addUpload adds the fields common to a draft and the template made from it.
func addUpload(m map[string]any, d Draft) {
	m["user_version"] = d.UserVersion
	m["user_desc"] = d.UserDesc
	m["source_miniprogram_appid"] = d.SourceMiniProgramAppID
	m["source_miniprogram"] = d.SourceMiniProgram
	m["developer"] = d.Developer
	m["category_list"] = d.CategoryList
	if d.CategoryList == nil {
		m["category_list"] = []any{}
	}
	for k, v := range d.Extra {
		m[k] = v
	}
	for _, k := range d.Omit {
		delete(m, k)
	}
}

// UploadDraft adds a draft to the box and returns its id. Ids count up from 0; a higher d.DraftID is used as it is. A
// CreateTime of 0 is now. The draft replaces those of the same development mini program, since WeChat keeps only the
// newest upload of each.
func (s *Server) UploadDraft(d Draft) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.SourceMiniProgramAppID != "" {
		s.drafts = slices.DeleteFunc(s.drafts, func(o draft) bool { return o.SourceMiniProgramAppID == d.SourceMiniProgramAppID })
	}
	return s.addDraft(d)
}

func (s *Server) addDraft(d Draft) int64 {
	d.DraftID = max(d.DraftID, s.nextDraft)
	s.nextDraft = d.DraftID + 1
	if d.CreateTime == 0 {
		d.CreateTime = s.now().Unix()
	}
	s.drafts = append(s.drafts, draft{d, encode(d)})
	return d.DraftID
}

// RemoveDraft deletes a draft, as the platform's own page can, and reports whether it existed.
func (s *Server) RemoveDraft(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.drafts)
	s.drafts = slices.DeleteFunc(s.drafts, func(d draft) bool { return d.DraftID == id })
	return len(s.drafts) < before
}

// Drafts returns the drafts in upload order.
func (s *Server) Drafts() []Draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allDrafts()
}

func (s *Server) allDrafts() []Draft {
	all := make([]Draft, len(s.drafts))
	for i, d := range s.drafts {
		all[i] = d.Draft
	}
	return all
}

// WithEmptyListsLeftOut omits empty draft_list and template_list. It is not known whether WeChat does; by default they
// are [].
func WithEmptyListsLeftOut() Option { return func(s *Server) { s.emptyListsOut = true } }

func (s *Server) listDrafts(*request) (any, *refusal) {
	list := make([]json.RawMessage, len(s.drafts))
	for i, d := range s.drafts {
		list[i] = d.encoded
	}
	if len(list) == 0 && s.emptyListsOut {
		return ok, nil
	}
	return struct {
		done
		List []json.RawMessage `json:"draft_list"`
	}{ok, list}, nil
}
