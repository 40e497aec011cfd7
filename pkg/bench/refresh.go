package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/awstest"
)

const tokensFunction = module + "/functions/tokens"

// tokenStore is where the accounts' tokens stand, and how many writes of it AWS allows in a second.
type tokenStore struct {
	name, setting string
	writes        int
	put           func(aws *awstest.Server, appID, text string)
}

var secretsManager = tokenStore{"Secrets Manager", "secretsmanager", 50, func(aws *awstest.Server, appID, text string) {
	aws.SetSecret("wechat/draftbox/accounts/"+appID, text)
}}

var parameterStore = tokenStore{"SSM", "ssm", 40, func(aws *awstest.Server, appID, text string) {
	aws.SetSecureParameter("/wechat/draftbox/account-tokens/"+appID, text)
}}

// refresh measures refresh-tokens in one invocation, over accounts whose tokens are all due.
func refresh(ctx context.Context, b *bench, accounts int, store tokenStore, throttled bool) ([]row, error) {
	binary, err := b.binaries.build(ctx, tokensFunction)
	if err != nil {
		return nil, err
	}
	limit := b.latency * time.Duration(accounts) / inFlight
	what, options := "unthrottled", []awstest.Option(nil)
	if throttled {
		what = fmt.Sprintf("throttled to %d writes a second", store.writes)
		options = append(options, awstest.WithThrottling())
		limit = max(limit, time.Duration(accounts)*time.Second/time.Duration(store.writes))
	}
	w, err := newWorld(b.latency, 0, options...)
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.addAccounts(accounts, func(appID string) {
		keys := stored(w.wechat.IssueAccountToken(appID), 10*time.Minute)
		keys["refresh_token"] = refreshToken(appID)
		store.put(w.aws, appID, encode(keys))
	})
	instance, err := start(ctx, binary, append(w.env, "ACCOUNT_TOKEN_STORE="+store.setting)...)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	result, err := instance.Invoke(ctx, []byte(`{"task": "refresh-tokens"}`))
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	var told struct{ Refreshed int }
	if json.Unmarshal(result.Payload, &told); result.Error || told.Refreshed != accounts {
		return nil, fmt.Errorf("refresh: not all tokens were refreshed: %.500s", result.Payload)
	}
	memory, err := peakMemory(instance.PID())
	if err != nil {
		return nil, err
	}
	what = fmt.Sprintf("`refresh-tokens` of %d accounts in %s, %s", accounts, store.name, what)
	return []row{
		{what: what + ", from exec to result", format: "%.1f s", value: result.Duration.Seconds(),
			limit: limit.Seconds(), atMost: []float64{1.2}},
		{what: what + ", peak memory", format: "%.1f MB", value: memory, limit: 128, atMost: []float64{1}},
	}, nil
}
