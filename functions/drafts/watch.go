package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/plainjson"
	"wechat-draftbox/pkg/wechat"
)

const (
	watchTask = "watch-drafts"
	// longestWatch ends a run before the next one begins: no schedule is quicker than a minute.
	longestWatch = 50 * time.Second
	// watchTries is how often a run compares that another one got in the way of.
	watchTries = 3
)

// watcher publishes what changed in the draft box since it looked last. WeChat sends no word of a new draft.
//
// First the events are published, then what was seen is saved: a run that dies in between makes the next one send
// them again, under the same ids.
type watcher struct {
	box        *box
	parameters parameter.Store
	bus        *eventbus.Bus
	log        logging.Log
}

// watched is the result of a run.
type watched struct {
	Task     string `json:"task"`
	Drafts   int    `json:"drafts"` // in the box
	Uploaded int    `json:"uploaded"`
	Removed  int    `json:"removed"`
	Baseline bool   `json:"baseline"` // the first run ever, which sends nothing
}

// run does the task watch-drafts.
func (w watcher) run(ctx context.Context, _ json.RawMessage) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, longestWatch)
	defer cancel()
	for try := 1; ; try++ {
		result, err := w.watch(ctx)
		if awserror.Is(err, awserror.Conflict) && try < watchTries {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", watchTask, err)
		}
		w.log.InfoContext(ctx, "watched the draft box", "task", result.Task, "drafts", result.Drafts,
			"uploaded", result.Uploaded, "removed", result.Removed, "baseline", result.Baseline)
		return result, nil
	}
}

func (w watcher) watch(ctx context.Context) (watched, error) {
	// In this order: a draft that another run saw after this one listed the box would look as if it were gone.
	memory, err := recall(ctx, w.parameters)
	if err != nil {
		return watched{}, err
	}
	box, err := w.box.listFresh(ctx)
	if err != nil {
		return watched{}, err
	}

	known := memory.records()
	if box.Keyless && len(known) > 0 && !memory.keyless() {
		memory.setKeyless(true)
		w.log.WarnContext(ctx, "WeChat answered without draft_list although drafts are known; it is believed if the next answer has none either",
			"drafts", len(known))
		return watched{Task: watchTask, Drafts: len(known)}, memory.save(ctx)
	}
	news := compare(known, box.Drafts)
	memory.setKeyless(false)
	memory.forget(news.gone)
	memory.remember(news.fresh())
	result := watched{Task: watchTask, Drafts: news.standing, Baseline: memory.isBlank()}
	if !result.Baseline {
		events, err := news.events()
		if err != nil {
			return watched{}, err
		}
		if err := w.bus.Publish(ctx, events...); err != nil {
			return watched{}, fmt.Errorf("publish: %w", err)
		}
		result.Uploaded, result.Removed = len(news.uploaded), len(news.removed)
	}
	return result, memory.save(ctx)
}

// news is how the box differs from what was seen. All lists go from old to new.
type news struct {
	standing int // drafts in the box
	uploaded []upload
	gone     []record
	removed  []record // those of gone whose place no newer one took
}

// upload is a draft that wasn't seen before.
type upload struct {
	draft    wechat.Draft
	record   record
	previous *record // of the same mini program, which it replaced
}

func (n news) fresh() (records []record) {
	for _, u := range n.uploaded {
		records = append(records, u.record)
	}
	return records
}

// compare finds what is new. WeChat keeps only the newest upload of a mini program, so a newer one of the same mini
// program that stands in the box took the place of those that are gone. Where WeChat doesn't name the mini program
// nothing is known of that.
func compare(known map[key]record, box []wechat.Draft) news {
	var n news
	standing := make(map[key]bool)
	newest := make(map[string]record)   // in the box, by mini program
	replaced := make(map[string]record) // the newest that is gone, by mini program
	for _, draft := range box {
		r := newRecord(draft)
		if standing[r.key()] {
			continue
		}
		standing[r.key()] = true
		if _, seen := known[r.key()]; !seen {
			n.uploaded = append(n.uploaded, upload{draft: draft, record: r})
		}
		if last, ok := newest[r.SourceMiniprogramAppID]; !ok || r.compare(last) > 0 {
			newest[r.SourceMiniprogramAppID] = r
		}
	}
	n.standing = len(standing)
	for _, r := range slices.SortedFunc(maps.Values(known), record.compare) {
		if standing[r.key()] {
			continue
		}
		n.gone = append(n.gone, r)
		if next, ok := newest[r.SourceMiniprogramAppID]; ok && r.SourceMiniprogramAppID != "" && next.compare(r) > 0 {
			replaced[r.SourceMiniprogramAppID] = r
		} else {
			n.removed = append(n.removed, r)
		}
	}
	slices.SortFunc(n.uploaded, func(a, b upload) int { return a.record.compare(b.record) })
	for i, u := range n.uploaded {
		if r, ok := replaced[u.record.SourceMiniprogramAppID]; ok && u.record.compare(r) > 0 {
			n.uploaded[i].previous = &r
		}
	}
	return n
}

// events are the news as they are published. Their ids are made of the draft alone, so they are the same whenever the
// same draft is told.
func (n news) events() ([]eventbus.Event, error) {
	type detail struct {
		ID       string  `json:"id"`
		Draft    any     `json:"draft"`
		Previous *record `json:"previous,omitempty"`
	}
	var events []eventbus.Event
	add := func(kind string, r record, draft any, previous *record) {
		id := eventbus.ID(kind, r.DraftID, r.CreateTime)
		events = append(events, eventbus.Event{DetailType: kind, Detail: detail{id, draft, previous}})
	}
	for _, u := range n.uploaded {
		draft, err := fit(u.draft, maxDraft)
		if err != nil {
			return nil, fmt.Errorf("encode draft %d: %w", u.draft.DraftID, err)
		}
		add(eventbus.DraftUploaded, u.record, draft, u.previous)
	}
	for _, r := range n.removed {
		add(eventbus.DraftRemoved, r, r, nil)
	}
	return events, nil
}

// maxDraft is how many bytes a draft may take in an event: that leaves room for the id and the previous draft.
const maxDraft = eventbus.MaxDetail - 3*maxRemembered

// fit encodes a draft in at most limit bytes. Where it has more, its texts are cut, one after the other, and its key
// truncated names them. If it is something else that is too large, what is remembered of the draft has to do.
func fit(draft wechat.Draft, limit int) (json.RawMessage, error) {
	encoded, err := plainjson.Marshal(draft)
	if err != nil || len(encoded) <= limit {
		return encoded, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	var truncated []string
	for _, name := range []string{"user_desc", "user_version", "source_miniprogram", "developer"} {
		var text string
		if json.Unmarshal(fields[name], &text) != nil || text == "" {
			continue
		}
		truncated = append(truncated, name)
		fields["truncated"], _ = plainjson.Marshal(truncated)
		fields[name] = json.RawMessage(`""`)
		without, err := plainjson.Marshal(fields)
		if err != nil {
			return nil, err
		}
		fields[name], _ = plainjson.Marshal(cut(text, limit-len(without)))
		if len(without) <= limit {
			return plainjson.Marshal(fields)
		}
	}
	r := newRecord(draft)
	r.Truncated = []string{"*"}
	return plainjson.Marshal(r)
}
