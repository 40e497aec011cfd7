// Command callback receives what WeChat pushes to the platform: tickets, and the authorisations of accounts.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	parameters := parameter.New(ssm.NewFromConfig(parts.AWS), parts.Settings.ParameterPrefix).EncryptedWith(parts.Settings.KMSKey)
	h := &handler{Renewer: renewal.New(parts, parameters)}
	if url := parts.Settings.AuthorizationQueueURL; url != "" {
		h.queue = &authorizations{sqs.NewFromConfig(parts.AWS), url}
	}
	return h.triggers()
}
