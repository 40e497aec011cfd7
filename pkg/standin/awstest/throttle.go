package awstest

import (
	"golang.org/x/time/rate"
)

// throttles are the token buckets of an account: per service, one for writes and one for other calls. The zero value
// admits everything. DynamoDB charges by size instead; see [table.charge].
type throttles map[throttleKey]*rate.Limiter

type throttleKey struct {
	service *service
	write   bool
}

func newThrottles() throttles {
	perSecond := func(n int) *rate.Limiter { return rate.NewLimiter(rate.Limit(n), n) }
	return throttles{
		{secretsManager, true}:  perSecond(50),
		{secretsManager, false}: perSecond(10_000),
		{ssm, true}:             perSecond(3),
		{ssm, false}:            perSecond(40),
		{eventBridge, false}:    perSecond(10_000),
		{sqs, false}:            perSecond(10_000),
	}
}

func (t throttles) admit(op operation) error {
	if limiter := t[throttleKey{op.service, op.write}]; limiter != nil && !limiter.Allow() {
		return throttled()
	}
	return nil
}

func throttled() *refusal { return refuse("ThrottlingException", "Rate exceeded") }
