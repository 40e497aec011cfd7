package faultmatrix

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"wechat-draftbox/pkg/standin/robottest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// trigger is one way to invoke a function, its setup, and the expected results of faults.
type trigger struct {
	function, name string
	scene          func(w *world) // before the function starts
	before         func(w *world) // before the fault
	event          func(w *world) []byte
	path           string                        // WeChat's call with the faults; empty: none is made
	only           func(wechattest.Request) bool // the requests to path with the faults; nil: all
	opens          bool                          // may open a switch
	waits          string                        // key of a wait before the next call
	inTable        bool                          // the accounts' tokens are in DynamoDB

	// ends are the rules by service. The trigger doesn't use a missing service.
	ends map[string]func(fault) want
	// heals is the result of the same event after the fault.
	heals func(f fault) want
	// checkState returns an error if something was lost that must not be.
	checkState func(w *world, f fault) error
}

// read is the rule for a route that reads.
func read(well want) func(fault) want {
	return func(f fault) want {
		if f.borne() {
			return well
		}
		return problem(f.slug, f.errcode)
	}
}

// state is the rule for users of the state table: any failure of it makes them unavailable.
func state(well want) func(fault) want { return orElse(well, problem("aws-unavailable", 0)) }

// readSwitch is read for an interface that WeChat may retire. Then the count of drafts, which only accounts with a
// draft box get, shows that the switch is open.
func readSwitch(well, retired want) func(fault) want {
	return func(f fault) want {
		if isRetired(f) {
			return retired
		}
		return read(well)(f)
	}
}

func isRetired(f fault) bool { return isGone(f) || f.errcode == 48009 }

func isGone(f fault) bool { return f.name == "HTTP status 404" }

// withinQuota is the rule after a fault: an exhausted daily quota blocks all calls until the day ends.
func withinQuota(well, exceeded want) func(fault) want {
	return func(f fault) want {
		if f.errcode == 45009 {
			return exceeded
		}
		return well
	}
}

// write is the rule for the one mutating call of a route: after a lost response it checks the result, and never
// resends.
func write(well want) func(fault) want {
	return func(f fault) want {
		switch {
		case f.lost && !f.acted:
			return problem("wechat-timeout", 0)
		case f.lost || f.borne():
			return well
		}
		return problem(f.slug, f.errcode)
	}
}

// whatever is the rule where a failure is only logged.
func whatever(well want) func(fault) want { return func(fault) want { return well } }

// orElse is the rule with two results.
func orElse(pass, fail want) func(fault) want {
	return func(f fault) want {
		if f.borne() {
			return pass
		}
		return fail
	}
}

// message is the rule for a queued message.
func message(f fault) want {
	if f.again {
		return again
	}
	return finished
}

// authorization is message for a code. It is retried, since an operator may fix the cause, unless the account refuses
// or WeChat says never to repeat.
func authorization(f fault) want {
	if f.borne() || isFinal(f) {
		return finished
	}
	return again
}

// isFinal reports whether the table of WeChat's codes assigns the failure to the account or forbids repeats.
func isFinal(f fault) bool {
	return f.slug == "not-granted" || slices.Contains([]int{48009, 61014, 61023, 99999}, f.errcode)
}

func task(name string) func(*world) []byte {
	return func(*world) []byte { return []byte(`{"task": "` + name + `"}`) }
}

func gateway(method, path, body string) []byte {
	path, query, _ := strings.Cut(path, "?")
	event, _ := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": map[string]string{},
		"requestContext": map[string]any{
			"requestId": "request", "stage": "$default", "http": map[string]string{"method": method, "path": path, "sourceIp": "192.0.2.1"},
			"authorizer": map[string]any{"iam": map[string]string{"userArn": "arn:aws:iam::123456789012:user/ci"}},
		}, "body": body, "isBase64Encoded": false,
	})
	return event
}

func request(method, path, body string) func(*world) []byte {
	return func(*world) []byte { return gateway(method, path, body) }
}

