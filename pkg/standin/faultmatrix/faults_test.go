package faultmatrix

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/standin/robottest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// fault is a failure of WeChat or AWS during a whole invocation, and its expected effect on the function.
type fault struct {
	name    string
	service string // "wechat", "robots", or AWS's as in IAM actions; empty: nothing goes wrong
	cause   func(w *world, tr trigger)
	meddle  func(w *world) // with the connections, while the warm function is frozen

	slug    string // of the problem that a read ends in; empty: the function bears it
	errcode int    // WeChat's
	again   bool   // it may pass without anybody acting, so that a message is worth a repeat
	lost    bool   // the response to a write doesn't show what WeChat did
	acted   bool   // WeChat did what it was asked for
}

// borne reports whether the result must be as without the fault.
func (f fault) borne() bool { return f.slug == "" }

// refused are WeChat's error codes, with the problem that contract and code table assign.
func refused(slug string, again bool, code int, message ...string) fault {
	name := "errcode " + itoa(code)
	return fault{name: name, service: "wechat", slug: slug, errcode: code, again: again, cause: atWeChat(wechattest.Refuse(code, message...))}
}

// atWeChat applies a fault to all requests of a trigger's call.
func atWeChat(f wechattest.Fault) func(*world, trigger) {
	return func(w *world, tr trigger) {
		f := f.Always()
		if tr.only != nil {
			f = f.When(tr.only)
		}
		w.wechat.Fail(tr.path, f)
	}
}

// once applies it to the first request only.
func once(f wechattest.Fault) func(*world, trigger) {
	return func(w *world, tr trigger) {
		f := f.Times(1)
		if tr.only != nil {
			f = f.When(tr.only)
		}
		w.wechat.Fail(tr.path, f)
	}
}

// unusable is a response that can't be parsed.
func unusable(name string, f wechattest.Fault, acted bool) fault {
	return fault{name: name, service: "wechat", slug: "bad-upstream-answer", again: true, lost: true, acted: acted, cause: atWeChat(f)}
}

// broken is a connection that ends without a response.
func broken(name string, f wechattest.Fault, acted bool) fault {
	return fault{name: name, service: "wechat", slug: "wechat-unreachable", again: true, lost: true, acted: acted, cause: atWeChat(f)}
}

// silent is a response after the time-out.
func silent(name string, f wechattest.Fault, acted bool) fault {
	return fault{name: name, service: "wechat", slug: "wechat-timeout", again: true, lost: true, acted: acted, cause: atWeChat(f)}
}

// odd is an unusual response that must be accepted.
func odd(name string, change func([]byte) []byte) fault {
	return fault{name: name, service: "wechat", acted: true, cause: atWeChat(wechattest.Rewrite(change))}
}

// replaced changes the beginning of a response, which is a JSON object.
func replaced(old, with string) func([]byte) []byte {
	return func(body []byte) []byte { return bytes.Replace(body, []byte(old), []byte(with), 1) }
}

var numbers = regexp.MustCompile(`:(-?[0-9]+)`)

// address is the apparent source of the calls.
const address = "198.51.100.154"

// elsewhere is a redirect's target, which must not be followed: the query holds a token.
const elsewhere = "/elsewhere"

const refusedConnection = "connection refused"

