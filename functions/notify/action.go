package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"wechat-draftbox/pkg/wechat"
)

// knownCode returns the code whose advice the action is. It can differ from errcode: 40001 has several reasons.
func knownCode(errcode int, action text) (code int, ok bool) {
	for _, code := range append([]int{errcode}, slices.Sorted(maps.Keys(chineseActions))...) {
		known := wechat.Lookup(code)
		if chineseActions[code] != "" && known.Meaning != "" && strings.HasPrefix(string(action), known.Action) {
			return code, true
		}
	}
	return 0, false
}

// englishAction returns the event's action, preceded by who acts.
func englishAction(errcode int, action text) string {
	if code, ok := knownCode(errcode, action); ok {
		known := wechat.Lookup(code)
		return capitalized(string(known.Owner)) + ": " + known.Action
	}
	return string(action)
}

func capitalized(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// chineseAction translates the event's action. Text without a translation stays English: better than none.
func chineseAction(errcode int, action text) string {
	if code, ok := knownCode(errcode, action); ok {
		return withParty(code)
	}
	for _, p := range chinesePhrases {
		if rest, ok := strings.CutPrefix(string(action), p.english); ok {
			if !strings.Contains(p.chinese, "%s") {
				return p.chinese
			}
			return fmt.Sprintf(p.chinese, strings.TrimSuffix(rest, "."))
		}
	}
	if _, known := chineseActions[errcode]; known {
		return withParty(errcode)
	}
	return string(action)
}

func withParty(code int) string {
	return chineseParties[wechat.Lookup(code).Owner] + "：" + chineseActions[code]
}

var chineseParties = map[wechat.Party]string{
	wechat.WeChat: "微信", wechat.Bundle: "本程序", wechat.PlatformOperator: "平台运营者", wechat.AccountAdministrator: "账号管理员",
}

// chinesePhrases translates the actions that belong to no error code, by prefix. %s is the rest of the text.
var chinesePhrases = []struct{ english, chinese string }{
	{"WeChat was asked to push tickets", "已请求微信推送 ticket（约每十分钟一次），下次运行会重试。平台运营者：如果一直收不到，请检查平台设置中的回调地址是否是本程序的地址。"},
	{"The account's administrator: authorise the platform again", "账号管理员：请重新授权第三方平台。"},
	{"The account's administrator: authorise the platform; ", "账号管理员：请授权第三方平台；程序运营者：运行 import-accounts，或写入该账号的令牌。"},
	{"The platform's operator: find out who sends", "平台运营者：请查明是谁在发送其他账号的授权码。"},
	{"The platform's operator: somebody else seems", "平台运营者：似乎有别的程序也在获取这个令牌，双方会互相使对方的令牌失效；请找到它，只让本程序获取。"},
	{"The bundle's operator: run the task import-accounts", "程序运营者：运行任务 import-accounts，或写入自有账号的 appsecret。"},
	{"The bundle's operator: run the task refresh-tokens", "程序运营者：运行任务 refresh-tokens 并查看结果。"},
	{"The bundle's operator: correct what is stored in ", "程序运营者：更正 %s 的内容。"},
	{"The bundle's operator: create ", "程序运营者：创建 %s。"},
	{"The bundle's operator: let the function's role use ", "程序运营者：请允许函数的角色使用（%s）。"},
	{"The bundle's operator: check the functions' way", "程序运营者：检查函数到互联网的通路（子网、NAT 网关）和 WECHAT_API_BASE_URL。"},
	{"Look the errcode up", "平台运营者：请在微信的返回码列表中查询该 errcode。"},
	{"Try again in a moment", "稍后会自动重试。"},
	{"Try again later", "稍后会自动重试；如果一直失败，请程序运营者查看日志。"},
	{"Ask the bundle's operator", "程序运营者：请查看函数的日志。"},
}

const (
	reportIt      = "请报告给本程序的维护者。"
	freshToken    = "本程序管理令牌时无需处理，会重新获取；否则请检查令牌服务是否写入了最新的令牌，以及是否有别的程序在获取同一平台的令牌。"
	nextTicket    = "等待下一次 ticket 推送；如果十分钟内没有收到，请检查平台设置中的回调地址。"
	whitelist     = "请把微信报告的 IP 地址加入平台或账号的 IP 白名单。"
	authorize     = "请账号管理员重新授权第三方平台。"
	confirmIP     = "请账号管理员确认调用方的 IP 地址。"
	grant         = "请账号管理员把所需的权限集授权给第三方平台。"
	checkPlatform = "请检查平台密钥中的 component_appid。"
)

// chineseActions translates the actions of [wechat.Lookup].
var chineseActions = map[int]string{
	-1:    "微信系统繁忙，稍后会重试。",
	40001: freshToken, 40014: freshToken, 42001: freshToken, 42006: freshToken,
	40002: reportIt, 40170: reportIt, 41001: reportIt, 41002: reportIt, 41004: reportIt, 41018: reportIt, 41021: reportIt,
	43001: reportIt, 43002: reportIt, 44002: reportIt, 47001: reportIt, 47002: reportIt, 61020: reportIt,
	76003: reportIt, 76021: reportIt, 76022: reportIt,
	40013: "请更正 appid：平台密钥中的 component_appid，或自有账号的 appid。",
	40066: "请检查 WECHAT_API_BASE_URL；如果无误，请报告给本程序的维护者。",
	40090: whitelist, 45035: whitelist,
	40091: nextTicket, 61005: nextTicket, 61006: nextTicket,
	40094: "请检查平台密钥中的 component_appsecret，以及 ticket 推送是否到达。",
	40125: "AppSecret 错误或已被重置，请写入当前的 AppSecret。",
	40164: "请把微信报告的 IP 地址加入账号的 IP 白名单（公众号设置、基本配置）。",
	40243: "AppSecret 已被冻结，请在微信后台解冻，10 分钟后生效。",
	42002: authorize, 43007: authorize, 61003: "授权已结束，" + authorize,
	42003: "授权码已过期，" + authorize, 61010: "授权码已过期，" + authorize,
	42007: "账号的密码已修改，" + authorize,
	61009: "授权码已被使用；如果没有得到令牌，" + authorize,
	61023: "刷新令牌无效；如果下一次刷新仍失败，" + authorize,
	43003: "WECHAT_API_BASE_URL 请使用 https:// 地址。",
	45009: "当日调用额度已用完：等到北京时间零点，或手动清零（每月 10 次）；调大 DRAFT_CACHE_TTL、放慢 watch-drafts 可以节省额度。",
	45011: "调用过于频繁，至少等待一分钟，并减少调用。",
	48001: "账号本身没有该接口的权限（可能需要认证），请联系账号管理员。",
	48004: "账号因违规被微信禁止使用该接口，请联系账号管理员。",
	48006: "本月的 10 次清零已用完，等待下个月。",
	48009: "微信已下线该接口，草稿功能已对所有账号开放，请停止使用该开关。",
	50001: grant, 61017: grant, 61007: "请账号管理员把该权限集授权给第三方平台（草稿箱开关需要权限集 11）。",
	50002: "账号已被冻结或注销，请联系账号管理员。",
	61000: "请检查 component_appid 是否属于第三方平台。",
	61001: checkPlatform, 61011: checkPlatform,
	61004: "请把微信报告的 IP 地址加入第三方平台的白名单（开放平台、第三方平台、开发资料；点“修改”立即生效，点“编辑”要等全网发布后才生效）。",
	61014: "component-token 密钥里存的是另一种令牌，请存入 component_access_token。",
	61015: "账号的密钥里存的是平台令牌，请存入该账号自己的令牌。",
	61024: "平台的 appid 请写入 component_appid，而不是作为自有账号。",
	61028: "请在平台设置中全网发布。",
	85064: "草稿或模板已不存在，请重新列出；每个小程序只保留最新的草稿。",
	85065: "模板库已满，请先删除不再使用的模板。",
	86000: "请使用已授权第三方平台的账号。",
	89501: "请等待账号管理员处理待确认的 IP 请求。",
	89502: confirmIP, 89503: confirmIP, 89504: confirmIP, 89505: confirmIP,
	89506: "账号管理员已两次拒绝该 IP 地址，24 小时后才能再次请求。",
	89507: "账号管理员已拒绝该 IP 地址，1 小时后才能再次请求。",
}
