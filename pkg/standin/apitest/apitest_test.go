package apitest

import (
	"net/http"
	"strings"
	"testing"
)

const (
	drafts = `{"drafts": [{"draft_id": 0, "new_key": {}}], "count": 1, "fetched_at": "2026-01-02T03:04:05Z"}`
	absent = `{"type": "urn:wechat-draftbox:not-found", "title": "t", "status": 404, "detail": "d", "instance": "/x",
		"request_id": "r", "retryable": false, "action": "a"}`
	etag = `"0123456789abcdef0123456789abcdef"`
)

func header(pairs ...string) http.Header {
	h := http.Header{"X-Request-Id": {"r"}, "Cache-Control": {"no-store"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func TestCheckAnswer(t *testing.T) {
	t.Parallel()
	json, problem := header("Content-Type", "application/json; charset=utf-8", "ETag", etag), header("Content-Type", "application/problem+json")
	for name, test := range map[string]struct {
		request string
		status  int
		header  http.Header
		body    string
		want    string // empty: it is as promised
	}{
		"as promised":       {"GET /drafts", 200, json, drafts, ""},
		"no ETag":           {"GET /drafts", 200, header("Content-Type", "application/json"), drafts, "ETag"},
		"a weak ETag":       {"GET /drafts", 200, header("Content-Type", "application/json", "ETag", "W/"+etag), drafts, "ETag"},
		"another kind":      {"GET /drafts", 200, header("Content-Type", "text/html", "ETag", etag), drafts, "Content-Type"},
		"a key too many":    {"GET /drafts", 200, json, strings.Replace(drafts, `"count"`, `"total": 1, "count"`, 1), "total"},
		"a key too few":     {"GET /drafts", 200, json, strings.Replace(drafts, `"count": 1,`, "", 1), "count"},
		"no id":             {"GET /drafts", 200, json, strings.Replace(drafts, "draft_id", "id", 1), "draft_id"},
		"no time":           {"GET /drafts", 200, json, strings.Replace(drafts, "T03", " 03", 1), "date-time"},
		"no JSON":           {"GET /drafts", 200, json, "{", "decode"},
		"another status":    {"GET /drafts", 201, json, drafts, "does not promise"},
		"nothing new":       {"GET /drafts", 304, header("ETag", etag), "", ""},
		"no ETag at 304":    {"GET /drafts", 304, header(), "", "ETag"},
		"a body at 304":     {"GET /drafts", 304, header("ETag", etag), drafts, "body"},
		"gone":              {"DELETE /templates/0", 204, header(), "", ""},
		"no request id":     {"DELETE /templates/0", 204, http.Header{"Cache-Control": {"no-store"}}, "", "X-Request-Id"},
		"a problem":         {"GET /drafts/1", 404, problem, absent, ""},
		"an unlisted one":   {"GET /drafts", 404, problem, absent, ""},
		"an unknown slug":   {"GET /drafts/1", 404, problem, strings.Replace(absent, "not-found", "gone", 1), "enum"},
		"no advice":         {"GET /drafts/1", 404, problem, strings.Replace(absent, `"action": "a"`, `"action": ""`, 1), "minLength"},
		"no such route":     {"GET /x", 404, problem, absent, ""},
		"no such method":    {"PUT /drafts", 405, header("Content-Type", "application/problem+json", "Allow", "GET"), absent, ""},
		"no Allow":          {"PUT /drafts", 405, problem, absent, "Allow"},
		"Retry-After words": {"GET /drafts", 503, header("Content-Type", "application/problem+json", "Retry-After", "soon"), absent, "Retry-After"},
		"no Retry-After":    {"GET /drafts", 429, problem, absent, "Retry-After"},
		"no Location":       {"POST /drafts/latest/template", 201, header("Content-Type", "application/json"), `{"template_id": 0}`, "Location"},
		"success":           {"POST /wechat/callback", 200, header("Content-Type", "text/plain"), "success", ""},
		"no success":        {"POST /wechat/callback", 200, header("Content-Type", "text/plain"), "ok", "must be 'success'"},
		"null is open":      {"GET /accounts/wx0000000000000001/draft-switch", 200, header("Content-Type", "application/json"), `{"appid": "wx0000000000000001", "is_open": null, "state": "unknown", "by": "draft-switch", "checked_at": "2026-01-02T03:04:05Z"}`, ""},
		"text is open":      {"GET /accounts/wx0000000000000001/draft-switch", 200, header("Content-Type", "application/json"), `{"appid": "wx0000000000000001", "is_open": "1", "state": "unknown", "by": "draft-switch", "checked_at": "2026-01-02T03:04:05Z"}`, "is_open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(test.request, " ")
			err := CheckAnswer(t.Context(), method, path, test.status, test.header, test.body)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && err == nil:
				t.Error("it passes")
			case test.want != "" && !strings.Contains(err.Error(), test.want):
				t.Errorf("the error doesn't say %q: %v", test.want, err)
			}
		})
	}
}

func BenchmarkCheckAnswer(b *testing.B) {
	h := header("Content-Type", "application/json", "ETag", etag)
	for b.Loop() {
		if err := CheckAnswer(b.Context(), "GET", "/drafts", 200, h, drafts); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	doc, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
}
