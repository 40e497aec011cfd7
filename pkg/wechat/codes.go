package wechat

import (
	"cmp"
	"slices"
)

// Class groups error codes by how they are handled.
type Class int

// The classes. A code that isn't in the table is Other.
const (
	Other         Class = iota
	Busy                // WeChat is overloaded; wait
	TokenRefused        // the access token is wrong, superseded or expired
	NotGranted          // the account did not grant it, has to authorise again, or is restricted
	Misconfigured       // the operator's settings are wrong
	Whitelist           // the calling address is not whitelisted
	DayQuota            // until midnight in Beijing
	MinuteQuota         // for a minute
	NotFound            // no such draft or template
	LibraryFull         // no room for another template
	Retired             // WeChat removed the interface
)

// String is the class as metrics name it.
func (c Class) String() string {
	return [...]string{"other", "busy", "token-refused", "not-granted", "misconfigured", "whitelist", "day-quota",
		"minute-quota", "not-found", "library-full", "retired"}[c]
}

// Party is who can act on an error.
type Party string

// The parties.
const (
	WeChat               Party = "WeChat"
	Bundle               Party = "the bundle"
	PlatformOperator     Party = "the platform's operator"
	AccountAdministrator Party = "the account's administrator"
)

// Retry says whether and when retrying a refused call can help.
type Retry int

// The kinds of retry.
const (
	RetryNever          Retry = iota
	RetryLater                // after a wait
	RetryWithFreshToken       // once, with a fresh token
	RetryWithNewTicket        // with the newest ticket
	RetryAfterFix             // after the owner has acted
)

// Code describes one of WeChat's error codes.
type Code struct {
	Code    int
	Class   Class
	Meaning string
	Owner   Party // who can fix it
	Retry   Retry
	Action  string // what to do, a sentence for people
}

// Lookup finds a code's description. An unknown code has Class Other and the advice to look it up.
//
// https://developers.weixin.qq.com/doc/oplatform/Return_codes/Return_code_descriptions_new.html
func Lookup(code int) Code {
	i, known := slices.BinarySearchFunc(codes, code, func(c Code, code int) int { return cmp.Compare(c.Code, code) })
	if !known {
		return Code{Code: code, Owner: PlatformOperator, Retry: RetryNever,
			Action: "Look the errcode up in WeChat's list of return codes."}
	}
	return codes[i]
}

// Codes whose advice depends on more than the code.
const (
	codeWrongSecret   = 40125
	codeFrozenSecret  = 40243
	codeInvalidTicket = 61006
	codeNotPublished  = 61028
)

// codeUnpublished is the meaning of 61006 right after -1.
var codeUnpublished = Lookup(codeNotPublished)

// accountSettings is where the administrator of an Official Account finds its app secret and its whitelist.
const accountSettings = "微信开发者平台 (developers.weixin.qq.com/platform) → 我的业务 → 公众号 → 开发密钥"

// Advice that depends on whose token or app secret the call took.
const (
	addToPlatformWhitelist = "Add the address that the message names (egress_ip) to the whitelist in the platform's settings (Open Platform, third-party platform, development settings; \"修改\" acts at once, \"编辑\" only after the whole platform is published)."
	addToAccountWhitelist  = "Add the address that the message names (egress_ip) to the account's whitelist: " + accountSettings + "."
	unfreezePlatformSecret = "Unfreeze the app secret in the platform's settings on the Open Platform; that takes ten minutes to act."
	unfreezeAccountSecret  = "Unfreeze the account's app secret (" + accountSettings + "); that takes ten minutes to act."
	replaceAccountSecret   = "Put the account's current app secret (" + accountSettings + ") into its secret: it is wrong or was reset."
)

// namesWhitelist reports whether the remedy is to add the address to a whitelist; the other codes of the class need
// an administrator's confirmation.
func (c Code) namesWhitelist() bool { return c.Class == Whitelist && c.Retry == RetryAfterFix }

