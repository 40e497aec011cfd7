// Package ticket stores the newest component_verify_ticket in a SecureString parameter of SSM. WeChat pushes tickets about
// every ten minutes, irregularly, repeatedly and out of order.
package ticket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// Ticket is a ticket and when WeChat made it.
type Ticket struct {
	Text       secret.Value
	CreateTime int64 // Unix seconds
}

// Age is how old the ticket is. WeChat accepts it for 12 hours.
func (t Ticket) Age(now time.Time) time.Duration { return now.Round(0).Sub(time.Unix(t.CreateTime, 0)) }

// ErrNone is the error where no ticket has been stored yet.
var ErrNone = errors.New("no component_verify_ticket was pushed yet")

// Store is the parameter that holds the newest ticket.
type Store struct {
	client *ssm.Client
	name   string
	kmsKey string
}

// NewStore makes the store of the parameter below prefix, which has no slash at its end. kmsKey is the ARN of the key that
// encrypts it; empty is AWS's own.
func NewStore(client *ssm.Client, prefix, kmsKey string) Store {
	return Store{client, prefix + "/component-verify-ticket", kmsKey}
}

// Load reads the newest ticket. The error is [ErrNone] where there is none, else of package awserror.
func (s Store) Load(ctx context.Context) (Ticket, error) {
	t, _, err := s.load(ctx)
	return t, err
}

// load also returns the parameter's keys, because unknown ones survive a rewrite.
func (s Store) load(ctx context.Context) (Ticket, map[string]json.RawMessage, error) {
	out, err := s.client.GetParameter(ctx, &ssm.GetParameterInput{Name: &s.name, WithDecryption: aws.Bool(true)})
	if err = awserror.Wrap("ssm:GetParameter", s.name, err); err != nil {
		if awserror.Is(err, awserror.NotFound) {
			return Ticket{}, nil, ErrNone
		}
		return Ticket{}, nil, fmt.Errorf("read the ticket: %w", err)
	}
	var stored struct {
		Ticket     string `json:"ticket"`
		CreateTime int64  `json:"create_time"`
	}
	var keys map[string]json.RawMessage
	text := []byte(aws.ToString(out.Parameter.Value))
	if json.Unmarshal(text, &stored) != nil || json.Unmarshal(text, &keys) != nil || stored.Ticket == "" {
		return Ticket{}, nil, &awserror.MalformedError{Resource: s.name, Detail: "it holds no ticket"}
	}
	return Ticket{secret.New(stored.Ticket), stored.CreateTime}, keys, nil
}

// Store stores the ticket unless a newer one is stored. A parameter that holds no ticket is overwritten.
//
// SSM has no conditional write. If two pushes overlap, the older ticket may win. That is harmless: unexpired tickets work,
// and the next push comes minutes later.
func (s Store) Store(ctx context.Context, t Ticket) error {
	current, keys, err := s.load(ctx)
	var malformed *awserror.MalformedError
	switch {
	case err != nil && !errors.Is(err, ErrNone) && !errors.As(err, &malformed):
		return err
	case err == nil && current.CreateTime >= t.CreateTime:
		return nil
	}
	if keys == nil {
		keys = make(map[string]json.RawMessage)
	}
	keys["ticket"], _ = json.Marshal(t.Text.Reveal()) // strings and numbers always encode
	keys["create_time"], _ = json.Marshal(t.CreateTime)
	text, _ := json.Marshal(keys)
	in := &ssm.PutParameterInput{
		Name: &s.name, Value: aws.String(string(text)), Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true),
	}
	if s.kmsKey != "" {
		in.KeyId = &s.kmsKey
	}
	if _, err = s.client.PutParameter(ctx, in); err != nil {
		return fmt.Errorf("store the ticket: %w", awserror.Wrap("ssm:PutParameter", s.name, err))
	}
	return nil
}