// pushed is API Gateway's event of a push.
func pushed(w *world, kind string, more ...string) []byte {
	p := w.wechat.Platform()
	now := time.Now()
	query, body := wechattest.EncryptPush(p, wechattest.InfoXML(p.AppID, kind, now, more...), itoa(int(now.Unix())), "nonce", []byte("0123456789abcdef"))
	return gateway("POST", "/wechat/callback?"+query.Encode(), string(body))
}

func batchOf(url, body string) []byte {
	event, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{
		"messageId": "message-1", "receiptHandle": "receipt-1", "body": body, "eventSource": "aws:sqs",
		"eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue", "attributes": map[string]string{"ApproximateReceiveCount": "1"},
	}}})
	return event
}

func (w *world) queue(variable string) string {
	w.aws.CreateQueue(variable)
	url := w.toAWS.url + "/123456789012/" + variable
	w.env = append(w.env, variable+"="+url)
	return url
}

// due makes an owner's token due for renewal.
func due(owner string) func(*world) { return func(w *world) { w.storeToken(owner, 10*time.Minute) } }

const uploads = "Draft Uploaded"

// history is the response with the example's drafts.
var history = want{"200", func(r reply) error {
	code, _, body := r.answer()
	if drafts, _ := body["drafts"].([]any); code != 200 || len(drafts) != 2 {
		return fmt.Errorf("status %d with %v", code, body)
	}
	return nil
}}

