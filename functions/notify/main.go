// Command notify sends the bundle's events to chat robots.
package main

import (
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router { return newHandler(deps).router() }
