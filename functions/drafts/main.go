// Command drafts lists the platform's draft box over HTTP, and watches it.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	box := newBox(parts)
	parameters := parameter.New(ssm.NewFromConfig(parts.AWS), parts.Settings.ParameterPrefix)
	watch := watcher{box, parameters, parts.Bus, parts.Log}
	return (&handler{box, watch, parts.Log}).triggers()
}
