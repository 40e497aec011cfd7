package awstest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/standin/awstest"
)

// A contractTable exists before the cases start; each case has its own.
type contractTable struct{ name, hash, rng string }

var contractTables = []contractTable{
	{"item", "pk", "sk"}, {"item-hash", "id", ""}, {"conditions", "pk", "sk"}, {"updates", "id", ""}, {"query", "pk", "sk"},
	{"scan", "id", ""}, {"batch", "pk", "sk"}, {"batch-hash", "id", ""}, {"transaction", "pk", "sk"},
}

func createContractTables(t *testing.T, server *awstest.Server, moto clients) {
	t.Helper()
	for _, table := range contractTables {
		server.CreateTable(table.name, table.hash, table.rng)
		table.createOn(t, moto)
	}
}

func (table contractTable) createOn(t *testing.T, c clients) {
	t.Helper()
	in := &dynamodb.CreateTableInput{TableName: &table.name, BillingMode: ddbtypes.BillingModePayPerRequest}
	for _, key := range []struct {
		name string
		kind ddbtypes.KeyType
	}{{table.hash, ddbtypes.KeyTypeHash}, {table.rng, ddbtypes.KeyTypeRange}} {
		if key.name != "" {
			in.KeySchema = append(in.KeySchema, ddbtypes.KeySchemaElement{AttributeName: &key.name, KeyType: key.kind})
			in.AttributeDefinitions = append(in.AttributeDefinitions, ddbtypes.AttributeDefinition{
				AttributeName: &key.name, AttributeType: ddbtypes.ScalarAttributeTypeS,
			})
		}
	}
	if _, err := c.tables.CreateTable(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

type values = map[string]ddbtypes.AttributeValue

func s(text string) ddbtypes.AttributeValue { return &ddbtypes.AttributeValueMemberS{Value: text} }
func n(number string) ddbtypes.AttributeValue {
	return &ddbtypes.AttributeValueMemberN{Value: number}
}

// key is pk and sk.
func key(pk, sk string) values { return values{"pk": s(pk), "sk": s(sk)} }

// with adds attributes to a key.
func with(item values, more values) values {
	for name, value := range more {
		item[name] = value
	}
	return item
}

// cancellation is a cancelled transaction as a client sees it.
func (j *journal) cancellation(name string, err error) {
	var seen *ddbtypes.TransactionCanceledException
	if errors.As(err, &seen) {
		for i := range seen.CancellationReasons {
			seen.CancellationReasons[i].Message = nil
		}
		j.see(name, map[string]any{"reasons": seen.CancellationReasons}, nil)
		return
	}
	j.see(name, nil, err)
}

// refusedItem is the item of a failed condition as a client sees it.
func (j *journal) refusedItem(name string, err error) {
	var seen *ddbtypes.ConditionalCheckFailedException
	if errors.As(err, &seen) {
		j.see(name, map[string]any{"item": seen.Item}, nil)
		return
	}
	j.see(name, nil, err)
}

func itemCase(ctx context.Context, j *journal, c clients) {
	db := c.tables
	put := func(name string, in *dynamodb.PutItemInput) {
		if in.TableName == nil {
			in.TableName = aws.String("item")
		}
		out, err := db.PutItem(ctx, in)
		j.see(name, out, err)
	}
	get := func(name string, key values, projection *string, names map[string]string) {
		out, err := db.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: aws.String("item"), Key: key, ProjectionExpression: projection, ExpressionAttributeNames: names, ConsistentRead: aws.Bool(true),
		})
		j.see(name, out, err)
	}
	get("get missing", key("p", "s"), nil, nil)
	whole := with(key("p", "s"), values{
		"text": s("草稿 <&>"), "empty": s(""), "count": n("-12.5"), "large": n("12345678901234567890"),
		"bytes": &ddbtypes.AttributeValueMemberB{Value: []byte{0, 1, 254}}, "yes": &ddbtypes.AttributeValueMemberBOOL{Value: true},
		"no": &ddbtypes.AttributeValueMemberBOOL{}, "none": &ddbtypes.AttributeValueMemberNULL{Value: true},
		"list": &ddbtypes.AttributeValueMemberL{Value: []ddbtypes.AttributeValue{s("a"), n("1"), &ddbtypes.AttributeValueMemberL{}}},
		"map":  &ddbtypes.AttributeValueMemberM{Value: values{"name": s("x"), "inner": &ddbtypes.AttributeValueMemberM{Value: values{"n": n("1")}}}},
	})
	put("put", &dynamodb.PutItemInput{Item: whole})
	get("get", key("p", "s"), nil, nil)
	get("get some", key("p", "s"), aws.String("#t, #m.inner.n, #l[0], nothing"), map[string]string{"#t": "text", "#m": "map", "#l": "list"})
	get("get by a reserved word", key("p", "s"), aws.String("name"), nil)
	get("get by an unknown name", key("p", "s"), aws.String("#x"), map[string]string{"#y": "y"})
	get("get by part of a key", values{"pk": s("p")}, nil, nil)
	get("get by more than a key", with(key("p", "s"), values{"x": s("x")}), nil, nil)
	get("get by a key of another type", values{"pk": s("p"), "sk": n("1")}, nil, nil)
	put("put again, with the old one", &dynamodb.PutItemInput{Item: with(key("p", "s"), values{"a": s("2")}), ReturnValues: "ALL_OLD"})
	put("put, with the new one", &dynamodb.PutItemInput{Item: key("p", "s"), ReturnValues: "ALL_NEW"})
	put("put without a key", &dynamodb.PutItemInput{Item: values{"pk": s("p")}})
	put("put an empty key", &dynamodb.PutItemInput{Item: key("p", "")})
	put("put a key that is a number", &dynamodb.PutItemInput{Item: values{"pk": s("p"), "sk": n("1")}})
	put("put too much", &dynamodb.PutItemInput{Item: with(key("p", "s"), values{"a": s(strings.Repeat("x", 400<<10))})})
	put("put nowhere", &dynamodb.PutItemInput{TableName: aws.String("nowhere"), Item: key("p", "s")})
	put("put no number", &dynamodb.PutItemInput{Item: with(key("p", "s"), values{"a": n("one")})})
	put("put by hash", &dynamodb.PutItemInput{TableName: aws.String("item-hash"), Item: values{"id": s("1"), "a": s("b")}})
	byHash, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("item-hash"), Key: values{"id": s("1")}})
	j.see("get by hash", byHash, err)

	remove := func(name string) {
		out, err := db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("item"), Key: key("p", "s"), ReturnValues: "ALL_OLD"})
		j.see(name, out, err)
	}
	remove("delete")
	remove("delete again")
	described, err := db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("item")})
	j.see("describe", described, err)
	_, err = db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("nowhere")})
	j.see("describe nowhere", nil, err)
}

