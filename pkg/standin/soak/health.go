package soak

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"wechat-draftbox/pkg/standin/wechattest"
)

// sick is what isn't well: nothing, where the bundle works as if there had been no outage.
func (w *world) sick() []string {
	var sick []string
	note := func(format string, args ...any) { sick = append(sick, fmt.Sprintf(format, args...)) }
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
	return sick
}

// isLive reports whether WeChat still accepts the token that is stored, which hasn't ended either.
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

// count is how often an event of an account was published, a repeat of it not counted.
func (w *world) count(kind, appID string) int {
	ids := make(map[any]bool)
	for _, detail := range w.events(kind) {
		if detail["appid"] == appID {
			ids[detail["id"]] = true
		}
	}
	return len(ids)
}

// unpublished is how many uploads were not published that a watch should have seen.
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