var faultsOfWeChat = []fault{
	{name: "none"},
	{name: "errcode -1, busy", service: "wechat", slug: "wechat-busy", errcode: -1, again: true, lost: true, cause: atWeChat(wechattest.Refuse(-1))},
	refused("token-rejected", true, 40001),
	refused("misconfigured", false, 40013),
	refused("token-rejected", true, 40014),
	refused("egress-ip-not-whitelisted", false, 40164, "invalid ip "+address+" ipv6 ::ffff:"+address+", not in whitelist"),
	refused("token-rejected", true, 42001),
	refused("not-granted", false, 42002),
	refused("quota-exceeded", true, 45009),
	refused("quota-exceeded", true, 45011),
	refused("not-granted", false, 48001),
	refused("not-granted", false, 50002),
	refused("interface-retired", false, 48009),
	refused("not-granted", false, 61003),
	refused("egress-ip-not-whitelisted", false, 61004, "access clientip is not registered requestIP: "+address),
	refused("not-granted", false, 61007),
	refused("misconfigured", false, 61014),
	refused("bad-upstream-answer", false, 61023),
	refused("bad-upstream-answer", false, 99999),
	unusable("a page of HTML", wechattest.Raw("<html><body>502 Bad Gateway</body></html>"), false),
	unusable("an empty answer", wechattest.Raw(""), false),
	unusable("the JSON null", wechattest.Raw("null"), false),
	unusable("an answer cut short", wechattest.CutShort(), true),
	unusable("half of the JSON", wechattest.Rewrite(wechattest.HalfOf), true),
	unusable("an answer over 8 MB", wechattest.Huge(), true),
	unusable("HTTP status 500", wechattest.Status(500, ""), false),
	unusable("HTTP status 502 after it was done", wechattest.Status(502, "").After(), true),
	{name: "HTTP status 404", service: "wechat", slug: "bad-upstream-answer", again: true, lost: true, cause: atWeChat(wechattest.Status(404, ""))},
	unusable("a redirect", wechattest.Redirect(elsewhere), false),
	odd("a byte order mark", wechattest.WithBOM),
	odd("raw control characters", replaced("{", "{\"note\":\"a\x01b\tc\nd\",")),
	odd("numbers as strings", func(body []byte) []byte { return numbers.ReplaceAll(body, []byte(`:"$1"`)) }),
	odd("no errcode", func(body []byte) []byte {
		return bytes.Replace(replaced(`"errcode":0,"errmsg":"ok",`, "")(body), []byte(`"errcode":0,"errmsg":"ok"`), nil, 1)
	}),
	{name: "a slow drip that ends in time", service: "wechat", acted: true, cause: atWeChat(wechattest.Drip(100 * time.Microsecond))},
	silent("a slow drip without end", wechattest.Drip(time.Second), true),
	silent("no answer", wechattest.Hang(), false),
	broken("dropped before it was done", wechattest.Drop(), false),
	broken("dropped after it was done", wechattest.Drop().After(), true),
	broken("reset", wechattest.Reset(), false),
	{name: refusedConnection, service: "wechat", slug: "wechat-unreachable", again: true, cause: func(w *world, _ trigger) { w.toWeChat.down() }},
	{name: "busy once", service: "wechat", lost: true, cause: once(wechattest.Refuse(-1))},
	{name: "dropped once", service: "wechat", lost: true, cause: once(wechattest.Drop())},
	{name: "connections closed during a freeze", service: "wechat", acted: true, meddle: func(w *world) { w.toWeChat.hangUp(); w.toAWS.hangUp() }},
	{name: "connections dead after a freeze", service: "wechat", acted: true, meddle: func(w *world) { w.toWeChat.forget() }},
}

// atRobot applies a fault to all messages to one of the two robots.
func atRobot(name string, f robottest.Fault, taken bool) fault {
	return fault{name: name, service: "robots", slug: "unreachable", again: true, acted: taken,
		cause: func(w *world, _ trigger) { w.chat.Fail(brokenRobot.Name, f.Sticky()) }}
}

var faultsOfRobots = []fault{
	atRobot("a refusal", robottest.Refuse(93000, "invalid webhook url"), false),
	atRobot("a page of HTML", robottest.HTML(), false),
	atRobot("HTTP status 500", robottest.Answer(500, ""), false),
	atRobot("no answer", robottest.Hang(), false),
	atRobot("dropped before it was done", robottest.Drop(), false),
	atRobot("dropped after it was done", robottest.DropAfter(), true),
}

// atAWS applies it to all calls of the fault's service.
func atAWS(service string, f awstest.Fault) func(*world, trigger) {
	return func(w *world, _ trigger) { w.aws.Fail(service+":*", f.Sticky()) }
}

func faultsOf(service, throttling string) []fault {
	all := []fault{
		{name: "throttled", slug: "aws-unavailable", again: true, cause: atAWS(service, awstest.Refuse(throttling, 400))},
		{name: "access denied", slug: "misconfigured", cause: atAWS(service, awstest.Deny())},
		{name: "internal failure", slug: "aws-unavailable", again: true, cause: atAWS(service, awstest.Refuse("InternalFailure", 500))},
		{name: "no answer", slug: "aws-unavailable", again: true, cause: atAWS(service, awstest.Hang())},
		{name: "dropped before it was done", slug: "aws-unavailable", again: true, cause: atAWS(service, awstest.Drop())},
		{name: "dropped after it was done", slug: "aws-unavailable", again: true, acted: true, cause: atAWS(service, awstest.DropAfter())},
		{name: "a page of HTML", slug: "aws-unavailable", again: true, acted: true, cause: atAWS(service, awstest.Garbage())},
		{name: "throttled once", cause: func(w *world, _ trigger) { w.aws.Fail(service+":*", awstest.Refuse(throttling, 400)) }},
		{name: "dropped once after it was done", cause: func(w *world, _ trigger) { w.aws.Fail(service+":*", awstest.DropAfter()) }},
	}
	for i := range all {
		all[i].service = service
	}
	return all
}

// missing and malformed are the operator's errors, not AWS's.
const (
	missing     = "missing"
	malformed   = "malformed"
	otherWriter = "another writer at the same time"
)

// raceForItems changes each item of an account just before the function first writes it.
func raceForItems(w *world, _ trigger) {
	for _, appID := range []string{closed, open, notGranted, own} {
		w.aws.Fail("dynamodb:UpdateItem",
			awstest.Before(func() { w.touch(stateTable, "account", appID, "name", "Renamed") }).On(stateTable+"/account/"+appID),
			awstest.Before(func() { w.touch(tokenTable, appID, "", "version", 7) }).On(tokenTable+"/"+appID))
	}
}