// conditioned is an item to test conditions on.
func conditioned() values {
	return with(key("p", "s"), values{
		"status": s("open"), "count": n("10"), "flag": &ddbtypes.AttributeValueMemberBOOL{Value: true},
		"list": &ddbtypes.AttributeValueMemberL{Value: []ddbtypes.AttributeValue{s("a"), s("b")}},
		"map":  &ddbtypes.AttributeValueMemberM{Value: values{"k": s("v")}},
	})
}

// contractConditions apply to an item like conditioned, with the placeholders of placeholdersIn.
var contractConditions = []string{
	"attribute_exists(pk)", "attribute_not_exists(pk)", "attribute_exists(nothing)", "attribute_not_exists(nothing)",
	"attribute_exists(#m.k)", "attribute_not_exists(#m.z)", "#s = :open", "#s <> :open", "#s = :shut", "#s < :shut", "#s >= :shut",
	"#c > :nine", "#c = :ten", "#c <= :nine", "#s = :ten", "#s < :ten", "#s <> :ten", "nothing = :open", "nothing <> :open",
	"nothing < :open", "#f = :true", "#s IN (:shut, :open)", "#s IN (:shut)", "#c BETWEEN :nine AND :ten", "#c BETWEEN :two AND :nine",
	"begins_with(#s, :op)", "begins_with(nothing, :op)", "contains(#l, :a)", "contains(#s, :op)", "contains(#l, :v)",
	"size(#l) = :two", "size(#s) > :nine", "attribute_type(#s, :S)", "attribute_type(#c, :S)", "NOT #s = :open", "NOT (#s = :shut)",
	"#s = :shut OR #c = :ten AND #f = :true", "(#s = :shut OR #c = :ten) AND NOT attribute_exists(nothing)",
	"attribute_not_exists(nothing) OR nothing < :nine", "#m.k = :v", "#l[1] = :a", "#l[0] = :a", "#l[7] = :a",
	"#s", "#s =", "#s = :open AND", "status = :open", "#s = :unknown", "#unknown = :open", "nosuch(#s)", "attribute_exists(:a)", "#s = :open #c = :ten", "",
}

