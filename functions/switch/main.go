// Command switch asks for the draft switches of Official Accounts and opens them, over HTTP and by survey.
package main

import (
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/account"
	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/parameter"
	"wechat-draftbox/pkg/settings"
	"wechat-draftbox/pkg/trigger"
	"wechat-draftbox/pkg/wechat"
)

func main() { bootstrap.Run(wire) }

func wire(parts bootstrap.Parts) trigger.Triggers { return newHandler(parts).triggers() }

func newHandler(parts bootstrap.Parts) handler {
	parameters := parameter.New(ssm.NewFromConfig(parts.AWS), parts.Settings.ParameterPrefix)
	var accountTokens tokenStore = parts.Secrets
	if parts.Settings.AccountTokenStore == settings.ParameterStore {
		accountTokens = parameter.NewTokens(parameters)
	}
	check := checker{parts.WeChat, parts.Tokens(accountTokens), parts.Now}
	records := account.NewRecords(parameters)
	return handler{
		log: parts.Log, check: check,
		opening: opening{
			check: check, opener: wechat.NewSwitchOpener(parts.WeChat), openable: parts.Settings.Openable,
			records: records, bus: parts.Bus, log: parts.Log,
		},
		survey:   newSurvey(parts, check, parameters, accountTokens),
		accounts: accounts{records, parts.Log},
	}
}
