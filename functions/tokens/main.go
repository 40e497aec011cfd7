// Command tokens keeps the tokens of the platform and its accounts alive.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/renewal"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	parameters := parameter.New(ssm.NewFromConfig(parts.AWS), parts.Settings.ParameterPrefix).EncryptedWith(parts.Settings.KMSKey)
	return newHandler(parts, renewal.New(parts, parameters), parameters).triggers()
}
