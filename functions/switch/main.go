// Command switch checks the draft switches of Official Accounts and opens them, over HTTP and by survey.
package main

import (
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(deps bootstrap.Deps) trigger.Router { return newHandler(deps).router() }
