package main

import (
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
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
	if _, err := f.Invoke(t.Context(), `{}`); err == nil {
		t.Error("an event of no trigger was taken")
	}
	world.WantWatched()
}

func TestAccountsAreCountedByWhatIsKnownOfThem(t *testing.T) {
	t.Parallel()
	world := functiontest.New(t)
	ids := appIDs(world, 6, false)
	world.SetAccount(ids[0], fields{"status": "authorized", "draft_switch": "open"})
	world.SetAccount(ids[1], fields{"status": "authorized", "draft_switch": "closed"})
	world.SetAccount(ids[2], fields{"status": "authorized", "draft_switch": "closed"})
	runSurvey(t, world.Start(wire))
	if lines := world.Log.Lines(`"AccountsClosed":[2],"AccountsOpen":[1],"AccountsUnknown":[3]`); len(lines) != 1 {
		t.Errorf("got %q", world.Log.Lines("AccountsOpen"))
	}
}
