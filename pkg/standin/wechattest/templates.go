package wechattest

import (
	"net/url"
	"slices"
)

// Template is an entry of the platform's template library.
type Template struct {
	TemplateID   int64
	DraftID      *int64 // sent where it is not nil
	TemplateType int    // 0 ordinary, 1 standard
	CreateTime   int64  // Unix seconds at which it was added
	Draft        Draft  // the upload it was made of; its own id and time are not sent
}

// MarshalJSON writes the template as WeChat does.
func (t Template) MarshalJSON() ([]byte, error) {
	m := map[string]any{}
	addUpload(m, t.Draft)
	m["template_id"] = t.TemplateID
	m["template_type"] = t.TemplateType
	m["create_time"] = t.CreateTime
	if t.DraftID != nil {
		m["draft_id"] = *t.DraftID
	}
	return encode(m), nil
}

// WithTemplateLimit sets how many templates of each type the library holds. The default is 200.
func WithTemplateLimit(n int) Option { return func(s *Server) { s.templateLimit = n } }

// WithTemplateDraftIDs includes each template's draft_id, which WeChat does only sometimes.
func WithTemplateDraftIDs() Option { return func(s *Server) { s.templateDraftID = true } }

// Templates returns the library in the order of addition.
func (s *Server) Templates() []Template {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.templates)
}

// AddTemplate adds a template regardless of the limit and returns its id. Ids count up from 0; a higher t.TemplateID
// is used as it is. A CreateTime of 0 is now.
func (s *Server) AddTemplate(t Template) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addTemplate(t)
}

func (s *Server) addTemplate(t Template) int64 {
	t.TemplateID = max(t.TemplateID, s.nextTemplate)
	s.nextTemplate = t.TemplateID + 1
	if t.CreateTime == 0 {
		t.CreateTime = s.now().Unix()
	}
	s.templates = append(s.templates, t)
	return t.TemplateID
}

func (s *Server) addToTemplate(r *request) (any, *refusal) {
	var in struct {
		DraftID *int64 `json:"draft_id"`
		Type    int    `json:"template_type"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	switch {
	case in.DraftID == nil: // 0 is a draft like any other, so a missing id can't be taken for it
		return nil, refused(47001)
	case in.Type != 0 && in.Type != 1:
		return nil, refused(61020)
	}
	at := slices.IndexFunc(s.drafts, func(d draft) bool { return d.DraftID == *in.DraftID })
	if at < 0 {
		return nil, refused(85064)
	}
	size := 0
	for _, t := range s.templates {
		if t.TemplateType == in.Type {
			size++
		}
	}
	if size >= s.templateLimit {
		return nil, refused(85065)
	}
	t := Template{TemplateType: in.Type, Draft: s.drafts[at].Draft}
	if s.templateDraftID {
		t.DraftID = in.DraftID
	}
	// WeChat is not documented to detect duplicates: adding a draft again makes a second template.
	s.addTemplate(t)
	return ok, nil
}

func (s *Server) listTemplates(r *request) (any, *refusal) {
	query, err := url.ParseQuery(r.query)
	if err != nil {
		return nil, refused(61020)
	}
	keep := func(Template) bool { return true }
	switch t := query.Get("template_type"); t {
	case "":
	case "0", "1":
		keep = func(have Template) bool { return have.TemplateType == int(t[0]-'0') }
	default:
		return nil, refused(61020)
	}
	list := []Template{}
	for _, t := range s.templates {
		if keep(t) {
			list = append(list, t)
		}
	}
	if len(list) == 0 && s.emptyListsOut {
		return ok, nil
	}
	return struct {
		done
		List []Template `json:"template_list"`
	}{ok, list}, nil
}

func (s *Server) deleteTemplate(r *request) (any, *refusal) {
	var in struct {
		ID *int64 `json:"template_id"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	if in.ID == nil {
		return nil, refused(47001)
	}
	before := len(s.templates)
	s.templates = slices.DeleteFunc(s.templates, func(t Template) bool { return t.TemplateID == *in.ID })
	if len(s.templates) == before {
		return nil, refused(85064)
	}
	return ok, nil
}