var triggers = []trigger{
	{
		function: "drafts", name: "GET /drafts", event: request("GET", "/drafts?fresh=true", ""), path: wechattest.PathDraftList,
		ends:  rules{"wechat": read(status(200, "count", 2)), "secretsmanager": read(status(200, "count", 2))},
		heals: withinQuota(status(200, "count", 2), problem("quota-exceeded", 45009)),
	},
	{
		function: "drafts", name: "GET /drafts/{draft_id}", event: request("GET", "/drafts/0", ""), path: wechattest.PathDraftList,
		ends:  rules{"wechat": read(status(200, "draft_id", 0)), "secretsmanager": read(status(200, "draft_id", 0))},
		heals: withinQuota(status(200, "draft_id", 0), problem("quota-exceeded", 45009)),
	},
	{
		function: "drafts", name: "GET /drafts/history", event: request("GET", "/drafts/history", ""),
		before: func(w *world) { w.invoke([]byte(`{"task": "watch-drafts"}`)) },
		ends:   rules{"dynamodb": state(history)},
		heals:  as(history),
	},
	{
		function: "drafts", name: "watch-drafts", event: task("watch-drafts"), before: func(w *world) {
			w.invoke([]byte(`{"task": "watch-drafts"}`))
			w.wechat.UploadDraft(wechattest.Draft{UserVersion: "2.0.0", SourceMiniProgramAppID: "wx7XXXXXXXXXXXXXXX"})
		}, path: wechattest.PathDraftList,
		scene: func(w *world) { w.env = append(w.env, "TOKEN_CACHE_TTL=0s") },
		ends:  every(orElse(done("done", "uploaded", 1, "removed", 0), functionError), "wechat", "secretsmanager", "dynamodb", "events"),
		// An event published before the crash may be published again, under the same id.
		heals: withinQuota(done("done", "drafts", 3), functionError),
		checkState: func(w *world, f fault) error {
			if f.errcode == 45009 {
				return nil // tomorrow's watch publishes it
			}
			ids := map[any]bool{}
			for _, detail := range w.events(uploads) {
				ids[detail["id"]] = true
			}
			if len(ids) != 1 {
				return fmt.Errorf("%d ids of one upload", len(ids))
			}
			return nil
		},
	},
	{
		function: "notify", name: "an event of the queue", scene: func(w *world) { w.queue("NOTICE_QUEUE_URL") },
		event: func(w *world) []byte { return batchOf("", notice) },
		ends: rules{"robots": orElse(finished, again), "secretsmanager": func(f fault) want {
			switch {
			case f.borne() || f.name == missing: // there are no robots
				return finished
			case f.again:
				return again
			}
			return functionError
		}, "dynamodb": orElse(finished, again)},
		heals:      as(finished),
		checkState: noticed,
	},
	{
		function: "notify", name: "notify-test", event: task("notify-test"),
		ends: rules{"robots": orElse(robotsTested(true, true), robotsTested(false, true)), "secretsmanager": func(f fault) want {
			if f.name == missing {
				return done("done", "robots", "[]")
			}
			return orElse(robotsTested(true, true), functionError)(f)
		}},
		heals: as(robotsTested(true, true)),
	},
	{
		function: "switch", name: "GET draft-switch", event: request("GET", "/accounts/"+closed+"/draft-switch", ""), path: wechattest.PathSwitch,
		ends:  rules{"wechat": readSwitch(status(200, "is_open", false), status(200, "is_open", true)), "secretsmanager": accountSecret(read(status(200, "is_open", false)))},
		heals: as(status(200, "is_open", false)),
	},
	{
		function: "switch", name: "POST draft-switch, its check", event: request("POST", "/accounts/"+closed+"/draft-switch", `{"confirm": "`+closed+`"}`),
		path: wechattest.PathSwitch, only: wechattest.Request.Checks, opens: true,
		ends: openingChecked, heals: openedLater(openingChecked), checkState: opened(openingChecked),
	},
	{
		function: "switch", name: "POST draft-switch, its opening", event: request("POST", "/accounts/"+closed+"/draft-switch", `{"confirm": "`+closed+`"}`),
		path: wechattest.PathSwitch, only: wechattest.Request.Opens, opens: true,
		ends: openingSent, heals: openedLater(openingSent), checkState: opened(openingSent),
	},
	{
		function: "switch", name: "GET /accounts", event: request("GET", "/accounts", ""), scene: func(w *world) { w.storeAccount(open, "closed") },
		ends:  rules{"dynamodb": state(status(200))},
		heals: as(status(200)),
	},
	{
		function: "switch", name: "GET draft-switch, tokens in DynamoDB", event: request("GET", "/accounts/"+closed+"/draft-switch", ""),
		inTable: true,
		ends:    rules{"dynamodb": read(status(200, "is_open", false))},
		heals:   as(status(200, "is_open", false)),
	},
	{
		function: "switch", name: "GET /accounts/{appid}/drafts", event: request("GET", "/accounts/"+open+"/drafts", ""), path: wechattest.PathDraftBatchGet,
		ends:  rules{"wechat": read(status(200, "count", 2)), "secretsmanager": accountSecret(read(status(200, "count", 2)))},
		heals: withinQuota(status(200, "count", 2), problem("quota-exceeded", 45009)),
	},
	{
		function: "switch", name: "check-switches", event: task("check-switches"), path: wechattest.PathSwitch, only: of(open),
		scene: func(w *world) { w.storeAccount(open, "closed") },
		ends: rules{
			"wechat": func(f fault) want {
				if f.name == refusedConnection { // of all accounts
					return notDone("checked")
				}
				if isRetired(f) {
					return done("done", "accounts", 3, "checked", 3)
				}
				return orElse(done("done", "accounts", 3, "checked", 3), done("one without state", "checked", 2))(f)
			},
			"secretsmanager": surveyed, "dynamodb": surveyed,
			"events": orElse(done("done", "accounts", 3, "checked", 3), done("one without state", "checked", 2)),
		},
		heals:      as(done("done", "accounts", 3, "failed", 0)),
		checkState: func(w *world, _ fault) error { return w.publishedOnce("Draft Switch Changed", true) },
	},
	{
		function: "switch", name: "check-switches, with a queue", event: task("check-switches"),
		scene: func(w *world) { w.queue("SWITCH_QUEUE_URL"); w.storeAccount(open, "closed") },
		ends:  rules{"secretsmanager": surveyedInto("queued"), "dynamodb": orElse(done("done", "queued", 3), notDone("queued")), "sqs": orElse(done("done", "queued", 3), notDone("queued"))},
		heals: as(done("done", "queued", 3)),
	},
	{
		function: "switch", name: "a message of the queue", path: wechattest.PathSwitch,
		event: func(*world) []byte { return batchOf("", `{"task": "check-switch", "appid": "`+open+`"}`) },
		scene: func(w *world) { w.storeAccount(open, "closed") },
		ends: rules{"wechat": func(f fault) want {
			if isGone(f) {
				return finished
			}
			return message(f)
		}, "secretsmanager": message, "dynamodb": orElse(finished, again), "events": message},
		heals: as(finished),
		checkState: func(w *world, f fault) error {
			if f.service == "wechat" && !f.again && !f.borne() || isGone(f) || f.slug == "misconfigured" && f.service != "dynamodb" {
				return nil // the message is gone; the next survey asks again
			}
			return w.publishedOnce("Draft Switch Changed", true)
		},
	},
	{
		function: "templates", name: "POST /drafts/{draft_id}/template, its list", event: request("POST", "/drafts/4/template", ""), path: wechattest.PathDraftList,
		ends:  rules{"wechat": read(status(201)), "secretsmanager": read(status(201)), "dynamodb": whatever(status(201))},
		heals: promoted, checkState: oneCopy,
	},
	{
		function: "templates", name: "POST /drafts/{draft_id}/template, its addition", event: request("POST", "/drafts/4/template", ""), path: wechattest.PathAddToTemplate,
		ends:  rules{"wechat": write(status(201))},
		heals: promoted, checkState: oneCopy,
	},
	{
		function: "templates", name: "POST /drafts/latest/template", event: request("POST", "/drafts/latest/template?source_miniprogram_appid=wx6XXXXXXXXXXXXXXX", ""), path: wechattest.PathTemplateList,
		ends:  rules{"wechat": read(status(201)), "secretsmanager": read(status(201)), "dynamodb": whatever(status(201))},
		heals: promoted, checkState: oneCopy,
	},
	{
		function: "templates", name: "GET /templates", event: request("GET", "/templates", ""), path: wechattest.PathTemplateList,
		ends:  rules{"wechat": read(status(200, "size", 0)), "secretsmanager": read(status(200, "size", 0))},
		heals: as(status(200, "size", 0)),
	},
	{
		function: "templates", name: "DELETE /templates/{template_id}", event: request("DELETE", "/templates/0", ""), path: wechattest.PathDeleteTemplate,
		scene: func(w *world) { w.wechat.AddTemplate(wechattest.Template{}) },
		ends:  rules{"wechat": write(status(204)), "secretsmanager": read(status(204))},
		heals: func(f fault) want { return either(status(204), status(404)) },
		checkState: func(w *world, _ fault) error {
			if n := len(w.wechat.Templates()); n != 0 {
				return fmt.Errorf("%d templates are left", n)
			}
			return nil
		},
	},
	{
		function: "tokens", name: "refresh-tokens, the platform's", event: task("refresh-tokens"), path: wechattest.PathComponentToken, scene: due(""), waits: "component",
		ends: rules{"wechat": refreshed, "secretsmanager": func(f fault) want {
			if f.name == malformed { // the component's is replaced only with the platform's own secret
				return notDone("refreshed")
			}
			return refreshedFromStore(f)
		}, "ssm": refreshed, "dynamodb": whatever(done("done", "refreshed", 1, "failed", 0))},
		heals: as(done("done", "failed", 0)), checkState: tokensLive,
	},
	{
		function: "tokens", name: "refresh-tokens, an authorizer's", event: task("refresh-tokens"), path: wechattest.PathAuthorizerToken, scene: due(closed), waits: closed,
		ends:  rules{"wechat": refreshed, "secretsmanager": refreshedFromStore, "dynamodb": whatever(done("done", "refreshed", 1, "failed", 0))},
		heals: as(done("done", "failed", 0)), checkState: tokensLive,
	},
	{
		function: "tokens", name: "refresh-tokens, an own account's", event: task("refresh-tokens"), path: wechattest.PathStableToken, scene: due(own), waits: own,
		ends: rules{"wechat": refreshed, "secretsmanager": func(f fault) want {
			if f.name == missing { // the platform's, which an own account doesn't need
				return done("done, but for the platform's", "refreshed", 1, "failed", 1)
			}
			return refreshedFromStore(f)
		}, "dynamodb": whatever(done("done", "refreshed", 1, "failed", 0))},
		heals: as(done("done", "failed", 0)), checkState: tokensLive,
	},
	{
		function: "tokens", name: "refresh-tokens, an authorizer's in DynamoDB", event: task("refresh-tokens"),
		inTable: true, scene: due(closed),
		ends:  rules{"dynamodb": refreshedFromStore},
		heals: as(done("done", "failed", 0)), checkState: tokensLive,
	},
	{
		function: "tokens", name: "import-accounts", event: task("import-accounts"), path: wechattest.PathAuthorizerList,
		ends: rules{"wechat": orElse(done("done", "accounts", 3, "added", 1), functionError), "secretsmanager": orElse(done("done", "accounts", 3), notDone("added")),
			"dynamodb": orElse(done("done", "accounts", 3, "failed", 0), done("failed", "updated", 0))},
		heals: as(done("done", "accounts", 3, "failed", 0)),
		checkState: func(w *world, f fault) error {
			if _, refresh := w.storedToken(notGranted); refresh == "" {
				return fmt.Errorf("an account was not imported")
			}
			return tokensLive(w, f)
		},
	},
	{
		function: "tokens", name: "move-account-tokens", event: func(*world) []byte { return []byte(`{"task": "move-account-tokens", "to": "dynamodb"}`) },
		ends: rules{"secretsmanager": func(f fault) want {
			if f.borne() {
				return done("done", "moved", 3)
			}
			return notDone("moved")
		}, "dynamodb": orElse(done("done", "moved", 3, "failed", 0), done("failed", "moved", 0, "failed", 3))},
		heals: as(done("done", "failed", 0)),
		checkState: func(w *world, f fault) error {
			for _, id := range []string{closed, open, own} {
				access, _ := w.storedToken(id)
				if copied, _ := w.aws.Item(tokenTable, id, ""); copied["access_token"] != access {
					return fmt.Errorf("the token of %s was not copied", id)
				}
			}
			return tokensLive(w, f)
		},
	},
	{
		function: "tokens", name: "doctor", event: task("doctor"), path: wechattest.PathQuota,
		ends:  every(orElse(done("well", "ok", true), done("ill", "ok", false)), "wechat", "secretsmanager", "ssm", "dynamodb"),
		heals: as(done("well", "ok", true)),
	},
	{
		function: "tokens", name: "tokens", event: task("tokens"),
		ends: rules{"secretsmanager": func(f fault) want {
			if f.name == missing || f.name == malformed { // whose life isn't known
				return done("done", "task", "tokens")
			}
			return orElse(done("done", "task", "tokens"), functionError)(f)
		}, "dynamodb": orElse(done("done", "task", "tokens"), functionError)},
		heals: as(done("done", "task", "tokens")),
	},
	{
		function: "tokens", name: "an authorization of the queue", path: wechattest.PathQueryAuth,
		scene: func(w *world) { w.code = w.wechat.NewCode(notGranted) },
		event: func(w *world) []byte {
			return batchOf("", fmt.Sprintf(`{"task": "authorize", "appid": %q, "authorization_code": %q, "create_time": %d}`, notGranted, w.code, time.Now().Unix()-5))
		},
		ends:       every(authorization, "wechat", "secretsmanager", "dynamodb", "events"),
		heals:      as(finished),
		checkState: authorized,
	},
	{
		function: "tokens", name: "an authorization of the queue, tokens in DynamoDB",
		inTable: true, scene: func(w *world) { w.code = w.wechat.NewCode(notGranted) },
		event: func(w *world) []byte {
			return batchOf("", fmt.Sprintf(`{"task": "authorize", "appid": %q, "authorization_code": %q, "create_time": %d}`, notGranted, w.code, time.Now().Unix()-5))
		},
		ends:       rules{"dynamodb": authorization},
		heals:      as(finished),
		checkState: authorized,
	},
	{
		function: "tokens", name: "the event Token Rejected", path: wechattest.PathComponentToken, waits: "component",
		scene: func(w *world) { w.storeToken("", -time.Minute) },
		event: func(w *world) []byte {
			_, version, _ := w.aws.Secret(secrets + "component-token")
			return fmt.Appendf(nil, `{"detail-type": "Token Rejected", "source": "wechat.draftbox", "detail": {"appid": "", "errcode": 42001, "version_id": %q}}`, version)
		},
		ends: rules{"wechat": as(done("done")), "ssm": as(done("done")), "dynamodb": as(done("done")), "secretsmanager": func(f fault) want {
			if f.borne() || f.name == missing || f.name == malformed {
				return done("done")
			}
			return either(functionError, done("done"))
		}},
		heals: as(done("done")),
		checkState: func(w *world, f fault) error {
			if !f.borne() && f.service == "wechat" && len(w.events("Token Refresh Failed")) == 0 {
				return fmt.Errorf("nobody is told that the refresh failed")
			}
			if f.name == malformed || f.service == "secretsmanager" && f.name == missing {
				return nil // the event was about a version that the operator replaced
			}
			return tokensLive(w, f)
		},
	},
	{
		function: "callback", name: "a ticket", scene: func(w *world) { w.ticket = w.wechat.NewTicket() },
		event: func(w *world) []byte { return pushed(w, "component_verify_ticket", "ComponentVerifyTicket", w.ticket) },
		ends: rules{"secretsmanager": read(success), "ssm": func(f fault) want {
			if f.name == otherWriter { // who stored a ticket that works as well
				return problem("aws-unavailable", 0)
			}
			return state(success)(f)
		}},
		heals: as(success),
		checkState: func(w *world, _ fault) error {
			if text, _, _ := w.aws.Parameter(parameters + "component-verify-ticket"); !strings.Contains(text, w.ticket) {
				return fmt.Errorf("the ticket is lost")
			}
			return nil
		},
	},
	{
		function: "callback", name: "an authorization, into the queue",
		scene: func(w *world) { w.queue("AUTHORIZATION_QUEUE_URL"); w.code = w.wechat.NewCode(notGranted) },
		event: func(w *world) []byte {
			return pushed(w, "authorized", "AuthorizerAppid", notGranted, "AuthorizationCode", w.code)
		},
		ends: rules{"secretsmanager": read(success), "dynamodb": whatever(success), "events": orElse(success, problem("aws-unavailable", 0)),
			"sqs": orElse(success, problem("aws-unavailable", 0))},
		heals: as(success),
		checkState: func(w *world, _ fault) error {
			for _, m := range w.aws.Messages(w.toAWS.url + "/123456789012/AUTHORIZATION_QUEUE_URL") {
				if strings.Contains(m.Body, w.code) {
					return nil
				}
			}
			return fmt.Errorf("the code is lost")
		},
	},
	{
		function: "callback", name: "an authorization, exchanged at once", path: wechattest.PathQueryAuth,
		scene: func(w *world) { w.code = w.wechat.NewCode(notGranted) },
		event: func(w *world) []byte {
			return pushed(w, "authorized", "AuthorizerAppid", notGranted, "AuthorizationCode", w.code)
		},
		ends: rules{"wechat": func(f fault) want {
			if f.borne() || isFinal(f) {
				return success
			}
			return problem("aws-unavailable", 0)
		}, "secretsmanager": read(success), "dynamodb": state(success), "events": orElse(success, problem("aws-unavailable", 0))},
		heals:      as(success),
		checkState: authorized,
	},
	{
		function: "callback", name: "a push of another kind",
		event:      func(w *world) []byte { return pushed(w, "notify_third_fastregisterbetaapp", "appid", closed) },
		ends:       rules{"secretsmanager": read(success), "events": orElse(success, problem("aws-unavailable", 0))},
		heals:      as(success),
		checkState: func(w *world, _ fault) error { return w.publishedOnce("Push Received", true) },
	},
	{
		function: "callback", name: "the end of an authorization",
		event: func(w *world) []byte { return pushed(w, "unauthorized", "AuthorizerAppid", closed) },
		ends: rules{"secretsmanager": read(success), "dynamodb": state(success),
			"events": orElse(success, problem("aws-unavailable", 0))},
		heals: as(success),
		checkState: func(w *world, _ fault) error {
			if account, _ := w.aws.Item(stateTable, "account", closed); account["status"] != "unauthorized" {
				return fmt.Errorf("it is not recorded")
			}
			return w.publishedOnce("Account Unauthorized", true)
		},
	},
}