var placeholderPattern = regexp.MustCompile(`[#:]\w+`)

// placeholdersIn returns the existing names and values that a condition uses; a request with unused ones is refused.
func placeholdersIn(condition string) (names map[string]string, literals values) {
	allNames := map[string]string{"#s": "status", "#c": "count", "#f": "flag", "#l": "list", "#m": "map"}
	allLiterals := values{
		":open": s("open"), ":shut": s("shut"), ":op": s("op"), ":nine": n("9"), ":ten": n("10.0"), ":two": n("2"),
		":true": &ddbtypes.AttributeValueMemberBOOL{Value: true}, ":a": s("a"), ":v": s("v"), ":S": s("S"),
	}
	names, literals = make(map[string]string), make(values)
	for _, placeholder := range placeholderPattern.FindAllString(condition, -1) {
		if name, ok := allNames[placeholder]; ok {
			names[placeholder] = name
		}
		if literal, ok := allLiterals[placeholder]; ok {
			literals[placeholder] = literal
		}
	}
	if len(names) == 0 {
		names = nil
	}
	if len(literals) == 0 {
		literals = nil
	}
	return names, literals
}

func conditionsCase(ctx context.Context, j *journal, c clients) {
	c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("conditions"), Item: conditioned()})
	put := func(name string, in *dynamodb.PutItemInput) {
		in.TableName, in.Item = aws.String("conditions"), conditioned()
		_, err := c.tables.PutItem(ctx, in)
		j.refusedItem(name, err)
	}
	for _, condition := range contractConditions {
		names, literals := placeholdersIn(condition)
		put(condition, &dynamodb.PutItemInput{
			ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: literals,
			ReturnValuesOnConditionCheckFailure: "ALL_OLD",
		})
	}
	put("a value too many", &dynamodb.PutItemInput{
		ConditionExpression: aws.String("attribute_exists(pk)"), ExpressionAttributeValues: values{":x": s("x")},
	})
	put("a name too many", &dynamodb.PutItemInput{
		ConditionExpression: aws.String("attribute_exists(pk)"), ExpressionAttributeNames: map[string]string{"#x": "x"},
	})
	put("values for nothing", &dynamodb.PutItemInput{ExpressionAttributeValues: values{":x": s("x")}})
	put("no item shown", &dynamodb.PutItemInput{ConditionExpression: aws.String("attribute_not_exists(pk)")})
	_, err := c.tables.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String("conditions"), Key: key("p", "none"), ConditionExpression: aws.String("attribute_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: "ALL_OLD",
	})
	j.refusedItem("delete what is not there", err)
	_, err = c.tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("conditions"), Key: key("p", "s"), ConditionExpression: aws.String("#s = :v"), UpdateExpression: aws.String("SET #s = :v"),
		ExpressionAttributeNames: map[string]string{"#s": "status"}, ExpressionAttributeValues: values{":v": s("v")},
		ReturnValuesOnConditionCheckFailure: "ALL_OLD",
	})
	j.refusedItem("update", err)
}

