package main

import (
	"testing"

	"wechat-draftbox/pkg/functiontest"
)

func TestList(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StoreComponentToken()
	drafts := world.Start(wire)
	got := drafts.HTTP(t.Context(), "GET", "/drafts", "")
	t.Log(got)
}
