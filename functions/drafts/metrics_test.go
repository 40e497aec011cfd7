package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	world, drafts := start(t)
	for range 2 { // the second is from the cache
		drafts.HTTP(t.Context(), "GET", "/drafts", "")
	}
	world.WeChat.Fail(wechattest.PathDraftList, wechattest.Refuse(61004), wechattest.Refuse(45009))
	for range 2 {
		world.Clock.Forward(minListAge)
		drafts.HTTP(t.Context(), "GET", "/drafts?fresh=true", "")
	}
	if _, err := drafts.Invoke(t.Context(), `{}`); err == nil {
		t.Error("an event of no trigger was taken")
	}
	world.WantWatched()
}
