package main

import (
	"testing"

	"wechat-draftbox/pkg/functiontest"
	"wechat-draftbox/pkg/wechattest"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StoreAccountToken(wechattest.ExampleClosed)
	world.Env["OPENABLE_ACCOUNTS"] = wechattest.ExampleClosed
	f := world.Start(wire)
	t.Log(f.HTTP(t.Context(), "GET", "/accounts/wx0000000000000001/draft-switch", ""))
	t.Log(f.HTTP(t.Context(), "POST", "/accounts/wx0000000000000001/draft-switch", ""))
	t.Log(f.HTTP(t.Context(), "POST", "/accounts/wx0000000000000001/draft-switch", `{"confirm":"wx0000000000000001"}`))
	t.Log(f.HTTP(t.Context(), "POST", "/accounts/wx0000000000000001/draft-switch", `{"confirm":"wx0000000000000001"}`))
	t.Log(f.HTTP(t.Context(), "GET", "/accounts/wx0000000000000009/draft-switch", ``))
	t.Log(world.Log.Lines("audit"), world.AWS.Events(), world.AWS.Parameters("/"))
}
