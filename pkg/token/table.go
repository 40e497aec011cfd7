package token

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// TableStore holds the accounts' records in a DynamoDB table with the key appid. Its items have a record's keys as
// attributes, updated_at, and version, a number that each write increments. Other attributes are not touched.
type TableStore struct {
	client *dynamodb.Client
	table  string
	now    func() time.Time
}

// NewTableStore makes a store of the table of that name. now is the wall clock.
func NewTableStore(client *dynamodb.Client, table string, now func() time.Time) TableStore {
	return TableStore{client, table, now}
}

// Name is the table's name.
func (s TableStore) Name() string { return s.table }

// Resource implements [Getter].
func (s TableStore) Resource(owner string) string { return s.table + "/" + owner }

// wrap makes an error of package awserror. A missing table is a configuration error, not a missing record.
func (s TableStore) wrap(operation, resource string, err error) error {
	err = awserror.Wrap(operation, resource, err)
	var failed *awserror.Error
	if errors.As(err, &failed) && failed.Kind == awserror.NotFound {
		failed.Kind = awserror.Denied
	}
	return err
}

func (s TableStore) key(owner string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"appid": &types.AttributeValueMemberS{Value: owner}}
}

// Get implements [Getter].
func (s TableStore) Get(ctx context.Context, owner string) (Record, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: s.key(owner), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return Record{Owner: owner}, s.wrap("dynamodb:GetItem", s.Resource(owner), err)
	}
	if out.Item == nil {
		return Record{Owner: owner}, &awserror.Error{Operation: "dynamodb:GetItem", Resource: s.Resource(owner), Kind: awserror.NotFound, Code: "NoSuchItem"}
	}
	return s.parse(out.Item)
}

func (s TableStore) parse(item map[string]types.AttributeValue) (Record, error) {
	owner, _ := attributeText(item["appid"])
	r := Record{Owner: owner, stored: true, item: item}
	malformed := func(detail string) (Record, error) {
		return r, &awserror.MalformedError{Resource: s.Resource(owner), Detail: detail}
	}
	r.Version, _ = attributeText(item["version"])
	updated, _ := attributeText(item["updated_at"])
	r.UpdatedAt, _ = time.Parse(time.RFC3339Nano, updated)
	for name, field := range r.secrets() {
		value, ok := attributeText(item[name])
		if !ok {
			return malformed(name + " is no string")
		}
		*field = secret.New(strings.TrimSpace(value))
	}
	expires, ok := attributeText(item["expires_at"])
	if ok {
		r.ExpiresAt, ok = parseTimeText(expires)
	}
	if !ok {
		return malformed("expires_at is neither RFC 3339 nor Unix seconds")
	}
	return r, r.check(s.Resource(owner))
}

// attributeText is the attribute's text or number, empty if missing or NULL. ok is false for other types.
func attributeText(value types.AttributeValue) (text string, ok bool) {
	switch v := value.(type) {
	case nil, *types.AttributeValueMemberNULL:
		return "", true
	case *types.AttributeValueMemberS:
		return v.Value, true
	case *types.AttributeValueMemberN:
		return v.Value, true
	}
	return "", false
}

// Put implements [Store]. The write is conditional on all attributes as they were read, not on version alone, because other
// writers of the table may not increment it.
func (s TableStore) Put(ctx context.Context, previous, next Record) (Record, bool, error) {
	version, _ := strconv.ParseInt(previous.Version, 10, 64)
	updatedAt := s.now().UTC().Truncate(time.Millisecond)
	wanted := next.known()
	wanted["updated_at"] = updatedAt.Format(time.RFC3339Nano)
	in := &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.key(previous.Owner),
		ExpressionAttributeNames: map[string]string{"#version": "version"},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":version": &types.AttributeValueMemberN{Value: strconv.FormatInt(version+1, 10)},
		},
		ReturnValues:                        types.ReturnValueAllNew,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	set, remove, conditions := []string{"#version = :version"}, []string(nil), []string(nil)
	n := 0
	for name, value := range wanted {
		alias, text := fmt.Sprintf("#a%d", n), fmt.Sprintf(":new%d", n)
		n++
		in.ExpressionAttributeNames[alias] = name
		if value == "" {
			remove = append(remove, alias)
			continue
		}
		set = append(set, alias+" = "+text)
		in.ExpressionAttributeValues[text] = &types.AttributeValueMemberS{Value: value}
	}
	for _, name := range []string{"version", "access_token", "refresh_token", "appsecret", "expires_at"} {
		alias, text := fmt.Sprintf("#c%d", n), fmt.Sprintf(":old%d", n)
		n++
		in.ExpressionAttributeNames[alias] = name
		if old, there := previous.item[name]; there {
			conditions = append(conditions, alias+" = "+text)
			in.ExpressionAttributeValues[text] = old
		} else {
			conditions = append(conditions, "attribute_not_exists("+alias+")")
		}
	}
	change := "SET " + strings.Join(set, ", ")
	if len(remove) > 0 {
		change += " REMOVE " + strings.Join(remove, ", ")
	}
	in.UpdateExpression, in.ConditionExpression = &change, aws.String(strings.Join(conditions, " AND "))
	return s.put(ctx, in, previous.Owner, next)
}

func (s TableStore) put(ctx context.Context, in *dynamodb.UpdateItemInput, owner string, next Record) (Record, bool, error) {
	out, err := s.client.UpdateItem(ctx, in)
	var lost *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &lost) && lost.Item == nil:
		return Record{Owner: owner}, false, nil // it was deleted
	case errors.As(err, &lost):
		current, err := s.parse(lost.Item)
		if err == nil && current.IsSameAs(next) { // this write succeeded, and its response was lost
			return current, true, nil
		}
		return current, false, err
	case err != nil:
		return Record{}, false, s.wrap("dynamodb:UpdateItem", s.Resource(owner), err)
	}
	current, err := s.parse(out.Attributes)
	return current, true, err
}

// All implements [Store].
func (s TableStore) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for page, err := range s.scan(ctx, nil) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, item := range page {
				if !yield(s.parse(item)) {
					return
				}
			}
		}
	}
}

// Owners implements [Store].
func (s TableStore) Owners(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for page, err := range s.scan(ctx, aws.String("appid")) {
			if err != nil {
				yield(nil, err)
				return
			}
			var owners []string
			for _, item := range page {
				owner, _ := attributeText(item["appid"])
				owners = append(owners, owner)
			}
			if !yield(owners, nil) {
				return
			}
		}
	}
}

// scan reads the table page by page, at most 1 MB each.
func (s TableStore) scan(ctx context.Context, projection *string) iter.Seq2[[]map[string]types.AttributeValue, error] {
	return func(yield func([]map[string]types.AttributeValue, error) bool) {
		pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{
			TableName: &s.table, ProjectionExpression: projection, ConsistentRead: aws.Bool(true),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, s.wrap("dynamodb:Scan", s.table, err))
				return
			}
			if !yield(page.Items, nil) {
				return
			}
		}
	}
}
