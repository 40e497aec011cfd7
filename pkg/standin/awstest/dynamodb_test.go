package awstest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/awstest"
)

func getItem(ctx context.Context, c clients, table string, key values) (values, error) {
	out, err := c.tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

func putItem(ctx context.Context, c clients, table string, item values) error {
	_, err := c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item})
	return err
}

func TestItemsOfTheStandIn(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("state", "pk", "sk")
	server.CreateTable("state", "pk", "sk") // leaves what is there
	want := map[string]any{
		"pk": "account", "sk": "wx1", "text": "草稿", "whole": json.Number("12"), "half": json.Number("0.5"), "yes": true, "none": nil,
		"bytes": []byte{0, 255}, "list": []any{"a", json.Number("1")}, "map": map[string]any{"k": "v"},
	}
	given := map[string]any{
		"pk": "account", "sk": "wx1", "text": "草稿", "whole": int64(12), "half": 0.5, "yes": true, "none": nil,
		"bytes": []byte{0, 255}, "list": []any{"a", 1}, "map": map[string]any{"k": "v"},
	}
	server.SetItem("state", given)
	got, ok := server.Item("state", "account", "wx1")
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("item (-want +got):\n%s", diff)
	}
	server.SetItem("state", got) // what was given can be set again
	read, err := getItem(t.Context(), c, "state", key("account", "wx1"))
	if err != nil || read["half"].(*ddbtypes.AttributeValueMemberN).Value != "0.5" {
		t.Errorf("read %v, %v", read, err)
	}
	for _, sk := range []string{"wx3", "wx2"} {
		server.SetItem("state", map[string]any{"pk": "account", "sk": sk})
	}
	server.SetItem("state", map[string]any{"pk": "a", "sk": "z"})
	server.DeleteItem("state", "account", "wx1")
	server.DeleteItem("state", "account", "none")
	wantAll := []map[string]any{{"pk": "a", "sk": "z"}, {"pk": "account", "sk": "wx2"}, {"pk": "account", "sk": "wx3"}}
	if diff := cmp.Diff(wantAll, server.Items("state")); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	if _, ok := server.Item("state", "account", "wx1"); ok {
		t.Error("a deleted item is there")
	}
}

func TestSetItemPanics(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*awstest.Server){
		"no table":       func(s *awstest.Server) { s.SetItem("none", map[string]any{"id": "1"}) },
		"no key":         func(s *awstest.Server) { s.SetItem("t", map[string]any{"a": "1"}) },
		"an empty key":   func(s *awstest.Server) { s.SetItem("t", map[string]any{"id": ""}) },
		"a number's key": func(s *awstest.Server) { s.SetItem("t", map[string]any{"id": 1}) },
		"too large":      func(s *awstest.Server) { s.SetItem("t", map[string]any{"id": "1", "a": strings.Repeat("x", 400<<10)}) },
		"no such type":   func(s *awstest.Server) { s.SetItem("t", map[string]any{"id": "1", "a": struct{}{}}) },
		"no number":      func(s *awstest.Server) { s.SetItem("t", map[string]any{"id": "1", "a": json.Number("x")}) },
		"other keys":     func(s *awstest.Server) { s.CreateTable("t", "id", "sk") },
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := awstest.New()
			server.CreateTable("t", "id", "")
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			set(server)
		})
	}
}

// Of many callers that try a lease by one conditional update, one gets it, and the others see the owner.
func TestConditionalUpdateIsAtomic(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("state", "pk", "sk")
	var won atomic.Int32
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			_, err := c.tables.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("state"), Key: key("lease", "renewal"),
				UpdateExpression:                    aws.String("SET holder = :me, ends = :end"),
				ConditionExpression:                 aws.String("attribute_not_exists(pk) OR ends < :now"),
				ExpressionAttributeValues:           values{":me": s(fmt.Sprint(i)), ":now": n("1000"), ":end": n("2000")},
				ReturnValuesOnConditionCheckFailure: "ALL_OLD",
			})
			var lost *ddbtypes.ConditionalCheckFailedException
			switch {
			case err == nil:
				won.Add(1)
			case !errors.As(err, &lost) || lost.Item["holder"] == nil:
				t.Errorf("a loser sees %v", err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d callers won", won.Load())
	}
}

