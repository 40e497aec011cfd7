package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/logging"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// looks is how often the library is looked at for what a write did to it. WeChat doesn't say that its list shows a
// write at once.
const looks = 3

// library is the platform's template library, with the draft box that fills it.
type library struct {
	client    *wechat.Client
	tokens    *token.Reader
	lookAgain time.Duration // the wait before the second look; it grows with each
	log       logging.Log
}

// drafts are what the draft box holds now.
func (l library) drafts(ctx context.Context) ([]wechat.Draft, error) {
	box, err := token.Call(ctx, l.tokens, token.Component, l.client.DraftList)
	return box.Drafts, err
}

// templates are all that the library holds now.
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
	if wechat.IsLost(err) {
		l.log.WarnContext(ctx, "the answer to a write was lost", "error", err.Error())
	}
	return err
}

// look reads the library, a few times at most, until it shows what a write was to do. A failure is logged: all that
// can be said then is that it doesn't show.
func (l library) look(ctx context.Context, shows func([]wechat.Template) bool) bool {
	for look := 1; ; look++ {
		templates, err := l.templates(ctx)
		if err != nil {
			l.log.WarnContext(ctx, "the look at the library after a write failed", "error", err.Error())
			return false
		}
		if shows(templates) {
			return true
		}
		if look == looks || !retry.Sleep(ctx, time.Duration(look)*l.lookAgain) {
			return false
		}
	}
}
