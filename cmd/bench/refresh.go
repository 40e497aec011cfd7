package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
)

const tokensFunction = module + "/functions/tokens"

// tokenStore is where the accounts' tokens are stored.
type tokenStore struct {
	name, setting string
	writes        int // AWS's limit per second
	put           func(aws *awstest.Server, appID string, record map[string]string)
}

var secretsManager = tokenStore{"Secrets Manager", "secretsmanager", 50, func(aws *awstest.Server, appID string, record map[string]string) {
	aws.SetSecret("wechat/draftbox/accounts/"+appID, encode(record))
}}

var dynamoDB = tokenStore{"DynamoDB", "dynamodb", 4000, func(aws *awstest.Server, appID string, record map[string]string) {
	item := map[string]any{"appid": appID}
	for key, value := range record {
		item[key] = value
	}
	aws.SetItem(tokenTable, item)
}}

// refresh measures one invocation of refresh-tokens over accounts whose tokens are all due.
func refresh(ctx context.Context, b *bench, accounts int, store tokenStore) ([]row, error) {
	w, err := newWorld(b.latency, 0, awstest.WithThrottling())
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.addAccounts(accounts, store, 10*time.Minute)
	var told struct{ Refreshed int }
	r, err := w.task(ctx, b, tokensFunction, "refresh-tokens", store, &told)
	if err != nil {
		return nil, err
	}
	if told.Refreshed != accounts {
		return nil, fmt.Errorf("refresh: not all tokens were refreshed: %.500s", r.payload)
	}
	limit := max(b.latency*time.Duration(accounts)/inFlight, time.Duration(accounts)*time.Second/time.Duration(store.writes))
	what := fmt.Sprintf("`refresh-tokens` of %d accounts in %s", accounts, store.name)
	return r.rows(what, limit, 1.1), nil
}

// run is the cost of one invocation of a task.
type run struct {
	payload []byte
	took    time.Duration
	memory  float64 // peak, in MB
}

// task runs a task in a new instance of a function and decodes its result.
func (w *world) task(ctx context.Context, b *bench, function, task string, store tokenStore, result any) (run, error) {
	binary, err := b.binaries.build(ctx, function)
	if err != nil {
		return run{}, err
	}
	instance, err := start(ctx, binary, append(w.env, "ACCOUNT_TOKEN_STORE="+store.setting)...)
	if err != nil {
		return run{}, err
	}
	defer instance.Close()
	invoked, err := instance.Invoke(ctx, fmt.Appendf(nil, `{"task": %q}`, task))
	if err != nil {
		return run{}, fmt.Errorf("%s: %w", task, err)
	}
	if err := json.Unmarshal(invoked.Payload, result); err != nil || invoked.Error {
		return run{}, fmt.Errorf("%s: %.500s", task, invoked.Payload)
	}
	memory, err := peakMemory(instance.PID())
	return run{invoked.Payload, invoked.Duration, memory}, err
}

// rows compares the run's time with a limit and its memory with that of a small Lambda.
func (r run) rows(what string, limit time.Duration, most float64) []row {
	return []row{
		within(what+", from exec to result", "%.1f s", r.took.Seconds(), limit.Seconds(), most),
		{what: what + ", peak memory", format: "%.1f MB", value: r.memory, atMost: 128, exact: true},
	}
}
