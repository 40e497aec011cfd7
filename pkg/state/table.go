// Package state stores the bundle's state in one DynamoDB table. It holds no secret.
//
// The table has the string keys pk and sk and the time-to-live attribute expires:
//
//	pk             sk                      what
//	account        the appid               an account: [Accounts]
//	authorization  appid#create_time       an authorization whose failure was published
//	box            create_time#draft_id    a draft that the last watch saw in the box: [Drafts]
//	box            watch                   whether the baseline was recorded, and whether the last answer had a list
//	draft          create_time#draft_id    a draft that was ever seen, whole: [Drafts.History]
//	lease          tokens                  the run that renews tokens: [Lease]
//	notice         the id of an event      the chat robots that accepted its notice, for a few days: [Notices]
//	opening        the appid               an opening under way: [Lease]
//	survey         cursor                  where a survey that ran out of time continues: [Cursor]
//	wait           the appid, component    how the last fetch of a token failed, and when the next may be: [Wait]
//
// Every change that depends on a read is a conditional write. A writer that loses a race gets the current item, and decides
// again.
package state

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/retry"
)

// Table is the state table. It is safe for concurrent use.
type Table struct {
	client *dynamodb.Client
	name   string
	now    func() time.Time
}

// NewTable makes the state table of that name. now is the wall clock.
func NewTable(client *dynamodb.Client, name string, now func() time.Time) Table {
	return Table{client, name, now}
}

// Name is the table's name.
func (t Table) Name() string { return t.name }

// Describe returns the status of a table, this one or another, such as ACTIVE. Errors are of package awserror.
func (t Table) Describe(ctx context.Context, name string) (status string, err error) {
	out, err := t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return "", awserror.Wrap("dynamodb:DescribeTable", name, err)
	}
	return string(out.Table.TableStatus), nil
}

// item is a DynamoDB item or a part of one.
type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// textOf is the attribute's text; empty if it is missing or of another type.
func textOf(i item, name string) string {
	s, _ := i[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}

// numberOf is the attribute's number, or a text that is one; 0 if there is none.
func numberOf(i item, name string) int64 {
	digits := textOf(i, name)
	if n, ok := i[name].(*types.AttributeValueMemberN); ok {
		digits = n.Value
	}
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

func timeOf(i item, name string) time.Time {
	at, _ := time.Parse(time.RFC3339, textOf(i, name))
	return at
}

func rfc3339(at time.Time) types.AttributeValue { return text(at.UTC().Format(time.RFC3339)) }

func key(pk, sk string) item { return item{"pk": text(pk), "sk": text(sk)} }

// wrap makes an error of package awserror. A missing table or permission counts as unavailable too: the request is not to
// blame, and a caller can only retry later.
func wrap(operation, resource string, err error) error {
	err = awserror.Wrap(operation, resource, err)
	var failed *awserror.Error
	if errors.As(err, &failed) && (failed.Kind == awserror.NotFound || failed.Kind == awserror.Denied) {
		failed.Kind = awserror.Unavailable
	}
	return err
}

// resource names an item in errors.
func (t Table) resource(pk, sk string) string { return t.name + "/" + pk + "/" + sk }

func (t Table) get(ctx context.Context, pk, sk string) (item, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: key(pk, sk), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, wrap("dynamodb:GetItem", t.resource(pk, sk), err)
	}
	return out.Item, nil
}

const (
	// maxBatchGet is how many items BatchGetItem reads at most.
	maxBatchGet = 100
	// batchGetPause is the wait before unprocessed items are read: BatchGetItem may have been throttled.
	batchGetPause = 100 * time.Millisecond
)

// batchGet reads items of one partition, and returns those that exist.
func (t Table) batchGet(ctx context.Context, pk string, sks []string) ([]item, error) {
	var found []item
	for start := 0; start < len(sks); start += maxBatchGet {
		var keys []item
		for _, sk := range sks[start:min(start+maxBatchGet, len(sks))] {
			keys = append(keys, key(pk, sk))
		}
		pending := map[string]types.KeysAndAttributes{t.name: {Keys: keys, ConsistentRead: aws.Bool(true)}}
		for len(pending) > 0 {
			out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: pending})
			if err != nil {
				return nil, wrap("dynamodb:BatchGetItem", t.name+"/"+pk, err)
			}
			found = append(found, out.Responses[t.name]...)
			pending = out.UnprocessedKeys
			if len(pending) > 0 && !retry.Sleep(ctx, retry.Jitter(batchGetPause)) {
				return nil, wrap("dynamodb:BatchGetItem", t.name+"/"+pk, context.DeadlineExceeded)
			}
		}
	}
	return found, nil
}

// query describes a read of a partition in the order of its sort keys.
type query struct {
	pk         string
	from, to   string // sort keys, inclusive; both empty: all
	after      string // the sort key before the first one; empty: the first
	descending bool
	limit      int // items; 0: as many as fit into 1 MB
}

// page reads one page, and returns the sort key after which the next one begins, empty at the end.
func (t Table) page(ctx context.Context, q query) (items []item, next string, err error) {
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": text(q.pk)},
		ConsistentRead:            aws.Bool(true),
		ScanIndexForward:          aws.Bool(!q.descending),
	}
	if q.from != "" || q.to != "" {
		in.KeyConditionExpression = aws.String("pk = :pk AND sk BETWEEN :from AND :to")
		in.ExpressionAttributeValues[":from"], in.ExpressionAttributeValues[":to"] = text(q.from), text(q.to)
	}
	if q.after != "" {
		in.ExclusiveStartKey = key(q.pk, q.after)
	}
	if q.limit > 0 {
		in.Limit = aws.Int32(int32(q.limit))
	}
	out, err := t.client.Query(ctx, in)
	if err != nil {
		return nil, "", wrap("dynamodb:Query", t.name+"/"+q.pk, err)
	}
	return out.Items, textOf(out.LastEvaluatedKey, "sk"), nil
}

// update is a conditional change of one item.
type update struct {
	pk, sk    string
	change    string // UpdateExpression
	condition string // empty: none
	names     map[string]string
	values    item
}

func (u update) input(table string) *dynamodb.UpdateItemInput {
	in := &dynamodb.UpdateItemInput{
		TableName: &table, Key: key(u.pk, u.sk), UpdateExpression: &u.change,
		ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	if u.condition != "" {
		in.ConditionExpression = &u.condition
	}
	return in
}

// update writes u. If its condition fails, ok is false and current is the stored item.
func (t Table) update(ctx context.Context, u update) (current item, ok bool, err error) {
	_, err = t.client.UpdateItem(ctx, u.input(t.name))
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return failed.Item, false, nil
	}
	return nil, err == nil, wrap("dynamodb:UpdateItem", t.resource(u.pk, u.sk), err)
}