// notice is an event as the rule enqueues it.
const notice = `{"version": "0", "id": "envelope", "detail-type": "Draft Uploaded", "source": "wechat.draftbox", "account": "123456789012",
	"time": "2026-01-02T03:04:05Z", "region": "us-east-1", "resources": ["wechat/draftbox"],
	"detail": {"id": "event", "draft": {"draft_id": 4, "user_version": "11", "developer": "X"}}}`

// noticed: each robot accepted the event, and a working one only once, unless that could not be recorded.
func noticed(w *world, f fault) error {
	if f.service == "secretsmanager" && f.name == missing {
		return nil // no robot is configured
	}
	for _, r := range []robottest.Robot{brokenRobot, wellRobot} {
		n := len(w.chat.Messages(r.Name))
		if n == 0 || n > 1 && f.service != "dynamodb" && (r != brokenRobot || !f.acted) {
			return fmt.Errorf("the robot %s took %d messages", r.Name, n)
		}
	}
	return nil
}

// robotsTested is the result of testing both robots.
func robotsTested(broken, well bool) want {
	word := "both robots"
	if !broken {
		word = "one robot"
	}
	return want{word, func(r reply) error {
		all, _ := r.result()["robots"].([]any)
		if r.failed || len(all) != 2 {
			return fmt.Errorf("not two robots")
		}
		for i, ok := range []bool{broken, well} {
			if got, _ := all[i].(map[string]any); got["ok"] != ok {
				return fmt.Errorf("the robot %v is %v", got["name"], got["ok"])
			}
		}
		return nil
	}}
}

