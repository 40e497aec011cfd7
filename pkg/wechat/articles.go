package wechat

import (
	"context"
	"net/http"

	"wechat-draftbox/pkg/secret"
)

const draftCountPath = "/cgi-bin/draft/count"

// MaxArticleDrafts is the largest page of article drafts that WeChat returns.
const MaxArticleDrafts = 20

// DraftCount counts the article drafts of an Official Account with that account's token. Success means that the
// account can use drafts, which replaces the retired draft switch's state. The call has a daily quota.
//
// https://developers.weixin.qq.com/doc/offiaccount/Draft_Box/Count_drafts.html
func (c *Client) DraftCount(ctx context.Context, account secret.Value) (int, error) {
	answer, err := c.do(ctx, call{method: http.MethodGet, path: draftCountPath, token: account})
	if err != nil {
		return 0, err
	}
	count, ok := answer.number("total_count")
	if !ok || count < 0 {
		return 0, &TransportError{Call: draftCountPath, Cause: Unusable, Detail: "the answer has no total_count", Sent: true}
	}
	return int(count), nil
}

// ArticleDrafts is a page of an Official Account's article drafts.
type ArticleDrafts struct {
	Drafts     []ArticleDraft // in WeChat's order
	Total      int            // how many drafts the account has
	Unreadable []Unreadable   // the entries that could not be read
}

// ArticleDraft is a draft of up to eight articles, without their content.
type ArticleDraft struct {
	MediaID    string
	UpdateTime int64     // Unix seconds; 0 if missing
	Articles   []Article // empty if WeChat omits them with the content
}

// Article is one article of a draft. Its keys are WeChat's.
type Article struct {
	ArticleType        string `json:"article_type"`
	Title              string `json:"title"`
	Author             string `json:"author"`
	Digest             string `json:"digest"`
	ContentSourceURL   string `json:"content_source_url"`
	ThumbMediaID       string `json:"thumb_media_id"`
	NeedOpenComment    int64  `json:"need_open_comment"`
	OnlyFansCanComment int64  `json:"only_fans_can_comment"`
	URL                string `json:"url"`
}

// ArticleDrafts lists article drafts of an Official Account with that account's token: count of them, 1 to
// [MaxArticleDrafts], from offset. The call has a daily quota.
//
// https://developers.weixin.qq.com/doc/offiaccount/Draft_Box/Get_draft_list.html
func (c *Client) ArticleDrafts(ctx context.Context, account secret.Value, offset, count int) (ArticleDrafts, error) {
	const path = "/cgi-bin/draft/batchget"
	answer, err := c.do(ctx, call{method: http.MethodPost, path: path, token: account, body: struct {
		Offset    int `json:"offset"`
		Count     int `json:"count"`
		NoContent int `json:"no_content"`
	}{offset, count, 1}})
	if err != nil {
		return ArticleDrafts{}, err
	}
	total, ok := answer.number("total_count")
	if !ok && !answer.has("item") {
		return ArticleDrafts{}, &TransportError{Call: path, Cause: Unusable, Detail: "the answer has neither total_count nor item", Sent: true}
	}
	if !answer.has("item") {
		return ArticleDrafts{Total: int(total)}, nil
	}
	list, err := readList(answer, listOf[ArticleDraft]{path, "item", "media_id", newArticleDraft})
	if !ok {
		total = int64(offset + len(list.entries)) // a lower bound
	}
	return ArticleDrafts{list.entries, int(total), list.unreadable}, err
}

func newArticleDraft(sent fields) (d ArticleDraft, unreadable []string, ok bool) {
	if d.MediaID, ok = sent.text("media_id"); !ok || d.MediaID == "" {
		return ArticleDraft{}, nil, false
	}
	if d.UpdateTime, ok = sent.unixSeconds("update_time"); !ok && sent.has("update_time") {
		unreadable = append(unreadable, "update_time")
	}
	sent.object("content").get("news_item").forEach(func(article fields) { d.Articles = append(d.Articles, newArticle(article)) })
	return d, unreadable, true
}

func newArticle(sent fields) (a Article) {
	for key, into := range map[string]*string{
		"article_type": &a.ArticleType, "title": &a.Title, "author": &a.Author, "digest": &a.Digest,
		"content_source_url": &a.ContentSourceURL, "thumb_media_id": &a.ThumbMediaID, "url": &a.URL,
	} {
		*into, _ = sent.text(key)
	}
	a.NeedOpenComment, _ = sent.number("need_open_comment")
	a.OnlyFansCanComment, _ = sent.number("only_fans_can_comment")
	return a
}
