package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/telemetry"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

const (
	// articlesTTL is how long a page is cached: the call has a daily quota per account.
	articlesTTL = time.Minute
	// maxArticlePages limits the cached pages of one instance.
	maxArticlePages = 200
)

// articleDrafts lists the article drafts of Official Accounts.
type articleDrafts struct {
	wechat *wechat.Client
	tokens *token.Reader
	now    func() time.Time
	log    telemetry.Log

	mu    sync.Mutex
	pages map[articlePageKey]*cache.Value[articlePage]
	gates map[string]*wechat.QuotaGate // by appid, as quotas are per account
}

type articlePageKey struct {
	appID         string
	offset, limit int
}

type articlePage struct {
	wechat.ArticleDrafts
	fetchedAt time.Time
}

func newArticleDrafts(client *wechat.Client, tokens *token.Reader, now func() time.Time, log telemetry.Log) *articleDrafts {
	return &articleDrafts{wechat: client, tokens: tokens, now: now, log: log,
		pages: make(map[articlePageKey]*cache.Value[articlePage]), gates: make(map[string]*wechat.QuotaGate)}
}

// articleDraftEntry is an article draft as the API shows it.
type articleDraftEntry struct {
	MediaID    string           `json:"media_id"`
	UpdateTime int64            `json:"update_time"`
	UpdatedAt  *time.Time       `json:"updated_at"`
	Articles   []wechat.Article `json:"articles"`
}

func newArticleDraftEntry(d wechat.ArticleDraft) articleDraftEntry {
	e := articleDraftEntry{MediaID: d.MediaID, UpdateTime: d.UpdateTime, Articles: d.Articles}
	if d.UpdateTime != 0 {
		e.UpdatedAt = new(time.Unix(d.UpdateTime, 0).UTC())
	}
	if e.Articles == nil {
		e.Articles = []wechat.Article{}
	}
	return e
}

// list answers GET /accounts/{appid}/drafts.
func (a *articleDrafts) list(ctx context.Context, r *api.Request) (*api.Response, error) {
	id, err := appID(r)
	if err != nil {
		return nil, err
	}
	key := articlePageKey{appID: id, limit: wechat.MaxArticleDrafts}
	err = api.ReadQuery(r.Query, map[string]func(string) error{
		"limit": func(v string) error {
			limit, err := strconv.Atoi(v)
			if err != nil || limit < 1 || limit > wechat.MaxArticleDrafts {
				return fmt.Errorf("a whole number from 1 to %d", wechat.MaxArticleDrafts)
			}
			key.limit = limit
			return nil
		},
		"next": func(v string) error {
			position, err := api.ReadCursor(v, isOffset)
			key.offset, _ = strconv.Atoi(position)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	page, maxAge, err := a.page(ctx, key)
	if err != nil {
		return nil, err
	}
	return articleResponse(r, key, page, &api.Cache{MaxAge: maxAge, Age: a.age(page), HasAge: true})
}

func isOffset(position string) bool {
	offset, err := strconv.Atoi(position)
	return err == nil && offset > 0
}

func articleResponse(r *api.Request, key articlePageKey, page articlePage, caching *api.Cache) (*api.Response, error) {
	drafts := make([]articleDraftEntry, 0, len(page.Drafts))
	for _, d := range page.Drafts {
		drafts = append(drafts, newArticleDraftEntry(d))
	}
	next := ""
	if following := key.offset + key.limit; len(page.Drafts) > 0 && following < page.Total {
		next = api.WriteCursor(strconv.Itoa(following))
	}
	body, err := api.Encode(struct {
		Drafts     []articleDraftEntry `json:"drafts"`
		Count      int                 `json:"count"`
		TotalCount int                 `json:"total_count"`
		Next       string              `json:"next,omitempty"`
	}{drafts, len(drafts), page.Total, next})
	if err != nil {
		return nil, err
	}
	return &api.Response{Body: api.Tagged(r, body, body), Cache: caching}, nil
}

// page returns a page of an account's drafts from the cache, or fetches it. While the daily quota is used up it returns
// the last one, of any age.
func (a *articleDrafts) page(ctx context.Context, key articlePageKey) (page articlePage, maxAge time.Duration, err error) {
	pages, gate := a.cached(key)
	page, err = pages.Get(ctx)
	if err != nil && gate.Err(a.now()) != nil {
		if last, ok := pages.Last(); ok {
			page, err = last, nil
		}
	}
	return page, max(0, articlesTTL-a.age(page)), err
}

func (a *articleDrafts) age(page articlePage) time.Duration {
	return a.now().Round(0).Sub(page.fetchedAt)
}

func (a *articleDrafts) cached(key articlePageKey) (*cache.Value[articlePage], *wechat.QuotaGate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	gate := a.gates[key.appID]
	if gate == nil {
		if len(a.gates) >= maxArticlePages { // appids are the callers' to choose
			clear(a.gates)
		}
		gate = new(wechat.QuotaGate)
		a.gates[key.appID] = gate
	}
	pages := a.pages[key]
	if pages == nil {
		if len(a.pages) >= maxArticlePages {
			clear(a.pages)
		}
		pages = cache.New(articlesTTL, a.now, func(ctx context.Context) (articlePage, error) { return a.fetch(ctx, key, gate) })
		a.pages[key] = pages
	}
	return pages, gate
}

func (a *articleDrafts) fetch(ctx context.Context, key articlePageKey, gate *wechat.QuotaGate) (articlePage, error) {
	if err := gate.Err(a.now()); err != nil {
		return articlePage{}, err
	}
	drafts, err := token.Call(ctx, a.tokens, key.appID, func(ctx context.Context, account secret.Value) (wechat.ArticleDrafts, error) {
		return a.wechat.ArticleDrafts(ctx, account, key.offset, key.limit)
	})
	if err != nil {
		gate.Note(err, a.now())
		return articlePage{}, err
	}
	for _, u := range drafts.Unreadable {
		a.log.WarnContext(ctx, "a part of the article drafts can't be read", "appid", key.appID, "what", u.String())
	}
	return articlePage{drafts, a.now().Round(0)}, nil
}