type rules = map[string]func(fault) want

// every applies one rule to several services.
func every(rule func(fault) want, services ...string) rules {
	all := rules{}
	for _, s := range services {
		all[s] = rule
	}
	return all
}

func as(w want) func(fault) want { return func(fault) want { return w } }

// warm is an event that opens the function's connections and changes nothing.
func (tr trigger) warm(w *world) []byte {
	switch tr.function {
	case "drafts":
		return gateway("GET", "/drafts", "")
	case "switch":
		return gateway("GET", "/accounts/"+closed+"/draft-switch", "")
	case "templates":
		return gateway("GET", "/templates", "")
	case "notify":
		return []byte(`{"task": "notify-test"}`)
	case "tokens":
		return []byte(`{"task": "doctor"}`)
	}
	return pushed(w, "nothing_that_is_known")
}

// of selects requests with a token of the account.
func of(appID string) func(wechattest.Request) bool {
	return func(r wechattest.Request) bool { return r.AppID == appID }
}

// accountSecret is the rule of a read with an account's token: without it, the account is unknown.
func accountSecret(rule func(fault) want) func(fault) want {
	return func(f fault) want {
		if f.name == missing {
			return problem("unknown-account", 0)
		}
		return rule(f)
	}
}

func surveyed(f fault) want { return surveyedInto("checked")(f) }

