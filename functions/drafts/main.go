// Command drafts lists the platform's draft box over HTTP and watches it for changes.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/state"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router {
	box := newBox(deps)
	table := state.NewTable(dynamodb.NewFromConfig(deps.AWS), deps.Settings.StateTable, deps.Now)
	watch := watcher{box, table.Drafts(deps.Settings.HistoryRetention), deps.Bus, deps.Log.Logger}
	return (&handler{box, watch, deps.Log}).router()
}