func updatesCase(ctx context.Context, j *journal, c clients) {
	update := func(name, id, expression string, literals values, returns ddbtypes.ReturnValue) {
		in := &dynamodb.UpdateItemInput{
			TableName: aws.String("updates"), Key: values{"id": s(id)}, UpdateExpression: &expression,
			ExpressionAttributeValues: literals, ReturnValues: returns,
		}
		if strings.Contains(expression, "#n") {
			in.ExpressionAttributeNames = map[string]string{"#n": "name"}
		}
		out, err := c.tables.UpdateItem(ctx, in)
		if err == nil {
			out.ConsumedCapacity = nil // moto gives it unasked
		}
		j.see(name, out, err)
	}
	list := func(v ...ddbtypes.AttributeValue) ddbtypes.AttributeValue {
		return &ddbtypes.AttributeValueMemberL{Value: v}
	}
	update("make", "1", "SET #n = :a, cnt = :one, l = :l, m = :m", values{
		":a": s("a"), ":one": n("1"), ":l": list(s("x"), s("y"), s("z")), ":m": &ddbtypes.AttributeValueMemberM{Value: values{"k": s("v")}},
	}, "ALL_NEW")
	update("set and remove", "1", "SET a = :a REMOVE #n", values{":a": s("b")}, "ALL_NEW")
	update("remove what is not there", "1", "REMOVE nothing", nil, "ALL_NEW")
	update("if_not_exists, there", "1", "SET a = if_not_exists(a, :v)", values{":v": s("c")}, "UPDATED_NEW")
	update("if_not_exists, not there", "1", "SET b = if_not_exists(b, :v)", values{":v": s("c")}, "UPDATED_NEW")
	update("count from nothing", "1", "SET c = if_not_exists(c, :zero) + :one", values{":zero": n("0"), ":one": n("1")}, "UPDATED_NEW")
	update("add", "1", "ADD cnt :five, fresh :five", values{":five": n("5")}, "UPDATED_NEW")
	update("subtract", "1", "SET cnt = cnt - :half", values{":half": n("0.5")}, "UPDATED_OLD")
	update("large numbers", "1", "SET big = :big, huge = :big + :one", values{":big": n("9007199254740993"), ":one": n("1")}, "UPDATED_NEW")
	update("swap", "1", "SET a = b, b = a", nil, "ALL_NEW")
	update("into a map", "1", "SET m.k = :v, m.z = :v", values{":v": s("w")}, "ALL_NEW")
	update("out of a map", "1", "REMOVE m.k", nil, "ALL_NEW")
	update("into a list", "1", "SET l[1] = :v, l[9] = :v", values{":v": s("w")}, "ALL_NEW")
	update("out of a list", "1", "REMOVE l[0], l[2]", nil, "ALL_NEW")
	update("append", "1", "SET l = list_append(l, :l)", values{":l": list(s("last"))}, "ALL_NEW")
	update("all old", "1", "SET a = :a", values{":a": s("c")}, "ALL_OLD")
	update("nothing returned", "1", "SET a = :a", values{":a": s("d")}, "")
	update("lower case", "1", "set a = :a remove b", values{":a": s("e")}, "ALL_NEW")
	update("from what is not there", "1", "SET a = nothing", nil, "")
	update("add to text", "1", "ADD a :one", values{":one": n("1")}, "")
	update("add text", "1", "SET cnt = cnt + :a", values{":a": s("a")}, "")
	update("into what is not there", "1", "SET nothing.k = :a", values{":a": s("a")}, "")
	update("the key", "1", "SET id = :a", values{":a": s("a")}, "")
	update("one path twice", "1", "SET a = :a, a = :b", values{":a": s("a"), ":b": s("b")}, "")
	update("a clause twice", "1", "SET a = :a SET b = :a", values{":a": s("a")}, "")
	update("a reserved word", "1", "SET name = :a", values{":a": s("a")}, "")
	update("a value too many", "1", "SET a = :a", values{":a": s("a"), ":b": s("b")}, "")
	update("no such value", "1", "SET a = :b", nil, "")
	update("too large", "1", "SET a = :a", values{":a": s(strings.Repeat("x", 400<<10))}, "")
	update("make by removing", "2", "REMOVE a", nil, "ALL_NEW")
	bare, err := c.tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("updates"), Key: values{"id": s("3")}, ReturnValues: "ALL_NEW"})
	j.see("make by nothing", bare, err)
}

