// Package tokens reads the WeChat tokens that wechat-draftbox keeps fresh. It is there to be copied: see docs/tokens.md.
package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// Token is one token: an account's, or the platform's where AppID is empty.
type Token struct {
	AWS    aws.Config
	AppID  string
	Prefix string // the stack's SecretPrefix
	Table  string // the output TokenTableName; empty where the accounts' tokens are secrets
	Bus    string // the output EventBusName

	mu          sync.Mutex
	record      record
	until, told time.Time
}

type record struct {
	Value     string    `json:"access_token"`
	ExpiresAt time.Time `json:"expires_at"`
	version   string
}

// Get returns the token. It is kept for five minutes, for which WeChat accepts one that was replaced, and never past its end.
func (t *Token) Get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.until) {
		if err := t.read(ctx); err != nil {
			return "", err
		}
	}
	return t.record.Value, nil
}

// Refused is for the errcodes 40001, 40014, 42001 and 42006. It reports whether there is another token, to be tried once.
// If not, it asks the bundle to renew this one, once a minute at most.
func (t *Token) Refused(ctx context.Context, value string, errcode int) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.read(ctx); err != nil {
		return false, err
	}
	if t.record.Value != value || time.Since(t.told) < time.Minute {
		return t.record.Value != value, nil
	}
	detail, _ := json.Marshal(map[string]any{"appid": t.AppID, "errcode": errcode, "version_id": t.record.version})
	out, err := eventbridge.NewFromConfig(t.AWS).PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []events.PutEventsRequestEntry{{
		EventBusName: &t.Bus, Source: aws.String("wechat.draftbox"), DetailType: aws.String("Token Rejected"),
		Resources: []string{t.Prefix}, Detail: aws.String(string(detail)),
	}}})
	if err == nil && out.FailedEntryCount > 0 {
		err = errors.New("EventBridge did not accept Token Rejected")
	}
	if err == nil {
		t.told = time.Now()
	}
	return false, err
}

func (t *Token) read(ctx context.Context) error {
	load, name := t.secret, "/component-token"
	if t.AppID != "" {
		name = "/accounts/" + t.AppID
	}
	if t.AppID != "" && t.Table != "" {
		load, name = t.item, t.AppID
	}
	r, err := load(ctx, name)
	if err != nil {
		return err
	}
	if r.Value == "" {
		return errors.New("the bundle has no token for " + name + " yet")
	}
	t.record, t.until = r, time.Now().Add(5*time.Minute)
	if !r.ExpiresAt.IsZero() && r.ExpiresAt.Before(t.until) {
		t.until = r.ExpiresAt
	}
	return nil
}

func (t *Token) item(ctx context.Context, appID string) (r record, err error) {
	out, err := dynamodb.NewFromConfig(t.AWS).GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.Table, Key: map[string]types.AttributeValue{"appid": &types.AttributeValueMemberS{Value: appID}},
		ProjectionExpression: aws.String("access_token, expires_at"), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return r, err
	}
	if value, ok := out.Item["access_token"].(*types.AttributeValueMemberS); ok {
		r.Value = value.Value
	}
	if ends, ok := out.Item["expires_at"].(*types.AttributeValueMemberS); ok {
		r.ExpiresAt, err = time.Parse(time.RFC3339, ends.Value)
	}
	return r, err // version_id stays empty: this system may not read it
}

func (t *Token) secret(ctx context.Context, name string) (r record, err error) {
	out, err := secretsmanager.NewFromConfig(t.AWS).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(t.Prefix + name)})
	if err != nil {
		return r, err
	}
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &r) != nil {
		return r, errors.New(t.Prefix + name + " can't be read") // the decoder's own error may quote the secret
	}
	r.version = aws.ToString(out.VersionId)
	return r, nil
}
