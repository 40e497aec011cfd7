// Command templates puts drafts into the platform's template library, lists the library and deletes from it, over HTTP.
package main

import (
	"time"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Deps) trigger.Router {
	return newHandler(parts, timing{
		pollInterval: 300 * time.Millisecond, additionTime: 5 * time.Second, historyTimeout: 2 * time.Second,
	}).router()
}
