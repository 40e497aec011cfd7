package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/fault"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

// promotions adds drafts to the library, one at a time: a second request for the same draft has to see the first one's
// template.
type promotions struct {
	lib     library
	history state.Drafts
	timing  timing
	lock    chan struct{} // a mutex that can be awaited with a context
}

func newPromotions(l library, history state.Drafts, timing timing) *promotions {
	return &promotions{l, history, timing, make(chan struct{}, 1)}
}

// selector selects a draft from the box. Its error is a [*fault.Error].
type selector func(box []wechat.Draft) (wechat.Draft, error)

// promote adds the selected draft to the library, unless it is there, and returns its template. It sends at most one
// addition that WeChat could act on.
func (p *promotions) promote(ctx context.Context, selectDraft selector, templateType int64) (t wechat.Template, isNew bool, err error) {
	select {
	case p.lock <- struct{}{}:
		defer func() { <-p.lock }()
	case <-ctx.Done():
		return t, false, nothingSent()
	}
	// Read the box first: once it shows the draft, earlier uploads of its mini program are gone, so none of them can be
	// added to the library after it is read below.
	box, err := p.lib.drafts(ctx)
	if err != nil {
		return t, false, err
	}
	draft, err := selectDraft(box)
	if err != nil {
		return t, false, err
	}
	before, err := p.lib.templates(ctx)
	if err != nil {
		return t, false, err
	}
	if t, ok := existing(draft, before); ok {
		return t, false, nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < p.timing.additionTime {
		return t, false, nothingSent()
	}

	err = p.lib.add(ctx, draft.DraftID, templateType)
	lost := wechat.IsOutcomeUnknown(err)
	if err != nil && !lost {
		return t, false, p.refused(ctx, err, draft, len(before))
	}
	if p.lib.poll(ctx, func(after []wechat.Template) (ok bool) {
		t, ok = added(draft, before, after)
		return ok
	}) {
		p.recordPromotion(ctx, draft, t)
		return t, true, nil
	}
	// An accepted addition that doesn't show is reported like a lost one: only the library has the template's id.
	became := "WeChat accepted the draft"
	if lost {
		became = "the answer to the addition was lost"
	}
	return t, false, fault.New(fault.WeChatTimeout, became+", and its template could not be seen in the library; the addition was not repeated").
		WithAction("List the templates in a minute; if it still isn't there, promote the draft again.")
}

// recordPromotion records the promotion in the history. A failure is only logged: the template exists anyway.
func (p *promotions) recordPromotion(ctx context.Context, draft wechat.Draft, t wechat.Template) {
	ctx, cancel := context.WithTimeout(ctx, p.timing.historyTimeout)
	defer cancel()
	if err := p.history.AddTemplate(ctx, draft, t.TemplateID); err != nil {
		p.lib.log.WarnContext(ctx, "could not note a promotion in the history", "draft_id", draft.DraftID,
			"template_id", t.TemplateID, "error", err.Error())
	}
}

func nothingSent() error {
	return fault.New(fault.WeChatTimeout, "too little time is left to add the draft and see what came of it, so nothing was sent to add it")
}

// refused converts WeChat's refusal to add a draft to a problem. size is the library's before.
func (p *promotions) refused(ctx context.Context, err error, draft wechat.Draft, size int) error {
	switch {
	case wechat.IsNotFound(err):
		return explained(err, noSuchDraft(draft.DraftID))
	case wechat.IsLibraryFull(err):
		if now, err := p.lib.templates(ctx); err == nil { // another program may have filled it
			size = len(now)
		}
		return &api.Problem{
			Err: explained(err, fmt.Sprintf("the template library is full: it holds %d templates, and its limit is %d",
				size, wechat.TemplateLimit)),
			Members: map[string]any{"size": size, "limit": wechat.TemplateLimit},
		}
	}
	return err
}

// explained adds a detail in the API's terms to WeChat's refusal.
func explained(err error, detail string) error { return fault.Explain(err, time.Now(), detail) }

// byID selects the draft with this id.
func byID(id int64) selector {
	return func(box []wechat.Draft) (wechat.Draft, error) {
		for _, d := range box {
			if d.DraftID == id {
				return d, nil
			}
		}
		return wechat.Draft{}, fault.New(fault.NotFound, noSuchDraft(id))
	}
}

func noSuchDraft(id int64) string {
	return fmt.Sprintf("there is no draft %d; a newer upload of its mini program may have replaced it", id)
}

// newest selects the newest draft of a mini program, of any version if version is nil.
func newest(appID string, version *string) selector {
	return func(box []wechat.Draft) (wechat.Draft, error) {
		var found *wechat.Draft
		for i, d := range box {
			if d.SourceMiniprogramAppID != appID || version != nil && d.UserVersion != *version {
				continue
			}
			if found == nil || cmp.Or(cmp.Compare(d.CreateTime, found.CreateTime), cmp.Compare(d.DraftID, found.DraftID)) > 0 {
				found = &box[i]
			}
		}
		if found == nil {
			return wechat.Draft{}, fault.New(fault.NotFound, "there is no such draft of this mini program; a newer upload may have replaced it")
		}
		return *found, nil
	}
}
