package main

import (
	"context"
	"time"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/metrics"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// box is the platform's draft box, kept for a while: the call has a daily quota.
type box struct {
	contents *cache.Value[content]
	ttl      time.Duration
	now      func() time.Time
	metrics  *metrics.Recorder
}

// content is what the box held at a time.
type content struct {
	wechat.DraftList
	fetchedAt time.Time // on the wall clock
}

func newBox(deps bootstrap.Deps) *box {
	tokens := deps.Tokens(deps.Secrets)
	load := func(ctx context.Context) (content, error) {
		drafts, err := token.Call(ctx, tokens, token.Component, func(ctx context.Context, t secret.Value) (wechat.DraftList, error) {
			return deps.WeChat.DraftList(ctx, t)
		})
		if err != nil {
			return content{}, err
		}
		deps.Metrics.Put(metrics.Drafts, float64(len(drafts.Drafts)))
		return content{drafts, deps.Now().Round(0)}, nil
	}
	ttl := deps.Settings.DraftCacheTTL
	return &box{cache.New(ttl, deps.Now, load), ttl, deps.Now, deps.Metrics}
}

// list is the content of the box, at most ttl old; wasKept tells whether it was fetched before.
func (b *box) list(ctx context.Context) (c content, wasKept bool, err error) {
	if c, ok := b.contents.Cached(); ok {
		b.metrics.Count(metrics.CacheHits)
		return c, true, nil
	}
	b.metrics.Count(metrics.CacheMisses)
	c, err = b.contents.Get(ctx)
	return c, false, err
}

// listFresh is the content of the box now.
func (b *box) listFresh(ctx context.Context) (content, error) { return b.contents.Fresh(ctx) }

// left is for how long a content may still be used.
func (b *box) left(c content) time.Duration { return b.ttl - b.now().Round(0).Sub(c.fetchedAt) }
