package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestServeChart(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	Handle(mux, nil)
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		text               string
	}{
		"accounts":         {"POST", "accounts?language=en", `{"accounts": [{"kind": "mini-program", "status": "authorized", "count": 3}]}`, 200, "authorised <b>3</b>"},
		"in Chinese":       {"POST", "accounts?language=zh", `{"accounts": [{"kind": "mini-program", "status": "authorized", "count": 3}], "more": true}`, 200, "还有更多"},
		"another language": {"POST", "accounts?language=fr", `{}`, 200, "No accounts"},
		"tokens":           {"POST", "tokens", `{"tokens": [{"appid": "", "kind": null, "name": null, "expires_at": null, "fetched_at": null, "wait_until": null, "errcode": null}]}`, 200, "Platform"},
		"history":          {"POST", "history", `{"drafts": [{"draft": {"draft_id": 4, "category_list": []}, "seen_at": "2026-01-02T03:04:05Z", "gone_at": null, "replaced_by": null, "template_ids": []}]}`, 200, "#4"},
		"calls":            {"POST", "calls", `{"calls": []}`, 200, "No calls"},
		"no such chart":    {"POST", "weather", `{}`, 404, "no chart"},
		"no JSON":          {"POST", "calls", `<svg>`, 400, "can't be read"},
		"no POST":          {"GET", "calls", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(test.method, "/_local/charts/"+test.path, strings.NewReader(test.body)))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.text) {
				t.Errorf("%d %s, want %d and %q", w.Code, w.Body, test.status, test.text)
			}
			if policy := w.Header().Get("Content-Security-Policy"); test.status == 200 && policy != ContentPolicy {
				t.Errorf("Content-Security-Policy: %q", policy)
			}
		})
	}
}
