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

// ForBatches is cfg with more attempts, for clients that process many accounts in one invocation. Such runs are throttled
// routinely, and after the SDK's default of three attempts an account would be skipped until the next run.
func ForBatches(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = batchAttempts, batchMaxBackoff, ratelimit.None
		})
	}
	return cfg
}
