// Command drafts lists the platform's draft box over HTTP, and watches it.
package main

import (
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers {
	box := newBox(parts.WeChat, parts.Tokens(parts.Secrets), parts.Settings.DraftCacheTTL, parts.Now)
	return newHandler(box, parts.Log).triggers()
}