// Pages end at 1 MB, and a Scan has no useful order.
func TestPagesEndAtOneMegabyte(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("state", "pk", "sk")
	const items, size = 25, 100 << 10
	for i := range items {
		// 1 + 2 + 2 + 2 + 1 bytes for the key and the name of the rest.
		server.SetItem("state", map[string]any{"pk": "p", "sk": fmt.Sprintf("%02d", i), "a": strings.Repeat("x", size-8)})
	}
	in := &dynamodb.QueryInput{
		TableName: aws.String("state"), KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: values{":p": s("p")},
		ProjectionExpression: aws.String("sk"), // what is scanned counts, not what is given
	}
	scan := &dynamodb.ScanInput{TableName: aws.String("state")}
	var queried, scanned []int32
	for {
		out, err := c.tables.Query(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		queried = append(queried, out.ScannedCount)
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	for {
		out, err := c.tables.Scan(t.Context(), scan)
		if err != nil {
			t.Fatal(err)
		}
		scanned = append(scanned, out.ScannedCount)
		if scan.ExclusiveStartKey = out.LastEvaluatedKey; scan.ExclusiveStartKey == nil {
			break
		}
	}
	want := []int32{10, 10, 5}
	if diff := cmp.Diff(want, queried); diff != "" {
		t.Errorf("pages of a Query (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, scanned); diff != "" {
		t.Errorf("pages of a Scan (-want +got):\n%s", diff)
	}
}

// Every item comes once, whatever the page size, also during concurrent writes and deletions.
func TestScanInPages(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("tokens", "appid", "")
	for i := range 1000 {
		server.SetItem("tokens", map[string]any{"appid": fmt.Sprintf("wx%04d", i)})
	}
	seen := make(map[string]int)
	inOrder, last := true, ""
	in := &dynamodb.ScanInput{TableName: aws.String("tokens"), Limit: aws.Int32(70)}
	for page := 0; ; page++ {
		out, err := c.tables.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range out.Items {
			appid := item["appid"].(*ddbtypes.AttributeValueMemberS).Value
			seen[appid]++
			inOrder = inOrder && appid > last
			last = appid
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
		server.DeleteItem("tokens", last, "") // the next page starts behind what is gone
	}
	for appid, times := range seen {
		if times != 1 {
			t.Errorf("%s came %d times", appid, times)
		}
	}
	if len(seen) != 1000 || inOrder {
		t.Errorf("%d items, in order: %v", len(seen), inOrder)
	}
}

func TestTransactionTokens(t *testing.T) {
	t.Parallel()
	clock := newClock()
	server, c := start(t, awstest.WithClock(clock.now))
	server.CreateTable("state", "pk", "sk")
	add := func(token, number string) error {
		_, err := c.tables.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token, TransactItems: []ddbtypes.TransactWriteItem{
			{Update: &ddbtypes.Update{
				TableName: aws.String("state"), Key: key("p", "s"), UpdateExpression: aws.String("ADD cnt :n"), ExpressionAttributeValues: values{":n": n(number)},
			}},
		}})
		return err
	}
	for i, step := range []struct {
		token, number, code, count string
		later                      time.Duration
	}{
		{token1, "1", "", "1", 0},
		{token1, "1", "", "1", 9 * time.Minute},
		{token1, "2", "IdempotentParameterMismatchException", "1", 0},
		{token2, "1", "", "2", 0},
		{token1, "1", "", "3", 2 * time.Minute},
	} {
		clock.advance(step.later)
		if got := strings.TrimPrefix(code(add(step.token, step.number)), "<nil>"); got != step.code {
			t.Errorf("step %d: %q, want %q", i, got, step.code)
		}
		if item, _ := server.Item("state", "p", "s"); item["cnt"] != json.Number(step.count) {
			t.Errorf("step %d: count %v, want %s", i, item["cnt"], step.count)
		}
	}
}

// The SDK retries a transaction with a lost response under the same token, and it is made once.
func TestLostTransactionIsMadeOnce(t *testing.T) {
	t.Parallel()
	server := awstest.New()
	endpoint := httptest.NewServer(server)
	t.Cleanup(endpoint.Close)
	server.CreateTable("t", "id", "")
	server.Fail("dynamodb:TransactWriteItems", awstest.DropAfter())
	_, err := newClients(endpoint.URL).tables.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []ddbtypes.TransactWriteItem{
		{Update: &ddbtypes.Update{
			TableName: aws.String("t"), Key: values{"id": s("1")}, UpdateExpression: aws.String("ADD cnt :n"), ExpressionAttributeValues: values{":n": n("1")},
		}},
	}})
	item, _ := server.Item("t", "1", "")
	if err != nil || item["cnt"] != json.Number("1") || server.Calls("dynamodb:TransactWriteItems") != 2 {
		t.Errorf("%v, %v after %d calls", err, item, server.Calls("dynamodb:TransactWriteItems"))
	}
}

