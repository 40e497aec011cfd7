package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// maxPolls limits how often the library is read after a write, because WeChat doesn't promise that its list shows the
// write at once.
const maxPolls = 3

// library is the platform's template library, and the draft box that it is filled from.
type library struct {
	client       *wechat.Client
	tokens       *token.Reader
	pollInterval time.Duration // before the second poll; grows linearly
	log          telemetry.Log
}

// drafts lists the draft box.
func (l library) drafts(ctx context.Context) ([]wechat.Draft, error) {
	box, err := token.Call(ctx, l.tokens, token.Component, l.client.DraftList)
	return box.Drafts, err
}

// templates lists the whole library.
func (l library) templates(ctx context.Context) ([]wechat.Template, error) {
	list, err := token.Call(ctx, l.tokens, token.Component, l.client.TemplateList)
	for _, u := range list.Unreadable {
		l.log.WarnContext(ctx, "a part of the template list can't be read", "what", u.String())
	}
	return list.Templates, err
}

func (l library) add(ctx context.Context, draftID, templateType int64) error {
	return l.write(ctx, func(ctx context.Context, t secret.Value) error {
		return l.client.AddToTemplate(ctx, t, draftID, templateType)
	})
}

func (l library) delete(ctx context.Context, templateID int64) error {
	return l.write(ctx, func(ctx context.Context, t secret.Value) error {
		return l.client.DeleteTemplate(ctx, t, templateID)
	})
}

// write makes a call that changes the library.
func (l library) write(ctx context.Context, call func(context.Context, secret.Value) error) error {
	err := token.Write(ctx, l.tokens, token.Component, call)
	if wechat.IsOutcomeUnknown(err) {
		l.log.WarnContext(ctx, "the answer to a write was lost", "error", err.Error())
	}
	return err
}

// poll reads the library up to maxPolls times until it shows the effect of a write. A failed read is logged and ends
// the polling.
func (l library) poll(ctx context.Context, shows func([]wechat.Template) bool) bool {
	for polls := 1; ; polls++ {
		templates, err := l.templates(ctx)
		if err != nil {
			l.log.WarnContext(ctx, "could not read the library after a write", "error", err.Error())
			return false
		}
		if shows(templates) {
			return true
		}
		if polls == maxPolls || !retry.Sleep(ctx, time.Duration(polls)*l.pollInterval) {
			return false
		}
	}
}
