// Command callback receives what WeChat pushes to the platform: tickets and account authorizations.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router {
	var queue *authorizations
	if url := deps.Settings.AuthorizationQueueURL; url != "" {
		queue = &authorizations{sqs.NewFromConfig(deps.AWS), url}
	}
	return newHandler(renewal.New(deps), queue).router()
}
