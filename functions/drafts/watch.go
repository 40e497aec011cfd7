package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

const (
	watchTask = "watch-drafts"
	// watchTimeout ends a run before the next one starts: the shortest schedule is one minute.
	watchTimeout = 50 * time.Second
	// watchAttempts limits how often a run starts over after a conflicting write.
	watchAttempts = 3
	// watchWrites limits concurrent writes.
	watchWrites = 10
)

// watcher publishes changes of the draft box, because WeChat pushes nothing about drafts.
//
// Events are published before the state is saved: after a crash in between, the next run publishes them again with the
// same ids.
type watcher struct {
	box    *box
	drafts state.Drafts
	bus    *eventbus.Bus
	log    *slog.Logger
}

// watchResult is the result of a run.
type watchResult struct {
	Task     string `json:"task"`
	Drafts   int    `json:"drafts"` // in the box
	Uploaded int    `json:"uploaded"`
	Removed  int    `json:"removed"`
	Baseline bool   `json:"baseline"` // the first run, which publishes nothing
}

// run is the task watch-drafts.
func (w watcher) run(ctx context.Context, _ json.RawMessage) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		result, err := w.watch(ctx)
		if awserror.Is(err, awserror.Conflict) && attempt < watchAttempts {
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

func (w watcher) watch(ctx context.Context) (watchResult, error) {
	// Read the state before the box: otherwise a draft that another run recorded in between would look removed.
	known, err := w.drafts.Box(ctx)
	if err != nil {
		return watchResult{}, err
	}
	listed, err := w.box.watch(ctx)
	if err != nil {
		return watchResult{}, err
	}
	if listed.ListMissing && len(known.Drafts) > 0 && !known.ListMissing {
		w.log.WarnContext(ctx, "WeChat answered without draft_list although drafts are known; the next answer without it is believed",
			"drafts", len(known.Drafts))
		return watchResult{Task: watchTask, Drafts: len(known.Drafts)}, w.drafts.SetListMissing(ctx, true)
	}
	d := diff(known, listed.Drafts)
	if listed.HasLeftOut() { // a missing draft may be an unreadable one
		d.gone = nil
	}
	result := watchResult{Task: watchTask, Drafts: d.current, Baseline: !known.Watched}
	if known.Watched {
		if err := w.publish(ctx, d); err != nil {
			return watchResult{}, err
		}
		result.Uploaded, result.Removed = len(d.added), len(d.removed())
	}
	if err := w.save(ctx, known, d); err != nil {
		return watchResult{}, fmt.Errorf("save what the watch saw: %w", err)
	}
	return result, nil
}

// publish publishes a diff, with the full drafts from the history for those that left the box.
func (w watcher) publish(ctx context.Context, d draftDiff) error {
	var keys []state.DraftKey
	for _, gone := range d.gone {
		keys = append(keys, gone.key)
	}
	whole, err := w.drafts.Get(ctx, keys)
	if err != nil {
		return err
	}
	events, err := d.events(whole)
	if err != nil {
		return err
	}
	if err := w.bus.Publish(ctx, events...); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// save records the diff, and the end of the baseline after the first watch. Added drafts are saved first: while one may
// be published again, the draft it replaced has to be known.
func (w watcher) save(ctx context.Context, known state.Box, d draftDiff) error {
	limit := watchWrites
	if !known.Watched { // these transactions check the same item and would conflict
		limit = 1
	}
	err := inParallel(ctx, limit, d.added, func(ctx context.Context, added addedDraft) error {
		return w.drafts.Add(ctx, added.draft, known.Watched)
	})
	if err != nil {
		return err
	}
	err = inParallel(ctx, limit, d.gone, func(ctx context.Context, gone goneEntry) error {
		return w.drafts.MarkGone(ctx, gone.key, gone.replacedBy, known.Watched)
	})
	if err != nil {
		return err
	}
	if !known.Watched {
		return w.drafts.FinishBaseline(ctx)
	}
	if known.ListMissing {
		return w.drafts.SetListMissing(ctx, false)
	}
	return nil
}

// inParallel calls write for each item and returns the first error.
func inParallel[T any](ctx context.Context, limit int, all []T, write func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(limit)
	for _, one := range all {
		group.Go(func() error { return write(ctx, one) })
	}
	return group.Wait()
}

// maxEventDrafts limits the bytes of the drafts in an event.
const maxEventDrafts = eventbus.MaxDetail - 1<<10

// events converts the diff to events. Their ids depend only on the draft, so repeats have the same id.
func (d draftDiff) events(whole map[state.DraftKey]wechat.Draft) ([]eventbus.Event, error) {
	type detail struct {
		ID       string          `json:"id"`
		Draft    json.RawMessage `json:"draft"`
		Previous json.RawMessage `json:"previous,omitempty"`
	}
	var events []eventbus.Event
	for _, added := range d.added {
		draft, err := state.TruncateDraft(added.draft, maxEventDrafts)
		if err != nil {
			return nil, err
		}
		var previous json.RawMessage
		if added.previous != nil { // each may use half, plus what the other leaves free
			if previous, err = goneDraft(*added.previous, whole, max(maxEventDrafts/2, maxEventDrafts-len(draft))); err != nil {
				return nil, err
			}
			if draft, err = state.TruncateDraft(added.draft, maxEventDrafts-len(previous)); err != nil {
				return nil, err
			}
		}
		id := eventbus.ID(eventbus.DraftUploaded, added.draft.DraftID, added.draft.CreateTime)
		events = append(events, eventbus.Event{DetailType: eventbus.DraftUploaded, Detail: detail{id, draft, previous}})
	}
	for _, gone := range d.removed() {
		draft, err := goneDraft(gone, whole, maxEventDrafts)
		if err != nil {
			return nil, err
		}
		id := eventbus.ID(eventbus.DraftRemoved, gone.key.DraftID, gone.key.CreateTime)
		events = append(events, eventbus.Event{DetailType: eventbus.DraftRemoved, Detail: detail{ID: id, Draft: draft}})
	}
	return events, nil
}

// goneDraft is the JSON of a draft that left the box, or the little known of it if its history item was deleted.
func goneDraft(gone goneEntry, whole map[state.DraftKey]wechat.Draft, limit int) (json.RawMessage, error) {
	if draft, ok := whole[gone.key]; ok {
		return state.TruncateDraft(draft, limit)
	}
	return state.MinimalDraft(gone.key, gone.sourceAppID)
}