func surveyedInto(count string) func(fault) want {
	return func(f fault) want {
		switch {
		case f.borne(), count == "queued" && (f.name == missing || f.name == malformed): // only names are read
			return done("done", count, 3)
		}
		return notDone(count)
	}
}

// refreshed is the rule of a run with one due token: the failure is reported, and nothing else changes.
func refreshed(f fault) want {
	if f.borne() {
		return done("done", "refreshed", 1, "failed", 0)
	}
	return want{"failed, and told", func(r reply) error {
		all, _ := r.result()["failures"].([]any)
		if r.failed || len(all) != 1 || r.result()["failed"] != 1.0 || r.result()["refreshed"] != 0.0 {
			return fmt.Errorf("not one failure: %s", r.payload)
		}
		failure, _ := all[0].(map[string]any)
		if failure["errcode"] != float64(f.errcode) || failure["action"] == "" {
			return fmt.Errorf("the failure is %v", failure)
		}
		return nil
	}}
}

func refreshedFromStore(f fault) want {
	if f.borne() {
		return done("done", "refreshed", 1, "failed", 0)
	}
	return notDone("refreshed")
}

// promoted: the first run may have added it.
func promoted(fault) want { return either(status(201), status(200)) }

func oneCopy(w *world, _ fault) error {
	if n := len(w.wechat.Templates()); n != 1 {
		return fmt.Errorf("%d templates of one draft", n)
	}
	return nil
}

