package main

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
	"wechat-draftbox/pkg/trigger"
)

func TestTheListIsKeptForAWhile(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	ask := func(query, cacheControl string, calls int) {
		t.Helper()
		r := drafts.HTTP(t.Context(), "GET", "/drafts"+query, "")
		ids(t, r)
		got := r.Header["Cache-Control"] // the world's clock goes on by itself
		if matched, err := regexp.MatchString("^"+cacheControl+"$", got); !matched || err != nil {
			t.Errorf("Cache-Control is %q, want %q", got, cacheControl)
		}
		if got := world.WeChat.Calls(""); got != calls {
			t.Errorf("%d calls of WeChat, want %d", got, calls)
		}
	}
	ask("", ".*", 1)
	ask("?order=asc", ".*", 1)
	world.Clock.Forward(20 * time.Second)
	ask("", "private, max-age=[1-9]", 1)
	ask("?fresh=true", "private, no-cache", 2)
	world.Clock.Forward(20 * time.Second)
	ask("?fresh=false", "private, max-age=[1-9]", 2) // the fresh one is cached too
	world.Clock.Forward(10 * time.Second)
	ask("", ".*", 3)
	world.Clock.Forward(-time.Hour) // a clock set right
	ask("", ".*", 4)
	if n := world.AWS.Calls(readSecret); n > 2 { // the clock went back for it too
		t.Errorf("%d reads of the secret", n)
	}
}

func TestAFreezeEndsTheListsTime(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StoreComponentToken()
	now := time.Now()
	drafts := world.Start(func(parts bootstrap.Deps) trigger.Router {
		parts.Now = func() time.Time { return now }
		return wire(parts)
	})
	ids(t, drafts.HTTP(t.Context(), "GET", "/drafts", ""))
	now = functiontest.Frozen(now, time.Minute)
	ids(t, drafts.HTTP(t.Context(), "GET", "/drafts", ""))
	if n := world.WeChat.Calls(""); n != 2 {
		t.Errorf("%d calls of WeChat: the list was kept past its time", n)
	}
}

func TestNoCache(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StoreComponentToken()
	world.Env["DRAFT_CACHE_TTL"] = "0s"
	drafts := world.Start(wire)
	for calls := range 3 {
		r := drafts.HTTP(t.Context(), "GET", "/drafts", "")
		ids(t, r)
		if r.Header["Cache-Control"] != "private, no-cache" || r.Header["ETag"] == "" || world.WeChat.Calls("") != calls+1 {
			t.Errorf("%v after %d calls", r.Header, world.WeChat.Calls(""))
		}
	}
	if n := world.AWS.Calls(readSecret); n != 1 {
		t.Errorf("%d reads of the secret", n)
	}
}

func TestAThousandRequestsShareOneFetch(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"list", "list-fresh"} {
		event, err := os.ReadFile("../../events/drafts/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		world, drafts := start(t)
		fetched := make(chan struct{})
		world.WeChat.Fail(wechattest.PathDraftList, wechattest.Rewrite(func(body []byte) []byte {
			<-fetched
			return body
		}))
		var requests, started sync.WaitGroup
		started.Add(1000)
		for range 1000 {
			requests.Go(func() {
				started.Done()
				result, err := drafts.Invoke(t.Context(), json.RawMessage(event))
				if err != nil || !strings.Contains(string(result), `\"count\":2`) {
					t.Errorf("%s, %v", result, err)
				}
			})
		}
		started.Wait()
		time.Sleep(200 * time.Millisecond) // the last of them are on their way to the fetch
		close(fetched)
		requests.Wait()
		if world.WeChat.Calls("") != 1 || world.AWS.Calls("") != 1 {
			t.Errorf("%s: %d calls of WeChat, %d of AWS", name, world.WeChat.Calls(""), world.AWS.Calls(""))
		}
	}
}

func TestARequestThatWaitsGivesUpOnItsOwnDeadline(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	world.WeChat.Fail(wechattest.PathDraftList, wechattest.Pass().Delayed(3*time.Second))
	var first sync.WaitGroup
	first.Go(func() { ids(t, drafts.HTTP(t.Context(), "GET", "/drafts", "")) })
	for world.WeChat.Calls("") == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	r := drafts.HTTP(ctx, "GET", "/drafts", "")
	if slug, _ := r.Problem(t); slug != "wechat-timeout" || time.Since(began) > 2500*time.Millisecond {
		t.Errorf("after %v: %s", time.Since(began), r.Body)
	}
	first.Wait()
}

// TestADraftThatTheCachedListLacks: a draft newer than the cached list is found, but the list is fetched at most every
// three seconds.
func TestADraftThatTheCachedListLacks(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	get := func(path string, status, calls int) {
		t.Helper()
		if r := drafts.HTTP(t.Context(), "GET", path, ""); r.Status != status {
			t.Errorf("%s: %d %s", path, r.Status, r.Body)
		}
		if n := world.WeChat.Calls(""); n != calls {
			t.Errorf("%s: %d calls of WeChat, want %d", path, n, calls)
		}
	}
	get("/drafts/7", 404, 1)
	world.WeChat.UploadDraft(wechattest.Draft{DraftID: 7, SourceMiniProgramAppID: "wx7"})
	get("/drafts/7", 404, 1)
	world.Clock.Forward(minListAge)
	get("/drafts/7", 200, 2)
	for range 50 {
		get("/drafts/999", 404, 2)
		get("/drafts?fresh=true", 200, 2)
	}
	world.Clock.Forward(minListAge)
	get("/drafts/999", 404, 3)
}

// TestUsedUpQuota: after 45009 nothing calls WeChat before midnight in Beijing, and the last list is returned
// meanwhile.
func TestUsedUpQuota(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	world.WeChat.Fail("", wechattest.Refuse(45009))
	if r := drafts.HTTP(t.Context(), "GET", "/drafts", ""); r.Status != 429 || r.Header["Retry-After"] == "" {
		t.Errorf("without a list: %d %v", r.Status, r.Header)
	}
	if r := drafts.HTTP(t.Context(), "GET", "/drafts", ""); r.Status != 429 || world.WeChat.Calls("") != 1 {
		t.Errorf("%d, %d calls", r.Status, world.WeChat.Calls(""))
	}
	world.Clock.Forward(24 * time.Hour)
	world.StoreComponentToken()
	ids(t, drafts.HTTP(t.Context(), "GET", "/drafts", ""))

	world.WeChat.Fail("", wechattest.Refuse(45009))
	world.Clock.Forward(time.Minute)
	for _, path := range []string{"/drafts", "/drafts?fresh=true", "/drafts/4", "/drafts?limit=1"} {
		r := drafts.HTTP(t.Context(), "GET", path, "")
		if r.Status != 200 || r.Header["Cache-Control"] != "private, no-cache" || r.Header["Age"] != "60" || world.WeChat.Calls("") != 3 {
			t.Errorf("%s: %d %v, %d calls", path, r.Status, r.Header, world.WeChat.Calls(""))
		}
	}
	if _, err := drafts.Invoke(t.Context(), map[string]string{"task": watchTask}); err == nil || world.WeChat.Calls("") != 3 {
		t.Errorf("a watch: %v, %d calls", err, world.WeChat.Calls(""))
	}
	world.Clock.Forward(24 * time.Hour)
	world.StoreComponentToken()
	if r := drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", ""); r.Status != 200 || world.WeChat.Calls("") != 4 {
		t.Errorf("the next day: %d, %d calls", r.Status, world.WeChat.Calls(""))
	}
}
