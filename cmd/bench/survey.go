package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	switchFunction = module + "/functions/switch"
	inFlight       = 20 // concurrent calls to the upstream
)

// survey measures one invocation of check-switches over accounts whose switches are known to be closed and still are.
func survey(ctx context.Context, b *bench, accounts int) ([]row, error) {
	w, err := newWorld(b.latency, 0, awstest.WithThrottling())
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.addAccounts(accounts, dynamoDB, 2*time.Hour)
	var result struct{ Checked int }
	r, err := w.task(ctx, b, switchFunction, "check-switches", dynamoDB, &result)
	if err != nil {
		return nil, err
	}
	if result.Checked != accounts {
		return nil, fmt.Errorf("survey: not all accounts were checked: %.500s", r.payload)
	}
	what := fmt.Sprintf("`check-switches` over %d accounts, nothing changed, tokens in DynamoDB", accounts)
	return append(r.rows(what, b.latency*time.Duration(accounts)/inFlight, 1.05),
		atMost(what+", writes", w.writes(), 0)), nil
}

// accountPage counts the DynamoDB calls of the largest page of GET /accounts.
func accountPage(ctx context.Context, b *bench, accounts int) ([]row, error) {
	w, err := newWorld(0, 0, awstest.WithThrottling())
	if err != nil {
		return nil, err
	}
	defer w.close()
	w.addAccounts(accounts, dynamoDB, 2*time.Hour)
	binary, err := b.binaries.build(ctx, switchFunction)
	if err != nil {
		return nil, err
	}
	instance, err := start(ctx, binary, w.env...)
	if err != nil {
		return nil, err
	}
	defer instance.Close()
	response, err := instance.Invoke(ctx, []byte(`{"version": "2.0", "routeKey": "GET /accounts", "rawPath": "/accounts", "rawQueryString": "limit=1000",
  "queryStringParameters": {"limit": "1000"}, "headers": {}, "requestContext": {"http": {"method": "GET", "path": "/accounts"}}}`))
	if err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	var answer struct{ Body string }
	var page struct{ Accounts []struct{} }
	if json.Unmarshal(response.Payload, &answer) != nil || json.Unmarshal([]byte(answer.Body), &page) != nil || len(page.Accounts) != min(accounts, 1000) {
		return nil, fmt.Errorf("list the accounts: %.500s", response.Payload)
	}
	what := fmt.Sprintf("`GET /accounts?limit=1000` among %d", accounts)
	return []row{
		atMost(what+", Queries", w.aws.Calls("dynamodb:Query"), 1),
		atMost(what+", all calls of AWS", w.aws.Calls(""), 1),
	}, nil
}

// addAccounts adds authorised Official Accounts with a closed switch that was checked a day ago, and stores their
// tokens.
func (w *world) addAccounts(n int, store tokenStore, life time.Duration) {
	checked := time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339)
	for i := range n {
		appID := accountID(i)
		w.wechat.AddAccount(wechattest.Account{AppID: appID, Authorized: true, Granted: true, RefreshToken: refreshToken(appID)})
		record := stored(w.wechat.IssueAccountToken(appID), life)
		record["refresh_token"] = refreshToken(appID)
		store.put(w.aws, appID, record)
		w.aws.SetItem(stateTable, map[string]any{
			"pk": "account", "sk": appID, "appid": appID, "kind": "official-account", "name": "微用户 " + appID,
			"status": "authorized", "draft_switch": "closed", "checked_at": checked,
		})
	}
}

func accountID(n int) string { return fmt.Sprintf("wx%016x", n) }

func refreshToken(appID string) string { return "refresh-" + appID }
