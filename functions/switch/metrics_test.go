package main

import (
	"testing"

	"wechat-draftbox/pkg/functiontest"
	"wechat-draftbox/pkg/wechattest"
)

func TestMetricsAreThoseThatAreWatched(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	id := appIDs(world, 1, false)[0]
	f := world.Start(wire)
	runSurvey(t, f)
	world.WeChat.Fail(wechattest.PathSwitch, wechattest.Refuse(40164), wechattest.Refuse(45011))
	for range 2 {
		f.HTTP(t.Context(), "GET", "/accounts/"+id+"/draft-switch", "")
	}
	world.WantWatched()
}

func TestAccountsAreCountedByWhatIsKnownOfThem(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 6, false)
	record(world, ids[0], `"status": "authorized", "draft_switch": "open"`)
	record(world, ids[1], `"status": "authorized", "draft_switch": "closed"`)
	record(world, ids[2], `"status": "authorized", "draft_switch": "closed"`)
	runSurvey(t, world.Start(wire))
	if lines := world.Log.Lines(`"AccountsClosed":[2],"AccountsOpen":[1],"AccountsUnknown":[3]`); len(lines) != 1 {
		t.Errorf("got %q", world.Log.Lines("AccountsOpen"))
	}
}