func TestDynamoDBFaults(t *testing.T) {
	t.Parallel()
	isCode := func(want string) func(error) bool {
		return func(err error) bool { return code(err) == want }
	}
	broken := func(err error) bool { return err != nil && code(err) == fmt.Sprint(err) }
	fine := func(err error) bool { return err == nil }
	tests := map[string]struct {
		fault   awstest.Fault
		failed  func(error) bool
		written bool
	}{
		"none":          {awstest.Delay(0), fine, true},
		"throttled":     {awstest.Throttle(), isCode("ThrottlingException"), false},
		"over capacity": {awstest.Refuse("ProvisionedThroughputExceededException", http.StatusBadRequest), isCode("ProvisionedThroughputExceededException"), false},
		"denied":        {awstest.Deny(), isCode("AccessDeniedException"), false},
		"failing":       {awstest.Refuse("InternalServerError", http.StatusInternalServerError), isCode("InternalServerError"), false},
		"no table":      {awstest.Refuse("ResourceNotFoundException", http.StatusBadRequest), isCode("ResourceNotFoundException"), false},
		"hanging":       {awstest.Hang(), broken, false},
		"dropped":       {awstest.Drop(), broken, false},
		"lost":          {awstest.DropAfter(), broken, true},
		"garbage":       {awstest.Garbage(), broken, true},
		"elsewhere":     {awstest.Deny().On("state/account/wx2"), fine, true},
		"right here":    {awstest.Deny().On("state/account/wx1"), isCode("AccessDeniedException"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c := start(t)
			server.CreateTable("state", "pk", "sk")
			server.Fail("dynamodb:PutItem", test.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := putItem(ctx, c, "state", key("account", "wx1")); !test.failed(err) {
				t.Errorf("error %v", err)
			}
			if _, written := server.Item("state", "account", "wx1"); written != test.written {
				t.Errorf("written %v, want %v", written, test.written)
			}
			if got := server.Calls("dynamodb:PutItem"); got != 1 {
				t.Errorf("%d calls", got)
			}
		})
	}
}

// Another writer writes between a read and its conditional write.
func TestLostRaceInDynamoDB(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("t", "id", "")
	server.Fail("dynamodb:PutItem", awstest.Before(func() { server.SetItem("t", map[string]any{"id": "1", "by": "another"}) }))
	_, err := c.tables.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("t"), Item: values{"id": s("1")}, ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	if code(err) != "ConditionalCheckFailedException" {
		t.Error(err)
	}
}

func TestBatchGetItemLeavesKeysOut(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("a", "id", "")
	server.CreateTable("b", "id", "")
	for i := range 3 {
		server.SetItem("a", map[string]any{"id": fmt.Sprint(i)})
		server.SetItem("b", map[string]any{"id": fmt.Sprint(i)})
	}
	server.Fail("dynamodb:BatchGetItem", awstest.FailEntries("", 1, 3))
	keys := func(ids ...string) (keys []values) {
		for _, id := range ids {
			keys = append(keys, values{"id": s(id)})
		}
		return keys
	}
	request := map[string]ddbtypes.KeysAndAttributes{
		"a": {Keys: keys("0", "1", "2")}, "b": {Keys: keys("0", "1"), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("id")},
	}
	out, err := c.tables.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: request})
	if err != nil || len(out.Responses["a"]) != 2 || len(out.Responses["b"]) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	var left journal
	want := left.normal(map[string]any{"a": ddbtypes.KeysAndAttributes{Keys: keys("1")}, "b": ddbtypes.KeysAndAttributes{
		Keys: keys("0"), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("id"),
	}}, nil)
	if diff := cmp.Diff(want, left.normal(out.UnprocessedKeys, nil)); diff != "" {
		t.Errorf("unprocessed (-want +got):\n%s", diff)
	}
	rest, err := c.tables.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: out.UnprocessedKeys})
	if err != nil || len(rest.UnprocessedKeys) != 0 || len(rest.Responses["a"]) != 1 {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
}

