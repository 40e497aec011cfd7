package main

import (
	"context"
	"fmt"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// watch counts the calls of a watch-drafts that finds nothing new.
func watch(ctx context.Context, b *bench, drafts int) ([]row, error) {
	w, err := newWorld(0, drafts, awstest.WithThrottling())
	if err != nil {
		return nil, err
	}
	defer w.close()
	var asked, calls, writes int
	for _, baseline := range []bool{true, false} {
		asked, calls, writes = w.wechat.Calls(wechattest.PathDraftList), w.aws.Calls("dynamodb:*"), w.writes()
		var result struct {
			Drafts, Uploaded, Removed int
			Baseline                  bool
		}
		r, err := w.task(ctx, b, draftsFunction, "watch-drafts", secretsManager, &result)
		if err != nil {
			return nil, err
		}
		if result.Drafts != drafts || result.Uploaded+result.Removed > 0 || result.Baseline != baseline {
			return nil, fmt.Errorf("watch: %.500s", r.payload)
		}
	}
	what := fmt.Sprintf("`watch-drafts` over %d drafts, nothing new", drafts)
	return []row{
		atMost(what+", calls of WeChat", w.wechat.Calls(wechattest.PathDraftList)-asked, 1),
		atMost(what+", calls of DynamoDB", w.aws.Calls("dynamodb:*")-calls, 2),
		atMost(what+", writes", w.writes()-writes, 0),
	}, nil
}
