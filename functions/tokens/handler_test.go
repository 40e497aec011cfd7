package main

import (
	"testing"

	"wechat-draftbox/pkg/functiontest"
)

func TestSmoke(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	world.StorePlatform()
	f := world.Start(wire)
	for _, task := range []string{"refresh-tokens", "x"} {
		if task == "x" {
			world.AWS.SetSecureParameter("/wechat/draftbox/component-verify-ticket", `{"ticket":"`+world.WeChat.NewTicket()+`","create_time":1}`)
			task = "refresh-tokens"
		}
		got, err := f.Invoke(t.Context(), map[string]string{"task": task})
		t.Log(string(got), err)
	}
	for _, task := range []string{"import-accounts", "refresh-tokens", "refresh-tokens", "import-accounts"} {
		got, err := f.Invoke(t.Context(), map[string]string{"task": task})
		t.Log(string(got), err)
	}
	got, err := f.Invoke(t.Context(), map[string]string{"task": "move-account-tokens", "to": "ssm"})
	t.Log(string(got), err)
	got, err = f.Invoke(t.Context(), map[string]string{"task": "move-account-tokens", "to": "ssm"})
	t.Log(string(got), err)
	for name := range world.AWS.Parameters("/") {
		t.Log(name)
	}
	t.Log(world.AWS.Events())
}