func TestDynamoDBRecorded(t *testing.T) {
	t.Parallel()
	server, c := start(t)
	server.CreateTable("state", "pk", "sk")
	server.CreateTable("tokens", "appid", "")
	ctx := t.Context()
	getItem(ctx, c, "state", key("account", "wx1"))
	getItem(ctx, c, "tokens", values{"appid": s("wx1")})
	getItem(ctx, c, "nowhere", key("account", "wx1"))
	putItem(ctx, c, "tokens", values{"appid": s("wx1"), "access_token": s("hush-hush")})
	c.tables.Query(ctx, &dynamodb.QueryInput{
		TableName: aws.String("state"), KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: values{":p": s("account")},
	})
	c.tables.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("tokens")})
	c.tables.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]ddbtypes.KeysAndAttributes{
		"tokens": {Keys: []values{{"appid": s("1")}}}, "state": {Keys: []values{key("p", "s")}},
	}})
	c.tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []ddbtypes.TransactWriteItem{
		{Put: &ddbtypes.Put{TableName: aws.String("state"), Item: key("draft", "1")}},
		{Delete: &ddbtypes.Delete{TableName: aws.String("tokens"), Key: values{"appid": s("wx2")}}},
	}})
	c.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("state")})
	want := []string{
		"state/account/wx1", "tokens/wx1", "nowhere", "tokens/wx1", "state/account", "tokens", "state,tokens", "state/draft/1,tokens/wx2", "state",
	}
	var got []string
	for _, call := range server.Recorded() {
		got = append(got, call.Resource)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	if server.Calls("dynamodb:*") != len(want) || server.Calls("dynamodb:GetItem") != 3 {
		t.Error("the counts are wrong")
	}
}

