package bootstrap

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

const (
	batchAttempts   = 9
	batchMaxBackoff = 4 * time.Second
)

// ForBatches is cfg for clients that work on many accounts in one invocation. The SDK gives up on a throttled call after
// three attempts, which suits somebody who waits for an answer; a run over thousands of accounts is throttled as a matter
// of course, and an account that was given up is lost until the next run.
func ForBatches(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = batchAttempts, batchMaxBackoff, ratelimit.None
		})
	}
	return cfg
}
