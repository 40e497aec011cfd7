package soak

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

// problems lists what is wrong; it is empty if the bundle works as if there had been no outage.
func (w *world) problems() []string {
	var problems []string
	note := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, owner := range slices.Concat([]string{"", wechattest.ExampleOwn}, w.authorizers()) {
		if !w.isLive(owner) {
			note("the token stored for %q is not accepted", owner)
		}
	}
	for _, appID := range w.authorized {
		if account, _ := w.aws.Item(stateTable, "account", appID); account["status"] != "authorized" {
			note("%s is not recorded as authorized: %v", appID, account["status"])
		}
		if n := w.count("Account Authorized", appID); n != 1 {
			note("Account Authorized of %s was published %d times", appID, n)
		}
	}
	w.mu.Lock()
	if len(w.failed) > 0 {
		note("the last refresh-tokens failed for %v", w.failed)
	}
	w.mu.Unlock()
	for _, appID := range w.authorizers() {
		if got := w.http("switch", "GET", "/accounts/"+appID+"/draft-switch", "", ""); got.StatusCode != 200 {
			note("the switch of %s is answered with %d %s", appID, got.StatusCode, got.Body)
		}
	}
	if got := w.http("drafts", "GET", "/drafts", "fresh=true", ""); got.StatusCode != 200 {
		note("the drafts are answered with %d %s", got.StatusCode, got.Body)
	}
	if missing := w.unpublished(); missing > 0 {
		note("%d uploads were not published", missing)
	}
	for i, what := range []string{"authorizations", "checks"} {
		if letters := w.aws.Messages(w.letters[i]); len(letters) > 0 {
			note("%d %s are dead letters", len(letters), what)
		}
	}
	for _, m := range w.aws.Messages(w.queues[0].url) {
		note("an authorization waits, received %d times, until %v", m.Received, m.Visible.UTC().Format(time.TimeOnly))
	}
	return problems
}

// isLive reports whether the stored token is unexpired and accepted by WeChat.
func (w *world) isLive(owner string) bool {
	name := "component-token"
	if owner != "" {
		name = "accounts/" + owner
	}
	text, _, _ := w.aws.Secret(secrets + name)
	var record struct {
		AccessToken string    `json:"access_token"`
		ExpiresAt   time.Time `json:"expires_at"`
	}
	json.Unmarshal([]byte(text), &record) // what can't be read isn't live
	_, _, superseded, issued := w.wechat.TokenState(record.AccessToken)
	return issued && !superseded && time.Now().Before(record.ExpiresAt)
}

// count returns how many distinct events of an account were published.
func (w *world) count(kind, appID string) int {
	ids := make(map[any]bool)
	for _, detail := range w.events(kind) {
		if detail["appid"] == appID {
			ids[detail["id"]] = true
		}
	}
	return len(ids)
}

// unpublished counts the uploads that a watch should have published by now.
func (w *world) unpublished() (n int) {
	published := make(map[float64]bool)
	for _, detail := range w.events("Draft Uploaded") {
		if draft, ok := detail["draft"].(map[string]any); ok {
			id, _ := draft["draft_id"].(float64)
			published[id] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, at := range w.uploads {
		if time.Since(at) > 6*time.Minute && !published[float64(id)] {
			n++
		}
	}
	return n
}
