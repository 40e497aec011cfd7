package wechattest

import (
	"cmp"
	"fmt"
	"slices"
)

// Article is one article of an [ArticleDraft].
type Article struct {
	Title   string
	Author  string
	Digest  string
	URL     string
	Content string // HTML
}

// ArticleDraft is a draft of an Official Account: up to eight articles.
type ArticleDraft struct {
	MediaID    string // empty: a new one is made
	UpdateTime int64  // Unix seconds; 0 is now
	Articles   []Article
}

// AddArticleDraft adds a draft to an Official Account's draft box and returns its media id. It panics on an unknown
// appid.
func (s *Server) AddArticleDraft(appid string, d ArticleDraft) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accountByID[appid]
	if a == nil {
		panic("wechattest: no such account: " + appid)
	}
	return s.addArticleDraft(a, d)
}

func (s *Server) addArticleDraft(a *account, d ArticleDraft) string {
	s.nextMedia++
	if d.MediaID == "" {
		d.MediaID = fmt.Sprintf("media-id-%s-%04d", a.AppID, s.nextMedia)
	}
	if d.UpdateTime == 0 {
		d.UpdateTime = s.now().Unix()
	}
	a.articleDrafts = append(a.articleDrafts, d)
	return d.MediaID
}

// ArticleDrafts returns an account's article drafts, newest first, as WeChat lists them.
func (s *Server) ArticleDrafts(appid string) []ArticleDraft {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accountByID[appid]; a != nil {
		return a.newestFirst()
	}
	return nil
}

func (a *account) newestFirst() []ArticleDraft {
	all := slices.Clone(a.articleDrafts)
	slices.Reverse(all)
	slices.SortStableFunc(all, func(x, y ArticleDraft) int { return cmp.Compare(y.UpdateTime, x.UpdateTime) })
	return all
}

// WithTitlesLeftOut omits the whole content of article drafts for no_content 1. It is not known whether WeChat does;
// by default the titles are included.
func WithTitlesLeftOut() Option { return func(s *Server) { s.titlesOut = true } }

// draftBoxOf returns the account whose article drafts a request may read.
func (s *Server) draftBoxOf(r *request) (*account, *refusal) {
	a := s.accountByID[r.token.owner.appid]
	switch {
	case a.MiniProgram: // article drafts are an Official Account's
		return nil, refused(48001)
	case r.token.owner.kind == authorizerToken && !a.Granted:
		return nil, refused(61007)
	}
	return a, nil
}

func (s *Server) draftCount(r *request) (any, *refusal) {
	a, refusal := s.draftBoxOf(r)
	if refusal != nil {
		return nil, refusal
	}
	return struct { // the real answer has no errcode
		Total int `json:"total_count"`
	}{len(a.articleDrafts)}, nil
}

// maxArticleDrafts is the maximum page size of draft/batchget.
const maxArticleDrafts = 20

type articleItem struct {
	MediaID    string          `json:"media_id"`
	UpdateTime int64           `json:"update_time"`
	Content    *articleContent `json:"content,omitempty"`
}

type articleContent struct {
	Articles []map[string]any `json:"news_item"`
}

func (s *Server) batchGetDrafts(r *request) (any, *refusal) {
	var in struct {
		Offset    int `json:"offset"`
		Count     int `json:"count"`
		NoContent int `json:"no_content"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	a, refusal := s.draftBoxOf(r)
	switch {
	case refusal != nil:
		return nil, refusal
	case in.Count < 1 || in.Count > maxArticleDrafts || in.Offset < 0:
		return nil, refused(61020)
	}
	all := a.newestFirst()
	from := min(in.Offset, len(all))
	items := []articleItem{}
	for _, d := range all[from:min(from+in.Count, len(all))] {
		item := articleItem{MediaID: d.MediaID, UpdateTime: d.UpdateTime}
		if in.NoContent != 1 || !s.titlesOut {
			item.Content = d.content(in.NoContent != 1)
		}
		items = append(items, item)
	}
	return struct { // the real answer has no errcode
		Total int           `json:"total_count"`
		Count int           `json:"item_count"`
		Items []articleItem `json:"item"`
	}{len(all), len(items), items}, nil
}

func (d ArticleDraft) content(whole bool) *articleContent {
	c := &articleContent{Articles: []map[string]any{}}
	for _, a := range d.Articles {
		article := map[string]any{
			"article_type": "news", "title": a.Title, "author": a.Author, "digest": a.Digest, "url": a.URL,
			"content_source_url": "", "thumb_media_id": "", "need_open_comment": 0, "only_fans_can_comment": 0,
		}
		if whole {
			article["content"] = a.Content
		}
		c.Articles = append(c.Articles, article)
	}
	return c
}