// The results of an opening, by the call with the fault.
var (
	openingChecked = rules{"wechat": readSwitch(status(200, "changed", true), status(200, "changed", false)), "secretsmanager": accountSecret(read(status(200, "changed", true))),
		"dynamodb": state(status(200, "changed", true)), "events": whatever(status(200, "changed", true))}
	openingSent = rules{"wechat": func(f fault) want {
		if isGone(f) {
			return problem("interface-retired", 0)
		}
		return write(status(200, "changed", true, "state", "open"))(f)
	}}
)

// isClaimed reports whether the claim of an opening remains until it expires: after a 504, when WeChat may still act,
// and when the function doesn't know that it has one.
func isClaimed(ends rules, f fault) bool {
	return f.service != "" && ends[f.service](f).word == problem("wechat-timeout", 0).word || f.service == "dynamodb" && f.acted
}

func openedLater(ends rules) func(fault) want {
	return func(f fault) want {
		if isClaimed(ends, f) {
			return problem("opening-under-way", 0)
		}
		return status(200, "is_open", true)
	}
}

func opened(ends rules) func(*world, fault) error {
	return func(w *world, f fault) error {
		if a, _ := w.wechat.Account(closed); !a.Open && !isClaimed(ends, f) {
			return fmt.Errorf("the switch isn't open")
		}
		return nil
	}
}