func queryCase(ctx context.Context, j *journal, c clients) {
	for i := range 10 {
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("query"), Item: with(key("p", fmt.Sprintf("a%d", i)), values{
			"n": n(fmt.Sprint(i)), "half": s(fmt.Sprint(i % 2)),
		})})
	}
	for _, sk := range []string{"b0", "b1"} {
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("query"), Item: key("p", sk)})
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("query"), Item: key("q", sk)})
	}
	query := func(name, condition string, literals values, change func(*dynamodb.QueryInput)) {
		in := &dynamodb.QueryInput{
			TableName: aws.String("query"), KeyConditionExpression: &condition, ExpressionAttributeValues: with(values{":p": s("p")}, literals),
		}
		if change != nil {
			change(in)
		}
		var pages []map[string]any
		for {
			out, err := c.tables.Query(ctx, in)
			pages = append(pages, j.normal(out, err))
			if err != nil || out.LastEvaluatedKey == nil {
				break
			}
			in.ExclusiveStartKey = out.LastEvaluatedKey
		}
		j.see(name, map[string]any{"pages": pages}, nil)
	}
	query("all", "pk = :p", nil, nil)
	query("pages", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(5) })
	query("pages that end with the items", "pk = :p AND begins_with(sk, :a)", values{":a": s("a")}, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(5) })
	query("pages backwards", "pk = :p", nil, func(in *dynamodb.QueryInput) {
		in.Limit, in.ScanIndexForward = aws.Int32(5), aws.Bool(false)
	})
	query("one", "pk = :p AND sk = :a", values{":a": s("a3")}, nil)
	query("less", "pk = :p AND sk < :a", values{":a": s("a3")}, nil)
	query("less or equal", "pk = :p AND sk <= :a", values{":a": s("a3")}, nil)
	query("more", "pk = :p AND sk > :a", values{":a": s("a8")}, nil)
	query("more or equal", "sk >= :a AND pk = :p", values{":a": s("a8")}, nil)
	query("between", "pk = :p AND sk BETWEEN :a AND :b", values{":a": s("a3"), ":b": s("a5")}, nil)
	query("between, the wrong way round", "pk = :p AND sk BETWEEN :a AND :b", values{":a": s("a5"), ":b": s("a3")}, nil)
	query("in parentheses", "(pk = :p) AND (begins_with(sk, :a))", values{":a": s("b")}, nil)
	query("nothing", "pk = :p AND begins_with(sk, :a)", values{":a": s("c")}, nil)
	query("filtered pages", "pk = :p", values{":zero": s("0")}, func(in *dynamodb.QueryInput) {
		in.FilterExpression, in.Limit = aws.String("half = :zero"), aws.Int32(5)
	})
	query("a full last page", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(6) })
	query("projected", "#p = :p AND sk = :a", values{":a": s("a3")}, func(in *dynamodb.QueryInput) {
		in.ProjectionExpression, in.ExpressionAttributeNames = aws.String("#n"), map[string]string{"#p": "pk", "#n": "n"}
	})
	query("counted", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.Select = ddbtypes.SelectCount })
	query("after what is not there", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.ExclusiveStartKey = key("p", "a77") })
	query("no value", "pk = :q", nil, nil)
	query("no partition key", "sk = :p", nil, nil)
	query("partition key by order", "pk > :p", nil, nil)
	query("filter by a key", "pk = :p", values{":a": s("a")}, func(in *dynamodb.QueryInput) { in.FilterExpression = aws.String("sk > :a") })
	query("nowhere", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.TableName = aws.String("nowhere") })
	query("no page", "pk = :p", nil, func(in *dynamodb.QueryInput) { in.Limit = aws.Int32(0) })
}

func scanCase(ctx context.Context, j *journal, c clients) {
	for i := range 7 {
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("scan"), Item: values{
			"id": s(fmt.Sprint("id", i)), "half": s(fmt.Sprint(i % 2)),
		}})
	}
	scan := func(name string, in *dynamodb.ScanInput) {
		in.TableName = aws.String("scan")
		var ids []string
		var counts []int32
		for {
			out, err := c.tables.Scan(ctx, in)
			if err != nil {
				j.see(name, nil, err)
				return
			}
			counts = append(counts, out.ScannedCount)
			for _, item := range out.Items {
				ids = append(ids, item["id"].(*ddbtypes.AttributeValueMemberS).Value)
			}
			if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
				break
			}
		}
		slices.Sort(ids) // their order is not promised
		j.see(name, map[string]any{"ids": ids, "counts": counts}, nil)
	}
	scan("all", &dynamodb.ScanInput{})
	scan("pages", &dynamodb.ScanInput{Limit: aws.Int32(3)})
	scan("filtered", &dynamodb.ScanInput{
		FilterExpression: aws.String("half = :h"), ExpressionAttributeValues: values{":h": s("1")}, ProjectionExpression: aws.String("id"),
	})
	scan("nonsense", &dynamodb.ScanInput{FilterExpression: aws.String("half ="), Limit: aws.Int32(3)})
}

