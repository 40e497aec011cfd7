package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/wechattest"
)

const (
	surveyFunction = module + "/functions/switch"
	inFlight       = 20 // how many checks the upstream's latency is shared by
)

// survey measures check-switches in one invocation, over accounts that are all known to be closed, and are.
func survey(ctx context.Context, b *bench, accounts int) ([]row, error) {
	binary, err := b.binaries.build(ctx, surveyFunction)
	if err != nil {
		return nil, err
	}
	w, err := newWorld(b.latency, 0, awstest.WithThrottling())
	if err != nil {
		return nil, err
	}
	defer w.close()
	checked := time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
	w.addAccounts(accounts, func(appID string) {
		w.aws.SetSecret("wechat/draftbox/accounts/"+appID, encode(stored(w.wechat.IssueAccountToken(appID), 2*time.Hour)))
		w.aws.SetParameter("/wechat/draftbox/accounts/"+appID, fmt.Sprintf(
			`{"appid":%q,"status":"authorized","draft_switch":"closed","checked_at":%q}`, appID, checked))
	})
	instance, err := start(ctx, binary, w.env...)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	result, err := instance.Invoke(ctx, []byte(`{"task": "check-switches"}`))
	if err != nil {
		return nil, fmt.Errorf("survey: %w", err)
	}
	var told struct{ Checked int }
	if json.Unmarshal(result.Payload, &told); result.Error || told.Checked != accounts {
		return nil, fmt.Errorf("survey: not all accounts were checked: %.500s", result.Payload)
	}
	memory, err := peakMemory(instance.PID())
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("`check-switches` over %d accounts, nothing changed", accounts)
	return []row{
		{what: what + ", from exec to result", format: "%.1f s", value: result.Duration.Seconds(),
			limit: (b.latency * time.Duration(accounts) / inFlight).Seconds(), atMost: []float64{1.05}},
		{what: what + ", peak memory", format: "%.1f MB", value: memory, limit: 128, atMost: []float64{1}},
		{what: what + ", writes of parameters", format: "%.0f", value: float64(w.aws.Calls("ssm:PutParameter"))},
	}, nil
}

// addAccounts adds authorised accounts with a closed switch, and has each of them stored.
func (w *world) addAccounts(n int, store func(appID string)) {
	for i := range n {
		appID := fmt.Sprintf("wx%016x", i)
		w.wechat.AddAccount(wechattest.Account{AppID: appID, Authorized: true, Granted: true, RefreshToken: refreshToken(appID)})
		store(appID)
	}
}

func refreshToken(appID string) string { return "refresh-" + appID }