// touch sets an attribute of an existing item.
func (w *world) touch(table, hashKey, rangeKey, attribute string, value any) {
	if item, ok := w.aws.Item(table, hashKey, rangeKey); ok {
		item[attribute] = value
		w.aws.SetItem(table, item)
	}
}

// allFaults are in the order of the tables.
func allFaults() []fault { return slices.Concat(faultsOfWeChat, faultsOfRobots, faultsOfAWS) }

var faultsOfAWS = slices.Concat(
	faultsOf("secretsmanager", "ThrottlingException"),
	[]fault{
		{name: missing, service: "secretsmanager", slug: "misconfigured", cause: func(w *world, _ trigger) {
			w.aws.Fail("secretsmanager:GetSecretValue", awstest.Refuse("ResourceNotFoundException", 400).Sticky())
		}},
		{name: malformed, service: "secretsmanager", slug: "misconfigured", cause: truncateSecrets},
		{name: "not to be decrypted", service: "secretsmanager", slug: "misconfigured", cause: atAWS("secretsmanager", awstest.Refuse("DecryptionFailure", 400))},
	},
	faultsOf("ssm", "ThrottlingException"),
	[]fault{
		{name: otherWriter, service: "ssm", cause: func(w *world, _ trigger) {
			w.aws.Fail("ssm:PutParameter", awstest.Refuse("TooManyUpdates", 400))
		}},
	},
	faultsOf("dynamodb", "ProvisionedThroughputExceededException"),
	[]fault{
		{name: missing, service: "dynamodb", slug: "misconfigured", cause: atAWS("dynamodb", awstest.Refuse("ResourceNotFoundException", 400))},
		{name: otherWriter, service: "dynamodb", cause: raceForItems},
		{name: "a part of a batch comes later", service: "dynamodb", cause: func(w *world, _ trigger) {
			w.aws.Fail("dynamodb:BatchGetItem", awstest.FailEntries("", 0))
		}},
	},
	faultsOf("events", "ThrottlingException"),
	[]fault{
		{name: "an entry fails once", service: "events", cause: func(w *world, _ trigger) {
			w.aws.Fail("events:PutEvents", awstest.FailEntries("InternalFailure", 0))
		}},
		{name: "an entry fails", service: "events", slug: "aws-unavailable", again: true, cause: func(w *world, _ trigger) {
			w.aws.Fail("events:PutEvents", awstest.FailEntries("InternalFailure", 0).Sticky())
		}},
	},
	faultsOf("sqs", "RequestThrottled"),
	[]fault{
		{name: "an entry fails once", service: "sqs", cause: func(w *world, _ trigger) {
			w.aws.Fail("sqs:SendMessageBatch", awstest.FailEntries("InternalError", 0))
		}},
	},
)

// truncateSecrets cuts the end off every secret; [world.heal] restores it.
func truncateSecrets(w *world, _ trigger) {
	w.spoilt = map[string]string{}
	for _, name := range []string{"platform", "notify", "component-token", "accounts/" + closed, "accounts/" + open, "accounts/" + own} {
		if text, _, there := w.aws.Secret(secrets + name); there {
			w.spoilt[name] = text
			w.aws.SetSecret(secrets+name, cut(text))
		}
	}
}

func cut(text string) string { return strings.TrimSuffix(text, "}") }

// heal ends a fault.
func (w *world) heal(f fault) {
	w.wechat.Heal("")
	w.aws.Heal("")
	w.chat.Heal(brokenRobot.Name)
	if f.name == refusedConnection {
		w.toWeChat.up()
	}
	for name, text := range w.spoilt {
		if now, _, _ := w.aws.Secret(secrets + name); now == cut(text) {
			w.aws.SetSecret(secrets+name, text)
		}
	}
}

// endWaits ends the waits after a fault as time would: those of tokens, and the five seconds for which callback caches
// a failure to read the platform's secret.
func (w *world) endWaits(tr trigger, f fault) {
	for _, item := range w.aws.Items(stateTable) {
		if item["pk"] == "wait" && item["wait_until"] != nil {
			item["wait_until"] = time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
			w.aws.SetItem(stateTable, item)
		}
	}
	if tr.function == "callback" && f.service == "secretsmanager" && !f.borne() {
		time.Sleep(rememberedFor)
	}
}

// rememberedFor is how long callback caches a failure to read the platform's secret.
const rememberedFor = 5 * time.Second

// waits reports whether a token, by the key of its wait, must wait after a failed fetch.
func (w *world) waits(key string) bool {
	item, found := w.aws.Item(stateTable, "wait", key)
	return found && item["failures"] != json.Number("0")
}
