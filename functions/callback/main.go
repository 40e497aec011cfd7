// Command callback receives what WeChat pushes to the platform: tickets, and the authorisations of accounts.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router {
	h := &handler{renewer: renewal.New(deps)}
	if url := deps.Settings.AuthorizationQueueURL; url != "" {
		h.queue = &authorizations{sqs.NewFromConfig(deps.AWS), url}
	}
	return h.router()
}