// Capacity depends on item sizes, per partition and per table.
func TestDynamoDBThrottling(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 39_900) // with its key 39 KB: 39 units to write, 10 to read
	write := func(pk string) func(context.Context, clients) error {
		return func(ctx context.Context, c clients) error {
			return putItem(ctx, c, "state", with(key(pk, "s"), values{"a": s(large)}))
		}
	}
	read := func(consistent bool) func(context.Context, clients) error {
		return func(ctx context.Context, c clients) error {
			_, err := c.tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("state"), Key: key("p", "s"), ConsistentRead: &consistent})
			return err
		}
	}
	tests := map[string]struct {
		call  func(context.Context, clients) error
		rate  float64 // units a second
		units float64 // a call
	}{
		"writes":      {write("p"), 1000, 39},
		"reads":       {read(true), 3000, 10},
		"stale reads": {read(false), 3000, 5},
		"transactions": {func(ctx context.Context, c clients) error {
			_, err := c.tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []ddbtypes.TransactWriteItem{
				{Put: &ddbtypes.Put{TableName: aws.String("state"), Item: with(key("p", "s"), values{"a": s(large)})}},
			}})
			return err
		}, 1000, 78},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, c := start(t, awstest.WithThrottling())
			server.CreateTable("state", "pk", "sk")
			server.SetItem("state", map[string]any{"pk": "p", "sk": "s", "a": large})
			began, accepted := time.Now(), 0.0
			for range int(1.2 * test.rate / test.units) {
				switch err := test.call(t.Context(), c); code(err) {
				case "<nil>":
					accepted++
				case "ProvisionedThroughputExceededException", "TransactionCanceledException":
				default:
					t.Fatal(err)
				}
			}
			least := float64(int(test.rate / test.units))
			most := (test.rate + test.rate*time.Since(began).Seconds()) / test.units
			if accepted < least || accepted > most {
				t.Errorf("%v calls accepted, want %v to %v", accepted, least, most)
			}
			// Another partition has its own limit.
			if err := write("other")(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTableIsThrottledAsAWhole(t *testing.T) {
	t.Parallel()
	server, c := start(t, awstest.WithThrottling())
	server.CreateTable("t", "id", "")
	began, accepted := time.Now(), 0
	var refused error
	for i := range 14 { // of 391 units each, in as many partitions
		err := putItem(t.Context(), c, "t", values{"id": s(fmt.Sprint(i)), "a": s(strings.Repeat("x", 400_000))})
		if err == nil {
			accepted++
		} else {
			refused = err
		}
	}
	if most := (4000 + int(4000*time.Since(began).Seconds())) / 391; accepted < 10 || accepted > most || accepted < 14 && code(refused) != "ProvisionedThroughputExceededException" {
		t.Errorf("%d accepted, want 10 to %d; %v", accepted, most, refused)
	}
}

// serve makes a call without a client, for benchmarks.
func serve(b *testing.B, server *awstest.Server, operation, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Code, w.Body)
	}
	return w
}

func BenchmarkDynamoDB(b *testing.B) {
	server := awstest.New()
	server.CreateTable("state", "pk", "sk")
	server.CreateTable("tokens", "appid", "")
	for i := range 20_000 {
		appid := fmt.Sprintf("wx%016d", i)
		server.SetItem("state", map[string]any{
			"pk": "account", "sk": appid, "appid": appid, "kind": "authorizer", "name": "公众号", "status": "authorized",
			"status_at": 1767323045, "draft_switch": "open", "checked_at": "2026-01-02T03:04:05Z",
		})
		server.SetItem("tokens", map[string]any{"appid": appid, "access_token": strings.Repeat("x", 150), "refresh_token": strings.Repeat("y", 60), "expires_at": "2026-01-02T03:04:05Z"})
	}
	const start = `"ExclusiveStartKey":{"pk":{"S":"account"},"sk":{"S":"wx0000000000010000"}}`
	for name, call := range map[string][2]string{
		"Query":         {"Query", `{"TableName":"state","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":"account"}},"Limit":1000,` + start + `}`},
		"QueryFiltered": {"Query", `{"TableName":"state","KeyConditionExpression":"pk = :p","FilterExpression":"draft_switch = :o AND kind <> :p","ExpressionAttributeValues":{":p":{"S":"account"},":o":{"S":"open"}},"Limit":1000,` + start + `}`},
		"Scan":          {"Scan", `{"TableName":"tokens","Limit":1000,"ExclusiveStartKey":{"appid":{"S":"wx0000000000010000"}}}`},
		"GetItem":       {"GetItem", `{"TableName":"tokens","Key":{"appid":{"S":"wx0000000000010000"}},"ConsistentRead":true}`},
		"UpdateItem":    {"UpdateItem", `{"TableName":"state","Key":{"pk":{"S":"account"},"sk":{"S":"wx0000000000010000"}},"UpdateExpression":"SET draft_switch = :o","ConditionExpression":"draft_switch = :o","ExpressionAttributeValues":{":o":{"S":"open"}}}`},
		"PutItem":       {"PutItem", `{"TableName":"tokens","Item":{"appid":{"S":"wx0000000000010000"},"access_token":{"S":"x"}},"ConditionExpression":"attribute_exists(appid)"}`},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				serve(b, server, call[0], call[1])
			}
		})
	}
}
