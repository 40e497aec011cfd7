package eventbus_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/wechat"
)

func TestAccountChanges(t *testing.T) {
	t.Parallel()
	const appID = "wx0000000000000001"
	checked := time.Unix(1767323045, 0)
	account := func(status state.Status, draftSwitch wechat.SwitchState) state.Account {
		return state.Account{AppID: appID, Kind: wechat.OfficialAccount, Name: "Lantern Street", Status: status, StatusAt: 7,
			DraftSwitch: draftSwitch, CheckedAt: checked}
	}
	opened := `{"appid":"wx0000000000000001","from":"closed","to":"open"}`
	ended := `{"appid":"wx0000000000000001","kind":"official-account","name":"Lantern Street"}`
	for name, test := range map[string]struct {
		before, after state.Account
		want          []string
	}{
		"nothing":          {account(state.Authorized, wechat.SwitchClosed), account(state.Authorized, wechat.SwitchClosed), nil},
		"opened":           {account(state.Authorized, wechat.SwitchClosed), account(state.Authorized, wechat.SwitchOpen), []string{opened}},
		"not known before": {account(state.Authorized, wechat.SwitchUnknown), account(state.Authorized, wechat.SwitchOpen), nil},
		"ended":            {account(state.Authorized, wechat.SwitchOpen), account(state.Unauthorized, wechat.SwitchOpen), []string{ended}},
		"ended before":     {account(state.Unauthorized, wechat.SwitchOpen), account(state.Unauthorized, wechat.SwitchOpen), nil},
		"back again":       {account(state.Unauthorized, wechat.SwitchOpen), account(state.Authorized, wechat.SwitchOpen), nil},
		"both":             {account(state.Authorized, wechat.SwitchClosed), account(state.Unauthorized, wechat.SwitchOpen), []string{opened, ended}},
	} {
		var got []string
		for _, event := range eventbus.AccountChanges(test.before, test.after) {
			got = append(got, withoutID(t, event))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// withoutID is an event's detail but for its id, which has to be there.
func withoutID(t *testing.T, event eventbus.Event) string {
	t.Helper()
	encoded, err := json.Marshal(event.Detail)
	if err != nil {
		t.Fatal(err)
	}
	var detail map[string]any
	if json.Unmarshal(encoded, &detail) != nil || len(detail["id"].(string)) != 32 {
		t.Errorf("no id in %s", encoded)
	}
	delete(detail, "id")
	rest, _ := json.Marshal(detail) // it was JSON before
	return string(rest)
}

func TestStatusEvents(t *testing.T) {
	t.Parallel()
	unknown := state.NewAccount("wx0000000000000002")
	if got, want := withoutID(t, eventbus.Authorized(unknown, 5)), `{"appid":"wx0000000000000002","kind":null,"name":null}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ids := make(map[string]bool)
	for _, event := range []eventbus.Event{
		eventbus.Authorized(unknown, 5), eventbus.Authorized(unknown, 5), // the same push again
		eventbus.Authorized(unknown, 6), eventbus.AuthorizationEnded(unknown, 5),
	} {
		encoded, _ := json.Marshal(event.Detail)
		ids[string(encoded)] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids of three events", len(ids))
	}
}
