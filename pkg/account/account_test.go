package account_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/wechat"
)

const (
	appID = "wx0000000000000001"
	name  = "/test/accounts/" + appID
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func start(t *testing.T) (*awstest.Server, account.Records) {
	t.Helper()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	config := aws.Config(server.URL)
	config.RetryMaxAttempts = 1
	return aws, account.NewRecords(parameter.New(ssm.NewFromConfig(config), "/test"))
}

func opened(r *account.Record) { r.Found(wechat.SwitchOpen, at) }

func TestUpdateMakesARecord(t *testing.T) {
	t.Parallel()
	aws, records := start(t)
	if _, err := records.Get(t.Context(), appID); !awserror.Is(err, awserror.Missing) {
		t.Errorf("Get: %v", err)
	}
	before, after, err := records.Update(t.Context(), appID, opened)
	if err != nil || before.DraftSwitch != wechat.SwitchUnknown || after.DraftSwitch != wechat.SwitchOpen {
		t.Errorf("before %+v, after %+v, error %v", before, after, err)
	}
	got, _, _ := aws.Parameter(name)
	want := `{"appid":"` + appID + `","checked_at":"2026-01-02T03:04:05Z","draft_switch":"open","status":"authorized"}`
	if got != want {
		t.Errorf("stored %s", got)
	}
	read, err := records.Get(t.Context(), appID)
	if diff := cmp.Diff(after, read, cmpopts.IgnoreUnexported(account.Record{})); diff != "" || err != nil {
		t.Errorf("error %v, read (-want +got):\n%s", err, diff)
	}
}

func TestUpdateKeepsForeignKeysAndDropsOldOnes(t *testing.T) {
	t.Parallel()
	aws, records := start(t)
	aws.SetParameter(name, `{"appid": "`+appID+`", "status": "authorized", "errcode": 61007, "note": {"a": [1, 2.50]}, "draft_switch": "closed"}`)
	if _, _, err := records.Update(t.Context(), appID, opened); err != nil {
		t.Fatal(err)
	}
	got, _, _ := aws.Parameter(name)
	want := `{"appid":"` + appID + `","checked_at":"2026-01-02T03:04:05Z","draft_switch":"open","note":{"a":[1,2.50]},"status":"authorized"}`
	if got != want {
		t.Errorf("stored %s", got)
	}
}

func TestUpdateWritesWhatIsWorthIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*account.Record)
		worth  bool
	}{
		"nothing":         {func(*account.Record) {}, false},
		"the same state":  {func(r *account.Record) { r.Found(wechat.SwitchClosed, at.Add(7*24*time.Hour)) }, false},
		"after a week":    {func(r *account.Record) { r.Found(wechat.SwitchClosed, at.Add(7*24*time.Hour+time.Second)) }, true},
		"no state":        {func(r *account.Record) { r.Found(wechat.SwitchUnknown, at.Add(time.Hour)) }, false},
		"another state":   {opened, true},
		"a refusal":       {func(r *account.Record) { r.Refused(61007, at) }, true},
		"another status":  {func(r *account.Record) { r.Status = account.Unauthorized }, true},
		"a newer push":    {func(r *account.Record) { r.StatusAt++ }, true},
		"an older check ": {func(r *account.Record) { r.Found(wechat.SwitchClosed, at.Add(-30*24*time.Hour)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws, records := start(t)
			aws.SetParameter("/test/accounts/"+appID, `{"status": "authorized", "draft_switch": "closed", "checked_at": "2026-01-02T03:04:05Z"}`)
			read, err := records.Get(t.Context(), appID)
			if err != nil {
				t.Fatal(err)
			}
			if got := read.WorthWriting(test.change); got != test.worth {
				t.Errorf("WorthWriting: %v", got)
			}
			if _, _, err := records.Update(t.Context(), appID, test.change); err != nil {
				t.Fatal(err)
			}
			if got := aws.Calls("ssm:PutParameter") == 1; got != test.worth {
				t.Errorf("written: %v", got)
			}
		})
	}
	if !account.New(appID).WorthWriting(func(*account.Record) {}) {
		t.Error("a record that isn't there is not worth a write")
	}
}

// pushed is what a push of that time changes.
func pushed(status account.Status, at int64) func(*account.Record) {
	return func(r *account.Record) {
		if r.StatusAt <= at {
			r.Status, r.StatusAt = status, at
		}
	}
}

// Writers of different things at once all win.
func TestUpdateBesideOthers(t *testing.T) {
	t.Parallel()
	for name, recorded := range map[string]bool{"a new record": false, "a known one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 20 {
				aws, records := start(t)
				if recorded {
					aws.SetParameter("/test/accounts/"+appID, `{"status": "authorized", "draft_switch": "closed"}`)
				}
				var writers sync.WaitGroup
				for _, change := range []func(*account.Record){opened, pushed(account.Authorized, 41), pushed(account.Unauthorized, 42)} {
					writers.Go(func() {
						if _, _, err := records.Update(t.Context(), appID, change); err != nil {
							t.Error(err)
						}
					})
				}
				writers.Wait()
				got, err := records.Get(t.Context(), appID)
				if err != nil || got.DraftSwitch != wechat.SwitchOpen || got.StatusAt != 42 || got.Status != account.Unauthorized {
					t.Fatalf("record %+v, error %v", got, err)
				}
			}
		})
	}
}

func TestUpdateWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	aws, records := start(t)
	aws.SetParameter(name, `{"status": "authorized", "draft_switch": "closed"}`)
	read, _ := records.Get(t.Context(), appID)
	aws.Fail("ssm:PutParameter", awstest.DropAfter())
	if _, _, err := records.Write(t.Context(), read, opened); !awserror.Is(err, awserror.Unavailable) {
		t.Fatalf("error %v", err)
	}
	if _, _, err := records.Write(t.Context(), read, opened); err != nil {
		t.Fatal(err)
	}
	if _, version, _ := aws.Parameter(name); version != 3 {
		t.Errorf("version %d: one write that was lost, one that was repeated", version)
	}
}

func TestErrorsOfUpdate(t *testing.T) {
	t.Parallel()
	aws, records := start(t)
	for _, text := range []string{"not JSON", "[]", "null", `"` + appID + `"`, `{"status_at": "yesterday"}`, `{"checked_at": 5}`} {
		aws.SetParameter(name, text)
		var malformed *awserror.Malformed
		_, _, err := records.Update(t.Context(), appID, opened)
		if !errors.As(err, &malformed) || malformed.Resource != name {
			t.Errorf("%s: error %v", text, err)
		}
		if got, _, _ := aws.Parameter(name); got != text {
			t.Errorf("%s was overwritten", text)
		}
	}
	aws.SetParameter(name, `{}`)
	for _, op := range []string{"ssm:GetParameter", "ssm:PutParameter"} {
		aws.Fail(op, awstest.Deny())
		if _, _, err := records.Update(t.Context(), appID, opened); !awserror.Is(err, awserror.Refused) {
			t.Errorf("%s: error %v", op, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := records.Update(ctx, appID, opened); !awserror.Is(err, awserror.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestFoundAndRefused(t *testing.T) {
	t.Parallel()
	r := account.New(appID)
	r.StatusAt = at.Unix()
	r.Refused(61007, at)
	if r.Status != account.Authorized || r.Errcode != 61007 || r.DraftSwitch != wechat.SwitchUnknown || !r.CheckedAt.Equal(at) {
		t.Errorf("refused: %+v", r)
	}
	r.Found(wechat.SwitchOpen, at.Add(time.Hour))
	if r.Errcode != 0 || r.DraftSwitch != wechat.SwitchOpen {
		t.Errorf("found open: %+v", r)
	}
	r.Found(wechat.SwitchClosed, at)
	if r.DraftSwitch != wechat.SwitchOpen {
		t.Errorf("a check from before the opening closed it: %+v", r)
	}
	r.Refused(61003, at.Add(-time.Second))
	if r.Status != account.Authorized {
		t.Errorf("a refusal from before the authorisation ended it: %+v", r)
	}
	r.Refused(61003, at)
	if r.Status != account.Unauthorized || r.StatusAt != at.Unix() || r.DraftSwitch != wechat.SwitchOpen {
		t.Errorf("61003: %+v", r)
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	record := func(status account.Status, state wechat.SwitchState) account.Record {
		return account.Record{AppID: appID, Status: status, DraftSwitch: state, CheckedAt: at, StatusAt: 42}
	}
	in, out := account.Authorized, account.Unauthorized
	for _, test := range []struct {
		before, after account.Record
		want          []string
	}{
		{record(in, wechat.SwitchClosed), record(in, wechat.SwitchClosed), nil},
		{record(in, wechat.SwitchClosed), record(in, wechat.SwitchOpen), []string{eventbus.DraftSwitchChanged}},
		{record(in, wechat.SwitchOpen), record(in, wechat.SwitchClosed), []string{eventbus.DraftSwitchChanged}},
		{record(in, wechat.SwitchUnknown), record(in, wechat.SwitchOpen), nil},
		{record(in, wechat.SwitchUnknown), record(in, wechat.SwitchClosed), nil},
		{record(in, wechat.SwitchUnknown), record(out, wechat.SwitchUnknown), []string{eventbus.AccountUnauthorized}},
		{record(out, wechat.SwitchUnknown), record(in, wechat.SwitchUnknown), nil},
	} {
		var got []string
		ids := make(map[string]bool)
		for range 2 {
			got = nil
			for _, e := range test.before.Changes(test.after) {
				got = append(got, e.DetailType)
				text, _ := json.Marshal(e.Detail)
				ids[string(text)] = true
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" || len(ids) != len(test.want) {
			t.Errorf("%+v to %+v (-want +got):\n%s\n%v", test.before, test.after, diff, ids)
		}
	}
	// Another change of the same account has another id.
	later := record(in, wechat.SwitchClosed)
	later.CheckedAt = at.Add(time.Hour)
	open := record(in, wechat.SwitchOpen)
	if cmp.Equal(record(in, wechat.SwitchClosed).Changes(open), later.Changes(open)) {
		t.Error("two changes have the same id")
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	aws, records := start(t)
	for i := range 23 {
		aws.SetParameter(fmt.Sprintf("/test/accounts/wx%016d", i), `{"appid": "wxsomebodyelse0000", "draft_switch": "weird", "status": "weird"}`)
	}
	aws.SetParameter("/test/accounts/wx0000000000000005", "not JSON")
	aws.SetParameter("/test/accounts/deeper/wx0000000000000099", "{}")
	seen, lost := make(map[string]bool), 0
	for next := ""; ; {
		page, after, unreadable, err := records.Page(t.Context(), next, 10)
		if err != nil {
			t.Fatal(err)
		}
		lost += unreadable
		for _, r := range page {
			if r.Status != account.Authorized || r.DraftSwitch != wechat.SwitchUnknown {
				t.Errorf("%+v", r)
			}
			seen[r.AppID] = true
		}
		if next = after; next == "" {
			break
		}
	}
	if len(seen) != 22 || lost != 1 || !seen["wx0000000000000022"] {
		t.Errorf("%d records, %d lost", len(seen), lost)
	}
}