func itemBatchCase(ctx context.Context, j *journal, c clients) {
	for i := range 3 {
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("batch"), Item: with(key("p", fmt.Sprint(i)), values{"a": n(fmt.Sprint(i)), "b": s("b")})})
		c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("batch-hash"), Item: values{"id": s(fmt.Sprint(i))}})
	}
	get := func(name string, request map[string]ddbtypes.KeysAndAttributes) {
		out, err := c.tables.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err == nil {
			out.ConsumedCapacity = nil // moto gives it unasked
			// The order is not guaranteed.
			for _, items := range out.Responses {
				slices.SortFunc(items, func(a, b values) int {
					return strings.Compare(fmt.Sprint(j.normal(a, nil)), fmt.Sprint(j.normal(b, nil)))
				})
			}
		}
		j.see(name, out, err)
	}
	get("two tables", map[string]ddbtypes.KeysAndAttributes{
		"batch":      {Keys: []values{key("p", "2"), key("p", "none"), key("p", "0")}, ProjectionExpression: aws.String("pk, a")},
		"batch-hash": {Keys: []values{{"id": s("1")}}, ConsistentRead: aws.Bool(true)},
	})
	get("nothing there", map[string]ddbtypes.KeysAndAttributes{"batch": {Keys: []values{key("p", "none")}}})
	get("twins", map[string]ddbtypes.KeysAndAttributes{"batch": {Keys: []values{key("p", "0"), key("p", "0")}}})
	get("nowhere", map[string]ddbtypes.KeysAndAttributes{"nowhere": {Keys: []values{key("p", "0")}}})
	get("no keys", map[string]ddbtypes.KeysAndAttributes{"batch": {Keys: []values{}}})
	var many []values
	for i := range 101 {
		many = append(many, key("p", fmt.Sprint(i)))
	}
	get("a hundred", map[string]ddbtypes.KeysAndAttributes{"batch": {Keys: many[:100]}})
	get("a hundred and one", map[string]ddbtypes.KeysAndAttributes{"batch": {Keys: many}})
}

func transactionCase(ctx context.Context, j *journal, c clients) {
	table := aws.String("transaction")
	c.tables.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: with(key("p", "there"), values{"a": s("1")})})
	write := func(name string, token *string, items ...ddbtypes.TransactWriteItem) {
		_, err := c.tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items, ClientRequestToken: token})
		j.cancellation(name, err)
		out, err := c.tables.Query(ctx, &dynamodb.QueryInput{
			TableName: table, KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: values{":p": s("p")}, ConsistentRead: aws.Bool(true),
		})
		j.see("after "+name, out, err)
	}
	put := func(sk, condition string) ddbtypes.TransactWriteItem {
		p := &ddbtypes.Put{TableName: table, Item: key("p", sk), ReturnValuesOnConditionCheckFailure: "ALL_OLD"}
		if condition != "" {
			p.ConditionExpression = &condition
		}
		return ddbtypes.TransactWriteItem{Put: p}
	}
	add := ddbtypes.TransactWriteItem{Update: &ddbtypes.Update{
		TableName: table, Key: key("p", "count"), UpdateExpression: aws.String("ADD cnt :one"), ExpressionAttributeValues: values{":one": n("1")},
	}}
	check := func(sk, condition string) ddbtypes.TransactWriteItem {
		return ddbtypes.TransactWriteItem{ConditionCheck: &ddbtypes.ConditionCheck{
			TableName: table, Key: key("p", sk), ConditionExpression: &condition, ReturnValuesOnConditionCheckFailure: "ALL_OLD",
		}}
	}
	write("all of it", nil, put("new", "attribute_not_exists(pk)"), add, check("there", "attribute_exists(a)"),
		ddbtypes.TransactWriteItem{Delete: &ddbtypes.Delete{TableName: table, Key: key("p", "none")}})
	write("a failed put", nil, add, put("there", "attribute_not_exists(pk)"))
	write("a failed check", nil, add, check("none", "attribute_exists(pk)"))
	write("with a token", aws.String(token1), add)
	write("one item twice", nil, add, check("count", "attribute_exists(pk)"))
	write("nonsense", nil, add, check("there", "attribute_exists("))
	write("no such table", nil, add, ddbtypes.TransactWriteItem{Put: &ddbtypes.Put{TableName: aws.String("nowhere"), Item: key("p", "x")}})
	write("nothing", nil)
	write("deletes", nil, ddbtypes.TransactWriteItem{Delete: &ddbtypes.Delete{TableName: table, Key: key("p", "there")}},
		ddbtypes.TransactWriteItem{Delete: &ddbtypes.Delete{TableName: table, Key: key("p", "new"), ConditionExpression: aws.String("attribute_exists(pk)")}})
}
