// Command drafts lists the platform's draft box over HTTP, and watches it.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	box := newBox(parts)
	table := state.NewTable(dynamodb.NewFromConfig(parts.AWS), parts.Settings.StateTable, parts.Now)
	watch := watcher{box, table.Drafts(parts.Settings.HistoryRetention), parts.Bus, parts.Log.Logger}
	return (&handler{box, watch, parts.Log}).triggers()
}
