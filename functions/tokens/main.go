// Command tokens refreshes the access tokens of the platform and its accounts.
package main

import (
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router { return newHandler(deps).router() }
