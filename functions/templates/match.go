package main

import (
	"cmp"
	"slices"

	"wechat-draftbox/pkg/wechat"
)

// matchConfidence says how sure it is that a template was made of a draft.
type matchConfidence int

const (
	different matchConfidence = iota
	possible                  // nothing speaks against it, but WeChat sent too little to be sure
	certain
)

// compare compares a template with a draft by all that WeChat sent of both.
//
// WeChat doesn't say whether a template's create_time is that of the upload or that of the adding. Not to be older
// than the draft is right for both: an earlier upload of the mini program was uploaded before the draft, and could be
// added only until the draft took its place. The template's type doesn't count: one draft is one copy.
func compare(t wechat.Template, d wechat.Draft) matchConfidence {
	sameDraft := t.DraftID != nil && *t.DraftID == d.DraftID
	bothNamed := t.SourceMiniprogramAppID != "" && d.SourceMiniprogramAppID != ""
	bothDated := t.CreateTime != 0 && d.CreateTime != 0
	switch {
	case t.DraftID != nil && !sameDraft,
		bothNamed && t.SourceMiniprogramAppID != d.SourceMiniprogramAppID,
		t.UserVersion != d.UserVersion,
		t.UserDesc != d.UserDesc,
		bothDated && t.CreateTime < d.CreateTime:
		return different
	case (sameDraft || bothNamed) && bothDated:
		return certain
	}
	return possible
}

// matching returns the templates that are at least so sure to be made of the draft, the lowest id first.
func matching(d wechat.Draft, templates []wechat.Template, least matchConfidence) []wechat.Template {
	var made []wechat.Template
	for _, t := range templates {
		if compare(t, d) >= least {
			made = append(made, t)
		}
	}
	slices.SortFunc(made, func(a, b wechat.Template) int { return cmp.Compare(a.TemplateID, b.TemplateID) })
	return made
}

// existing is the template that the library holds of the draft.
func existing(d wechat.Draft, templates []wechat.Template) (wechat.Template, bool) {
	if made := matching(d, templates, certain); len(made) > 0 {
		return made[0], true
	}
	return wechat.Template{}, false
}

// added is the template that was made of the draft between two readings of the library. Where two instances added one
// each it is the lower one, for both. Where WeChat sent too little to be sure, the only possible one is it.
func added(d wechat.Draft, before, after []wechat.Template) (wechat.Template, bool) {
	known := make(map[int64]bool, len(before))
	for _, t := range before {
		known[t.TemplateID] = true
	}
	newer := slices.DeleteFunc(slices.Clone(after), func(t wechat.Template) bool { return known[t.TemplateID] })
	if t, ok := existing(d, newer); ok {
		return t, true
	}
	if made := matching(d, newer, possible); len(made) == 1 {
		return made[0], true
	}
	return wechat.Template{}, false
}
