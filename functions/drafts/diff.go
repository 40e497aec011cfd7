package main

import (
	"cmp"
	"slices"

	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

// draftDiff is how the box differs from the recorded state. Its lists go from old to new.
type draftDiff struct {
	current int // drafts in the box
	added   []addedDraft
	gone    []goneEntry
}

// addedDraft is a draft that is new, or known but not yet announced.
type addedDraft struct {
	draft    wechat.Draft
	previous *goneEntry // the draft of the same mini program that it replaced
}

// goneEntry is a draft that left the box.
type goneEntry struct {
	key         state.DraftKey
	sourceAppID string
	replacedBy  *state.DraftKey // the newer draft of the same mini program
	unannounced bool
}

// removed returns the gone drafts that had been announced and that no newer one replaced.
func (d draftDiff) removed() (removed []goneEntry) {
	for _, gone := range d.gone {
		if gone.replacedBy == nil && !gone.unannounced {
			removed = append(removed, gone)
		}
	}
	return removed
}

func compareKeys(a, b state.DraftKey) int {
	return cmp.Or(cmp.Compare(a.CreateTime, b.CreateTime), cmp.Compare(a.DraftID, b.DraftID))
}

// diff compares the recorded state with the box. WeChat retains only the newest upload of a mini program, so a newer
// draft replaced the older ones. Where WeChat doesn't name the mini program, replacements are unknown.
func diff(known state.Box, box []wechat.Draft) draftDiff {
	var d draftDiff
	current := make(map[state.DraftKey]bool)
	newest := make(map[string]state.DraftKey) // by mini program
	for _, draft := range box {
		key := state.KeyOf(draft)
		if current[key] {
			continue
		}
		current[key] = true
		if entry, ok := known.Drafts[key]; !ok || entry.Unannounced {
			d.added = append(d.added, addedDraft{draft: draft})
		}
		if last, ok := newest[draft.SourceMiniprogramAppID]; !ok || compareKeys(key, last) > 0 {
			newest[draft.SourceMiniprogramAppID] = key
		}
	}
	d.current = len(current)
	slices.SortFunc(d.added, func(a, b addedDraft) int { return compareKeys(state.KeyOf(a.draft), state.KeyOf(b.draft)) })

	for key, entry := range known.Drafts {
		if current[key] {
			continue
		}
		gone := goneEntry{key: key, sourceAppID: entry.SourceAppID, unannounced: entry.Unannounced}
		if next, ok := newest[entry.SourceAppID]; ok && entry.SourceAppID != "" && compareKeys(next, key) > 0 {
			gone.replacedBy = &next
		}
		d.gone = append(d.gone, gone)
	}
	slices.SortFunc(d.gone, func(a, b goneEntry) int { return compareKeys(a.key, b.key) })
	d.linkPrevious()
	return d
}

// linkPrevious sets each added draft's previous to the newest draft that it replaced.
func (d draftDiff) linkPrevious() {
	for i, added := range d.added {
		for _, gone := range d.gone {
			if gone.replacedBy != nil && gone.sourceAppID == added.draft.SourceMiniprogramAppID &&
				compareKeys(state.KeyOf(added.draft), gone.key) > 0 {
				d.added[i].previous = &gone
			}
		}
	}
}
