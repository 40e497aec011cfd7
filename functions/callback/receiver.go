package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"wechat-draftbox/pkg/api"
	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/push"
)

// retryPlatformAfter is how long a failure to read the platform secret is cached, so that strangers can't make the
// function call Secrets Manager at will.
const retryPlatformAfter = 5 * time.Second

// receiverCache creates the receiver of pushes from the cached platform secret, and caches failures.
type receiverCache struct {
	platform *cache.Value[platform.Platform]
	now      func() time.Time

	mu       sync.Mutex
	failedAt time.Time
	err      error
}

func (c *receiverCache) get(ctx context.Context) (*push.Receiver, error) {
	if err := c.failure(); err != nil {
		return nil, err
	}
	receiver, err := c.create(ctx)
	if err != nil { // including a timeout
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failedAt, c.err = c.now().Round(0), err
	}
	return receiver, err
}

func (c *receiverCache) create(ctx context.Context) (*push.Receiver, error) {
	p, err := c.platform.Get(ctx)
	if err != nil {
		return nil, err
	}
	receiver, err := push.NewReceiver(p.AppID, p.MessageToken, p.EncodingAESKey, p.PreviousAESKey)
	if err != nil {
		return nil, &awserror.MalformedError{Resource: "the platform secret", Detail: err.Error()}
	}
	return receiver, nil
}

func (c *receiverCache) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := c.now().Round(0).Sub(c.failedAt); age >= 0 && age < retryPlatformAfter {
		return c.err
	}
	return nil
}

// refusalLog logs refused requests once a minute, with their count.
type refusalLog struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	loggedAt time.Time
	count    int
}

// note counts a refusal and marks the error as quiet, so that it gets no log line of its own.
func (l *refusalLog) note(ctx context.Context, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if now := l.now().Round(0); now.Sub(l.loggedAt) >= time.Minute || now.Before(l.loggedAt) {
		text := err.Error()
		if cause := unwrap(err); cause != nil {
			text += ": " + cause.Error()
		}
		l.log.WarnContext(ctx, "requests to the callback were refused", "count", l.count, "last", text)
		l.loggedAt, l.count = now, 0
	}
	return &api.Problem{Err: err, Quiet: true}
}

func unwrap(err error) error {
	u, ok := err.(interface{ Unwrap() error })
	if !ok {
		return nil
	}
	return u.Unwrap()
}
