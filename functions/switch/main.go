// Command switch checks and opens the draft switches of Official Accounts over HTTP, and checks them all in surveys.
package main

import (
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router { return newHandler(deps).router() }