// publishedOnce: an event may come twice, with the same id.
func (w *world) publishedOnce(kind string, wanted bool) error {
	ids := map[any]bool{}
	for _, detail := range w.events(kind) {
		ids[detail["id"]] = true
	}
	if wanted && len(ids) != 1 || len(ids) > 1 {
		return fmt.Errorf("%s: %d ids", kind, len(ids))
	}
	return nil
}

// tokensLive: each stored token is the newest that WeChat issued, and a refresh token still works.
func tokensLive(w *world, _ fault) error {
	for _, owner := range []string{"", closed, open, own} {
		access, refresh := w.storedToken(owner)
		a, _ := w.wechat.Account(owner)
		if access != w.wechat.LiveToken(owner) {
			return fmt.Errorf("the token stored for %q is not the newest", owner)
		}
		if owner == closed && refresh != a.RefreshToken {
			return fmt.Errorf("the refresh token of %s is lost", owner)
		}
	}
	return nil
}

// authorized: the account's tokens are stored and an event says so, unless WeChat refused for good, which is published
// too.
func authorized(w *world, f fault) error {
	if isFinal(f) && len(w.events("Token Refresh Failed")) == 0 {
		return fmt.Errorf("nobody is told that the authorization failed")
	}
	access, _ := w.storedToken(notGranted)
	if live := w.wechat.LiveToken(notGranted); live == "" || access != live {
		return fmt.Errorf("the account's token is not stored")
	}
	return w.publishedOnce("Account Authorized", true)
}
