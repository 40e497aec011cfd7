package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/wechattest"
)

func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	world, templates := start(t)
	world.WeChat.Fail(wechattest.PathTemplateList, wechattest.Refuse(61004), wechattest.Refuse(45009))
	for range 3 {
		templates.HTTP(t.Context(), "GET", "/templates", "")
	}
	if _, err := templates.Invoke(t.Context(), `{}`); err == nil {
		t.Error("an event of no trigger was taken")
	}
	world.WantWatched()
}