// codes is sorted by Code and read-only.
var codes = []Code{
	{-1, Busy, "busy", WeChat, RetryLater,
		"Wait a few seconds and try again: WeChat is busy."},
	{40001, TokenRefused, "wrong token, superseded token, or wrong secret, or token of another account", Bundle, RetryWithFreshToken,
		"Nothing, if the bundle manages the tokens: it fetches a new one. Otherwise the token server has to write the newest token; look for a second program that fetches tokens of the same platform."},
	{40002, Other, "coding error", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{40013, Misconfigured, "config", PlatformOperator, RetryAfterFix,
		"Correct the appid: component_appid in the platform secret, or the own account's."},
	{40014, TokenRefused, "malformed/unknown token", Bundle, RetryWithFreshToken,
		"Nothing, if the bundle manages the tokens: it fetches a new one. Otherwise look at what the token server writes."},
	{40066, Other, "wrong path / sitemap", Bundle, RetryNever,
		"Check WECHAT_API_BASE_URL; if it is right, report it to the bundle's maintainers."},
	{40090, Whitelist, "egress IP", PlatformOperator, RetryAfterFix,
		"Add the address that the message names (egress_ip) to the whitelist of the platform or the account."},
	{40091, Other, "ticket bad", Bundle, RetryWithNewTicket,
		"Wait for the next ticket push, ten minutes at most; if none comes, check the callback URL in the platform's settings."},
	{40094, Other, "secret or ticket", PlatformOperator, RetryAfterFix,
		"Check component_appsecret in the platform secret and that ticket pushes arrive."},
	{40125, Misconfigured, "secret wrong or was reset", PlatformOperator, RetryAfterFix,
		"Put the current app secret into the secret: it is wrong or was reset."},
	{40164, Whitelist, "account whitelist", AccountAdministrator, RetryAfterFix,
		addToAccountWhitelist},
	{40170, Other, "list count > 500", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{40243, Misconfigured, "the account's or platform's app secret was frozen; unfreezing takes effect after 10 minutes; calls with an authorizer token go on working", PlatformOperator, RetryAfterFix,
		"Unfreeze the app secret (the platform's on the Open Platform, an account's in " + accountSettings + "); that takes ten minutes to act."},
	{41001, Other, "coding error", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{41002, Other, "appid missing", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{41004, Other, "appsecret missing", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{41018, Other, "component_appid missing", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{41021, Other, "component_access_token missing", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{42001, TokenRefused, "access_token expired", Bundle, RetryWithFreshToken,
		"Nothing, if the bundle manages the tokens: it fetches a new one. Otherwise check that the token server still runs."},
	{42002, NotGranted, "for authorizers: needs new authorisation", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again."},
	{42003, Other, "code expired", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again: the authorization code ran out."},
	{42006, TokenRefused, "component_access_token expired", Bundle, RetryWithFreshToken,
		"Nothing, if the bundle manages the tokens: it fetches a new one. Otherwise check that the token server still runs."},
	{42007, NotGranted, "access and refresh token exception: user changed password", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again: the password was changed."},
	{43001, Other, "gettemplatelist by POST", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{43002, Other, "draft/switch by GET", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{43003, Other, "require https", Bundle, RetryNever,
		"Use an https:// address in WECHAT_API_BASE_URL."},
	{43007, NotGranted, "account not authorised (clear_quota v2)", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator to authorise the platform."},
	{44002, Other, "a POST without a body where one is wanted", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{45009, DayQuota, "day quota", PlatformOperator, RetryLater,
		"Wait until midnight in Beijing, or clear the quota by hand (10 times a month); a longer DRAFT_CACHE_TTL and a slower watch-drafts schedule spare it."},
	{45011, MinuteQuota, "minute quota", Bundle, RetryLater,
		"Wait at least a minute and call less often."},
	{45035, Whitelist, "whitelist", PlatformOperator, RetryAfterFix,
		"Add the address that the message names (egress_ip) to the whitelist of the platform or the account."},
	{47001, Other, "JSON wrong", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{47002, Other, "`\\uXXXX` in body", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{48001, NotGranted, "the account itself lacks the API", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator: the account itself has no right to this interface (it may have to be verified)."},
	{48004, NotGranted, "account punished", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator: WeChat forbade the account this interface because of irregularities."},
	{48006, Other, "10 a month used", PlatformOperator, RetryLater,
		"Wait for the next month: the quota was cleared 10 times already."},
	{48009, Retired, "possible answer of a retired endpoint such as draft/switch (unverified)", Bundle, RetryNever,
		"Stop using the switch: WeChat retired this interface, since drafts are open to all accounts."},
	{50001, NotGranted, "account did not grant", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator to authorise the platform with this permission."},
	{50002, NotGranted, "account frozen/cancelled", AccountAdministrator, RetryNever,
		"Ask the account's administrator: the account is frozen or cancelled."},
	{61000, Other, "invalid component type", PlatformOperator, RetryAfterFix,
		"Check that component_appid is a third-party platform's."},
	{61001, Other, "component type and appid do not match", PlatformOperator, RetryAfterFix,
		"Check component_appid in the platform secret."},
	{61003, NotGranted, "authorisation ended", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again: the authorisation ended."},
	{61004, Whitelist, "platform whitelist", PlatformOperator, RetryAfterFix,
		addToPlatformWhitelist},
	{61005, Other, "> 12 h without push", PlatformOperator, RetryWithNewTicket,
		"Wait for the next ticket push; if none comes within ten minutes, check the callback URL in the platform's settings."},
	{61006, Other, "never got one, other platform's, mangled in storage", PlatformOperator, RetryWithNewTicket,
		"Wait for the next ticket push; if none comes within ten minutes, check the callback URL in the platform's settings."},
	{61007, NotGranted, "merchant did not grant this permission set to the platform", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator to grant this permission set to the platform (the switch needs set 11)."},
	{61009, Other, "wrong/used auth code", Bundle, RetryNever,
		"Ask the account's administrator to authorise the platform again if its tokens are missing: the authorization code was used already."},
	{61010, Other, "code is expired", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again: the authorization code ran out."},
	{61011, Misconfigured, "wrong component_appid", PlatformOperator, RetryAfterFix,
		"Correct component_appid in the platform secret."},
	{61014, Misconfigured, "authorizer token used on /wxa/gettemplatedraftlist etc.", Bundle, RetryNever,
		"Store the component token in the secret component-token: another kind of token stands there."},
	{61015, Misconfigured, "component token used on draft/switch etc.", Bundle, RetryNever,
		"Store the account's own token in its secret: a component token stands there."},
	{61017, NotGranted, "function category is not authorized", AccountAdministrator, RetryAfterFix,
		"Ask the account's administrator to grant this permission set to the platform."},
	{61020, Other, "err parameter", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{61023, Other, "null, old or foreign refresh token; or authorisation ended", AccountAdministrator, RetryNever,
		"Ask the account's administrator to authorise the platform again if the next refresh fails too: the refresh token is not valid."},
	{61024, Other, "component appid used on cgi-bin/token", Bundle, RetryNever,
		"Store the component's appid as component_appid, not as an own account."},
	{61028, Misconfigured, "not 全网发布", PlatformOperator, RetryAfterFix,
		"Publish the platform (全网发布) in its settings."},
	{76003, Other, "quota/get", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{76021, Other, "quota/get", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{76022, Other, "quota/get", Bundle, RetryNever,
		"Report it to the bundle's maintainers."},
	{85064, NotFound, "draft or template id unknown", Bundle, RetryNever,
		"List again: the draft or template is gone. Each mini program keeps only its newest draft."},
	{85065, LibraryFull, "library at its limit (200)", PlatformOperator, RetryAfterFix,
		"Delete templates that are no longer used, then try again."},
	{86000, Other, "used own token", Bundle, RetryNever,
		"Use an account that authorised the platform."},
	{89501, Whitelist, "IP confirm pending (token call)", AccountAdministrator, RetryLater,
		"Wait, then ask the account's administrator to answer the pending confirmation of the calling address."},
	{89502, Whitelist, "waiting for the admin's confirmation", AccountAdministrator, RetryLater,
		"Ask the account's administrator to confirm the calling address."},
	{89503, Whitelist, "admin must confirm this IP", AccountAdministrator, RetryLater,
		"Ask the account's administrator to confirm the calling address."},
	{89504, Whitelist, "waiting for the admin's confirmation", AccountAdministrator, RetryLater,
		"Ask the account's administrator to confirm the calling address."},
	{89505, Whitelist, "waiting for the admin's confirmation", AccountAdministrator, RetryLater,
		"Ask the account's administrator to confirm the calling address."},
	{89506, Whitelist, "refused twice by the admin, 24 h", AccountAdministrator, RetryLater,
		"Ask the account's administrator: the calling address was refused twice and can be asked for again after 24 hours."},
	{89507, Whitelist, "refused once by the admin, 1 h", AccountAdministrator, RetryLater,
		"Ask the account's administrator: the calling address was refused and can be asked for again after an hour."}}
