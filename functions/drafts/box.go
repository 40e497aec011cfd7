package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// minListAge is how long a list also answers requests for a fresh one: the call has a daily quota, and callers can ask
// as often as they like.
const minListAge = 3 * time.Second

// box is the platform's draft box, with a cached list.
type box struct {
	lists   *cache.Value[*draftList]
	ttl     time.Duration
	fetch   func(context.Context) (wechat.DraftList, error)
	now     func() time.Time
	metrics *telemetry.Recorder
	log     telemetry.Log
	quota   wechat.QuotaGate
}

// draftList is the box as listed at one time, with the response bodies made from it.
type draftList struct {
	wechat.DraftList
	fetchedAt time.Time // on the wall clock

	mu      sync.Mutex
	answers map[string]*api.Body // by query
	size    int                  // of all answers
}

func newBox(deps bootstrap.Deps) *box {
	tokens := deps.Tokens(deps.Secrets)
	b := &box{ttl: deps.Settings.DraftCacheTTL, now: deps.Now, metrics: deps.Metrics, log: deps.Log}
	b.fetch = func(ctx context.Context) (wechat.DraftList, error) {
		return token.Call(ctx, tokens, token.Component, func(ctx context.Context, t secret.Value) (wechat.DraftList, error) {
			return deps.WeChat.DraftList(ctx, t)
		})
	}
	b.lists = cache.New(b.ttl, deps.Now, b.load)
	return b
}

// load fetches the list, unless the daily quota is known to be used up.
func (b *box) load(ctx context.Context) (*draftList, error) {
	if err := b.quota.Err(b.now()); err != nil {
		return nil, err
	}
	list, err := b.fetch(ctx)
	if err != nil {
		b.quota.Note(err, b.now())
		return nil, err
	}
	b.metrics.Put(telemetry.Drafts, float64(len(list.Drafts)))
	for _, u := range list.Unreadable {
		b.log.WarnContext(ctx, "a part of the draft list can't be read", "what", u.String())
	}
	return &draftList{DraftList: list, fetchedAt: b.now().Round(0), answers: make(map[string]*api.Body)}, nil
}

// cached returns the cached list, or fetches one if it expired.
func (b *box) cached(ctx context.Context) (list *draftList, maxAge time.Duration, err error) {
	if list, ok := b.lists.Cached(); ok {
		b.metrics.Count(telemetry.CacheHits)
		return list, b.maxAge(list), nil
	}
	b.metrics.Count(telemetry.CacheMisses)
	list, err = b.lists.Get(ctx)
	list, err = b.orStale(list, err)
	return list, b.maxAge(list), err
}

// recent returns a list that is at most minListAge old.
func (b *box) recent(ctx context.Context) (*draftList, error) {
	return b.orStale(b.lists.GetWithin(ctx, minListAge))
}

// watch fetches the list.
func (b *box) watch(ctx context.Context) (*draftList, error) { return b.lists.Fresh(ctx) }

// orStale falls back to the last list while the daily quota is used up.
func (b *box) orStale(list *draftList, err error) (*draftList, error) {
	if err != nil && b.quota.Err(b.now()) != nil {
		if last, ok := b.lists.Last(); ok {
			return last, nil
		}
	}
	return list, err
}

// maxAge is the rest of the list's time to live; 0 once it has expired, as it may while the quota is used up.
func (b *box) maxAge(list *draftList) time.Duration {
	if list == nil {
		return 0
	}
	return max(0, b.ttl-b.age(list))
}

func (b *box) age(list *draftList) time.Duration { return b.now().Round(0).Sub(list.fetchedAt) }

// Limits of the bodies cached for one list, because callers can send any number of different queries. A single body is
// cached at any size.
const (
	maxAnswers     = 32
	maxAnswerBytes = 4 << 20
)

// answer returns the cached body for a query, or creates it.
func (l *draftList) answer(query string, create func() *api.Body) *api.Body {
	l.mu.Lock()
	body, ok := l.answers[query]
	l.mu.Unlock()
	if ok {
		return body
	}
	body = create()
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, ok := l.answers[query]; ok { // made at the same time
		return other
	}
	if n := len(l.answers); n == 0 || n < maxAnswers && l.size+body.Size() <= maxAnswerBytes {
		l.answers[query] = body
		l.size += body.Size()
	}
	return body
}

// encode returns the body of a list. content is the part of it without the time of the fetch.
func (l *draftList) encode(drafts []wechat.Draft) (body, content []byte) {
	const start = `{"drafts":[`
	body = make([]byte, 0, len(start)+64+320*len(drafts))
	body = append(body, start...)
	for i, d := range drafts {
		if i > 0 {
			body = append(body, ',')
		}
		body = d.AppendJSON(body)
	}
	body = append(body, `],"count":`...)
	body = strconv.AppendInt(body, int64(len(drafts)), 10)
	content = body[len(start):len(body):len(body)]
	body = append(body, `,"fetched_at":`...)
	body = l.fetchedAt.UTC().AppendFormat(body, `"`+time.RFC3339+`"`)
	return append(body, '}'), content
}

func (l *draftList) draft(id int64) (wechat.Draft, bool) {
	for _, d := range l.Drafts {
		if d.DraftID == id {
			return d, true
		}
	}
	return wechat.Draft{}, false
}
