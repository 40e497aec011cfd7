package main

import (
	"wechat-draftbox/pkg/eventbus"
	"wechat-draftbox/pkg/robot"
)

// words are the fixed texts of a language. They contain no markup characters of any chat.
type words struct {
	events map[string]string // the name of each detail-type

	colon, comma   string
	titleOfSeveral string // the first event's name, and how many more there are
	more           string

	versionOf, noVersion         string // a version of a mini program
	named                        string // a name and an appid
	someMiniProgram, someAccount string
	developer, description       string
	draftID, replaced            string

	kinds       map[string]string // of accounts
	ofKind      string            // an account, and its kind
	switchTo    string
	states      map[string]string // of draft switches
	reauthorize string

	componentToken, accountToken   string
	errcodeAndMessage, errcode     string
	reason, todo, fetchedAgain     string
	test, testEvents, testNoEvents string

	action func(errcode int, action text) string // what to do, and who does it
}

func (w words) eventName(detailType string) string {
	if name := w.events[detailType]; name != "" {
		return name
	}
	return detailType
}

func english() words {
	return words{
		events: map[string]string{
			eventbus.DraftUploaded:       "New draft",
			eventbus.DraftRemoved:        "Draft removed",
			eventbus.DraftSwitchChanged:  "Draft switch changed",
			eventbus.AccountAuthorized:   "Account authorized",
			eventbus.AccountUnauthorized: "Authorization ended",
			eventbus.TokenRejected:       "Token rejected",
			eventbus.TokenRefreshFailed:  "Token refresh failed",
			robot.PushReceived:           "Push received",
		},
		colon: ": ", comma: ", ", titleOfSeveral: "%s, and %d more", more: "… and %d more",
		versionOf: "version %s of %s", noVersion: "a draft of %s", named: "%s (%s)",
		someMiniProgram: "an unnamed mini program", someAccount: "an unnamed account",
		developer: "Developer: %s", description: "Description: %s", draftID: "Draft id: %s", replaced: "Replaces version %s",
		kinds:  map[string]string{"official-account": "Official Account", "mini-program": "mini program"},
		ofKind: "%s, %s", switchTo: "%s, from %s to %s", states: map[string]string{"open": "open", "closed": "closed", "unknown": "unknown"},
		reauthorize:    "To do: the account's administrator has to authorize the platform again, if this was not intended.",
		componentToken: "the platform's component token", accountToken: "account %s",
		errcodeAndMessage: "WeChat: %d %s", errcode: "WeChat: errcode %d", reason: "Reason: %s", todo: "To do: %s",
		fetchedAgain: "The bundle fetches a new one.",
		test:         "Test of wechat-draftbox", testEvents: "This chat receives: %s",
		testNoEvents: "This chat receives no events.",
		action:       englishAction,
	}
}

func chinese() words {
	return words{
		events: map[string]string{
			eventbus.DraftUploaded:       "新草稿",
			eventbus.DraftRemoved:        "草稿已移除",
			eventbus.DraftSwitchChanged:  "草稿箱开关变化",
			eventbus.AccountAuthorized:   "账号已授权",
			eventbus.AccountUnauthorized: "账号授权已结束",
			eventbus.TokenRejected:       "令牌被拒绝",
			eventbus.TokenRefreshFailed:  "令牌刷新失败",
			robot.PushReceived:           "收到推送",
		},
		colon: "：", comma: "、", titleOfSeveral: "%s，另有 %d 条", more: "……另有 %d 条",
		versionOf: "%[2]s的版本 %[1]s", noVersion: "%s的草稿", named: "%s（%s）",
		someMiniProgram: "未知小程序", someAccount: "未知账号",
		developer: "开发者：%s", description: "描述：%s", draftID: "草稿 ID：%s", replaced: "替换了版本 %s",
		kinds:  map[string]string{"official-account": "公众号", "mini-program": "小程序"},
		ofKind: "%s，%s", switchTo: "%s，由%s变为%s", states: map[string]string{"open": "已开启", "closed": "未开启", "unknown": "未知"},
		reauthorize:    "处理：如非本意，请账号管理员重新授权第三方平台。",
		componentToken: "第三方平台的 component_access_token", accountToken: "账号 %s",
		errcodeAndMessage: "微信返回：%d %s", errcode: "微信返回：errcode %d", reason: "原因：%s", todo: "处理：%s",
		fetchedAgain: "本程序会重新获取。",
		test:         "wechat-draftbox 测试消息", testEvents: "本群会收到：%s", testNoEvents: "本群不接收任何事件。",
		action: chineseAction,
	}
}
