package main

import (
	"cmp"
	"slices"

	"wechat-draftbox/pkg/wechat"
)

// matchConfidence is how certain it is that a template was made from a draft.
type matchConfidence int

const (
	different matchConfidence = iota
	possible                  // no field differs, but WeChat sent too few to be certain
	certain
)

// compare compares a template with a draft by all fields that WeChat sent of both.
//
// A template's create_time may be that of the upload or of the addition; WeChat doesn't say. Either way it isn't before
// the draft's: a template of an earlier upload has an earlier time, because that upload could only be added until this
// draft replaced it. The type is ignored: a draft needs only one template.
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

// matching returns the templates that match the draft with at least this confidence, the lowest id first.
func matching(d wechat.Draft, templates []wechat.Template, least matchConfidence) []wechat.Template {
	var matches []wechat.Template
	for _, t := range templates {
		if compare(t, d) >= least {
			matches = append(matches, t)
		}
	}
	slices.SortFunc(matches, func(a, b wechat.Template) int { return cmp.Compare(a.TemplateID, b.TemplateID) })
	return matches
}

// existing returns the template in the library that was certainly made from the draft.
func existing(d wechat.Draft, templates []wechat.Template) (wechat.Template, bool) {
	if matches := matching(d, templates, certain); len(matches) > 0 {
		return matches[0], true
	}
	return wechat.Template{}, false
}

// added returns the template made from the draft between two readings of the library. If two instances added one each,
// both return the lower id. A single possible match is accepted too.
func added(d wechat.Draft, before, after []wechat.Template) (wechat.Template, bool) {
	known := make(map[int64]bool, len(before))
	for _, t := range before {
		known[t.TemplateID] = true
	}
	newer := slices.DeleteFunc(slices.Clone(after), func(t wechat.Template) bool { return known[t.TemplateID] })
	if t, ok := existing(d, newer); ok {
		return t, true
	}
	if matches := matching(d, newer, possible); len(matches) == 1 {
		return matches[0], true
	}
	return wechat.Template{}, false
}
