// Command callback receives what WeChat pushes to the platform: tickets, and the authorisations of accounts.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	h := &handler{renewer: renewal.New(parts)}
	if url := parts.Settings.AuthorizationQueueURL; url != "" {
		h.queue = &authorizations{sqs.NewFromConfig(parts.AWS), url}
	}
	return h.triggers()
}
