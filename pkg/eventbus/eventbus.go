// Package eventbus publishes the bundle's events on EventBridge.
package eventbus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/retry"
	"wechat-draftbox/pkg/wechat"
)

const (
	source = "wechat.draftbox"
	// EventBridge accepts 10 entries and 256 KB in a request. MaxDetail leaves room for the envelope.
	maxEntries = 10
	maxRequest = 256 << 10
	envelope   = 1 << 10
	// MaxDetail is how large the JSON of an event's detail may be, in bytes.
	MaxDetail = maxRequest - envelope

	tries = 3
	// rejectionTimeout bounds how long publishing a rejected token delays the caller's response.
	rejectionTimeout = 3 * time.Second
)

// The detail-types that the bundle publishes.
const (
	DraftUploaded       = "Draft Uploaded"
	DraftRemoved        = "Draft Removed"
	DraftSwitchChanged  = "Draft Switch Changed"
	AccountAuthorized   = "Account Authorized"
	AccountUnauthorized = "Account Unauthorized"
	TokenRejected       = "Token Rejected"
	TokenRefreshFailed  = "Token Refresh Failed"
	PushReceived        = "Push Received"
)

// Event is one event: its detail-type and its detail, which encodes to a JSON object of at most [MaxDetail] bytes.
type Event struct {
	DetailType string
	Detail     any
}

// ID derives an event's id from the parts that identify it, so that a repeated event has the same id.
func ID(parts ...any) string {
	sum := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(sum, "%v\x00", part)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Bus publishes events.
type Bus struct {
	client *eventbridge.Client
	name   string
	stack  string
	log    *slog.Logger
}

// New makes a bus of the event bus with this name or ARN. stack is the SECRET_PREFIX, the resource of each event, by which
// rules distinguish several stacks on one bus.
func New(client *eventbridge.Client, name, stack string, log *slog.Logger) *Bus {
	return &Bus{client, name, stack, log}
}

// Publish sends events and returns when EventBridge has accepted all of them. Only failed entries are retried. After an
// error some events may have been published.
func (b *Bus) Publish(ctx context.Context, events ...Event) error {
	var batch []types.PutEventsRequestEntry
	size := 0
	for _, event := range events {
		detail, err := wechat.EncodeJSON(event.Detail)
		if err != nil {
			return fmt.Errorf("encode %s: %w", event.DetailType, err)
		}
		if len(batch) == maxEntries || size+len(detail)+envelope > maxRequest && len(batch) > 0 {
			if err := b.put(ctx, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		size += len(detail) + envelope
		batch = append(batch, types.PutEventsRequestEntry{
			EventBusName: aws.String(b.name),
			Source:       aws.String(source),
			Resources:    []string{b.stack},
			DetailType:   aws.String(event.DetailType),
			Detail:       aws.String(string(detail)),
		})
	}
	if len(batch) == 0 {
		return nil
	}
	return b.put(ctx, batch)
}

func (b *Bus) put(ctx context.Context, batch []types.PutEventsRequestEntry) error {
	for try := 1; ; try++ {
		out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: batch})
		if err != nil {
			return awserror.Wrap("events:PutEvents", b.name, err)
		}
		var failed []types.PutEventsRequestEntry
		code := ""
		for i, entry := range out.Entries {
			if entry.ErrorCode != nil && i < len(batch) {
				failed, code = append(failed, batch[i]), *entry.ErrorCode
			}
		}
		if len(failed) == 0 {
			return nil
		}
		if try == tries || !retry.Sleep(ctx, time.Duration(try)*100*time.Millisecond) {
			return &awserror.Error{Operation: "events:PutEvents", Resource: b.name, Kind: awserror.Unavailable, Code: code,
				Detail: fmt.Sprintf("%d entries were not accepted", len(failed))}
		}
		batch = failed
	}
}

// TokenRejected publishes that WeChat refused the stored token of an account, or of the component where appID is
// empty. A failure is only logged, because the caller already reports the refusal.
func (b *Bus) TokenRejected(ctx context.Context, appID string, errcode int, version string) {
	ctx, cancel := context.WithTimeout(ctx, rejectionTimeout)
	defer cancel()
	err := b.Publish(ctx, Event{TokenRejected, struct {
		AppID     string `json:"appid"`
		Errcode   int    `json:"errcode"`
		VersionID string `json:"version_id"`
	}{appID, errcode, version}})
	if err != nil {
		b.log.WarnContext(ctx, "could not publish that a token was rejected", "appid", appID, "error", err.Error())
	}
}
