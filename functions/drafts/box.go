package main

import (
	"context"
	"sync"
	"time"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/single"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// box is the platform's draft box, kept for a while: the call has a daily quota.
type box struct {
	client *wechat.Client
	tokens *token.Source
	ttl    time.Duration
	now    func() time.Time
	fetch  single.Group[struct{}, content]

	mu   sync.Mutex
	last content
}

// content is what the box held at a time.
type content struct {
	wechat.DraftList
	fetchedAt time.Time // on the wall clock
}

func newBox(client *wechat.Client, tokens *token.Source, ttl time.Duration, now func() time.Time) *box {
	return &box{client: client, tokens: tokens, ttl: ttl, now: now}
}

// age is how old a content is, by the wall clock.
func (b *box) age(c content) time.Duration { return b.now().Round(0).Sub(c.fetchedAt) }

// kept is the content of the last fetch, while it may still be used.
func (b *box) kept() (content, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := b.age(b.last)
	return b.last, age >= 0 && age < b.ttl
}

// list is the content of the box, at most ttl old.
func (b *box) list(ctx context.Context) (content, error) {
	if c, ok := b.kept(); ok {
		return c, nil
	}
	return b.fetch.Do(ctx, struct{}{}, func(ctx context.Context) (content, error) {
		if c, ok := b.kept(); ok { // a fetch that ended a moment ago
			return c, nil
		}
		return b.load(ctx)
	})
}

// listFresh is the content of the box now.
func (b *box) listFresh(ctx context.Context) (content, error) {
	return b.fetch.Do(ctx, struct{}{}, b.load)
}

func (b *box) load(ctx context.Context) (content, error) {
	drafts, err := token.Call(ctx, b.tokens, token.Component, func(ctx context.Context, t secret.Value) (wechat.DraftList, error) {
		return b.client.DraftList(ctx, t)
	})
	if err != nil {
		return content{}, err
	}
	c := content{drafts, b.now().Round(0)}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = c
	return c, nil
}
