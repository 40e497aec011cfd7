package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

const (
	openable  = wechattest.ExampleClosed
	forbidden = "wx00000000000000aa" // closed too, and not in OPENABLE_ACCOUNTS
	// perWorld is how many events one world gets: few enough for the simulated WeChat to remember every request.
	perWorld = 1000
)

// TestNothingElseOpens: of all events there are, only the confirmed POST for an account that OPENABLE_ACCOUNTS names
// makes WeChat open a switch. PROPERTY_REQUESTS says how many events are tried.
func TestNothingElseOpens(t *testing.T) {
	t.Parallel()
	events := 4 * perWorld
	if text := os.Getenv("PROPERTY_REQUESTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil || events < perWorld {
			t.Fatalf("PROPERTY_REQUESTS is %q: it must be a number from %d", text, perWorld)
		}
	}
	for seed := range events / perWorld {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			tryEvents(t, &generator{rand.New(rand.NewPCG(uint64(seed), 0))})
		})
	}
	t.Cleanup(func() {
		fmt.Printf("property: %d events, and only the confirmed ones opened a switch: %t\n", events, !t.Failed())
	})
}

func tryEvents(t *testing.T, g *generator) {
	world := functiontest.New(t)
	world.Env["OPENABLE_ACCOUNTS"], world.Env["LOG_LEVEL"] = openable, "error"
	if g.often(0.5) {
		world.Env["SWITCH_QUEUE_URL"] = world.AWS.CreateQueue("switch")
	}
	for _, id := range accountIDs {
		world.WeChat.AddAccount(wechattest.Account{AppID: id, Authorized: true, Granted: true})
		world.StoreAccountToken(id)
	}
	f := world.Start(wire)
	sent, confirmed := 0, 0
	for range perWorld {
		event, confirms := g.event()
		faulty := g.often(0.05)
		if faulty {
			fault := pick(g, faults...)
			if g.often(0.5) {
				fault = fault.When(opens)
			}
			world.WeChat.Fail(wechattest.PathSwitch, fault)
		}
		f.Invoke(t.Context(), json.RawMessage(event)) // an error is an answer too
		world.WeChat.Heal("")
		world.AWS.DeleteItem(functiontest.StateTable, "opening", openable) // an outcome that isn't known leaves it
		now := world.WeChat.OpenCalls() - sent
		sent += now
		switch {
		case !confirms && now > 0:
			t.Fatalf("%d calls to open a switch, because of\n%s", now, event)
		case confirms && !faulty && now != 1:
			t.Fatalf("%d calls to open a switch, confirmed by\n%s", now, event)
		case confirms && now > 0:
			confirmed++
			world.WeChat.AddAccount(wechattest.Account{AppID: openable, Authorized: true, Granted: true}) // closed again
		}
	}
	if confirmed == 0 {
		t.Error("no event opened anything, so none could have opened too much")
	}

	// The same, by the bytes that were sent.
	requests := world.WeChat.Requests("")
	if len(requests) != world.WeChat.Calls("") {
		t.Fatalf("%d requests are remembered of %d", len(requests), world.WeChat.Calls(""))
	}
	for _, r := range requests {
		token, rest, _ := strings.Cut(strings.TrimPrefix(r.RawQuery, "access_token="), "&")
		switch {
		case r.Path != wechattest.PathSwitch || r.Method != "POST" || r.Body != "{}" || token == "":
			t.Fatalf("%s %s with the body %q", r.Method, r.Path, r.Body)
		case rest == "checkonly=1":
		case rest == "" && r.AppID == openable:
			sent--
		default:
			t.Fatalf("a request for %s with the query %q", r.AppID, rest)
		}
	}
	if sent != 0 {
		t.Errorf("%d opening calls too many", sent)
	}
}

var faults = []wechattest.Fault{
	wechattest.Refuse(-1), wechattest.Refuse(40001), wechattest.Refuse(45011), wechattest.Refuse(61003), wechattest.Raw(""),
	wechattest.Raw(`{"errcode":0}`), wechattest.Raw(`{"errcode":0,"is_open":2}`), wechattest.Drop(), wechattest.Drop().After(),
	wechattest.Status(500, ""), wechattest.Redirect(wechattest.PathSwitch), wechattest.CutShort(),
}

var accountIDs = []string{openable, forbidden, wechattest.ExampleOwn}

// generator makes events, good, odd and hostile.
type generator struct{ *rand.Rand }

func (g *generator) often(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// appID is mostly one that is known.
func (g *generator) appID() string {
	if g.often(0.8) {
		return pick(g, append(accountIDs, openable)...)
	}
	return pick(g, strings.ToUpper(openable), openable+"0", openable[:17], " "+openable, openable+"\x00", openable+"/", "*", "", "wx",
		"../"+openable, forbidden+","+openable, g.text())
}

// text is something that a person with bad intentions may write.
func (g *generator) text() string {
	return pick(g, "", "checkonly", "checkonly=0", "&checkonly=0", "?checkonly=", "#", "%26checkonly=0", "\r\nX: 1", "\x00", "é", "\ufeff", "null", "{}", "[]",
		`{"confirm":"`+openable+`"}`, `","confirm":"`+openable, "true", "-1", strings.Repeat("a", 300), "access_token=x", openable)
}

// query is a query string, with hostile names and values.
func (g *generator) query() string {
	var parts []string
	for range g.IntN(4) {
		parts = append(parts, pick(g, "checkonly", "access_token", "confirm", "appid", "open", "draft_switch", "status", "limit", "next", g.text())+
			"="+pick(g, url.QueryEscape(g.text()), g.text(), "0", "1", openable, "closed"))
	}
	return strings.Join(parts, "&")
}

// event is an event, and whether it is the confirmed POST.
func (g *generator) event() (event []byte, confirms bool) {
	switch n := g.Float64(); {
	case n < 0.90:
		return g.request()
	case n < 0.93:
		return g.encode(g.task()), false
	case n < 0.98:
		return g.encode(g.batch()), false
	case n < 0.995:
		return g.encode(g.rule()), false
	}
	return []byte(pick(g, "null", "[]", "0", `""`, "{", `{"requestContext":null}`, `{"requestContext":{}}`, `{"Records":[]}`, g.text())), false
}

func (g *generator) encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// body is a request's body, and what it confirms.
func (g *generator) body() (body, confirmed string) {
	id := g.appID()
	object := func(name string, value any) string { return string(g.encode(map[string]any{name: value})) }
	switch g.IntN(14) {
	case 0, 1, 2, 3:
		return object("confirm", id), strings.ToValidUTF8(id, "\ufffd")
	case 4:
		return object("confirm", id)[:1] + `"more":[1],"checkonly":0,` + object("confirm", id)[1:], id
	case 5:
		return " \r\n" + object("confirm", id) + "\t", id
	case 6: // of two, the last one counts
		other := g.appID()
		return `{"confirm":` + string(g.encode(other)) + `,"confirm":` + string(g.encode(id)) + `}`, id
	case 7:
		return object(pick(g, "Confirm", "CONFIRM", "confirm ", "", "appid", "conf\u0131rm"), id), ""
	case 8:
		return object("confirm", pick[any](g, true, nil, 1, []string{id}, map[string]string{"confirm": id})), ""
	case 9:
		return object("confirm", id) + pick(g, "}", ",", "{}", object("confirm", id)), ""
	case 10:
		return "[" + object("confirm", id) + "]", ""
	case 11:
		return "confirm=" + id, ""
	case 12:
		return strconv.Quote(id), ""
	}
	text := g.text()
	if text == object("confirm", openable) {
		return text, openable
	}
	return text, ""
}

// path is a path, and the account whose switch it names.
func (g *generator) path() (path, appID string) {
	id := g.appID()
	switch g.IntN(16) {
	case 0, 1, 2, 3, 4, 5, 6, 7:
		return "/accounts/" + url.PathEscape(id) + "/draft-switch", id
	case 8: // every byte escaped
		escaped := ""
		for _, b := range []byte(id) {
			escaped += fmt.Sprintf("%%%02x", b)
		}
		return "/accounts/" + escaped + "/draft-switch", id
	case 9:
		return "/accounts/" + id + pick(g, "/draft-switch/", "//draft-switch", "/draft-switch/open", "/Draft-Switch", "", "/", "/draft-switch%00"), ""
	case 10:
		return pick(g, "/accounts", "/accounts/", "accounts/"+id+"/draft-switch", "//accounts/"+id+"/draft-switch", "/", "", "*"), ""
	case 11:
		return "/accounts/" + forbidden + "/../" + id + "/draft-switch", ""
	case 12:
		return "/accounts/" + url.PathEscape(id+"?checkonly=0") + "/draft-switch", ""
	}
	return "/accounts/" + url.PathEscape(id) + "/draft-switch", id
}

// request is an HTTP request in one of both payload formats.
func (g *generator) request() (event []byte, confirms bool) {
	method := pick(g, "POST", "POST", "POST", "GET", "GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", "")
	path, named := g.path()
	body, confirmed := g.body()
	confirms = method == "POST" && named == openable && confirmed == openable
	sent, isBase64 := body, g.often(0.3)
	if isBase64 {
		sent = base64.StdEncoding.EncodeToString([]byte(body))
		if g.often(0.1) {
			sent, confirms = sent+"*", false
		}
	}
	headers := map[string]string{}
	for range g.IntN(3) {
		headers[pick(g, "content-type", "X-HTTP-Method-Override", "X-Original-URL", "If-None-Match", "Authorization", "expect")] = pick(g, "POST", path, "*", "application/x-www-form-urlencoded", g.text())
	}
	authorizer := pick[any](g, nil, map[string]any{}, map[string]any{"iam": map[string]any{"userArn": g.text()}},
		map[string]any{"jwt": map[string]any{"claims": map[string]any{"sub": g.text()}}})
	context := map[string]any{"requestId": g.text(), "stage": "$default", "authorizer": authorizer}
	all := map[string]any{"headers": headers, "body": sent, "isBase64Encoded": isBase64, "requestContext": context}
	if g.often(0.7) {
		context["http"] = map[string]any{"method": method, "path": path, "sourceIp": g.text()}
		all["version"], all["rawPath"], all["rawQueryString"] = "2.0", path, g.query()
		if g.often(0.1) && strings.HasPrefix(path, "/") {
			context["stage"], all["rawPath"] = "prod", "/prod"+path
		}
		if _, err := url.ParseQuery(all["rawQueryString"].(string)); err != nil || path == "" {
			confirms = false
		}
	} else {
		all["version"], all["httpMethod"], all["path"] = "1.0", method, path
		context["identity"] = map[string]string{"sourceIp": g.text(), "userArn": g.text()}
		all["queryStringParameters"] = map[string]string{"checkonly": g.text()}
		all["multiValueQueryStringParameters"] = map[string][]string{pick(g, "checkonly", "open"): {"0", g.text()}}
	}
	// What an event of another kind would hold must not matter.
	if g.often(0.1) {
		all["task"] = pick(g, "check-switches", "open-switch", g.text())
	}
	if g.often(0.1) {
		all["Records"] = g.batch()["Records"]
	}
	return g.encode(all), confirms
}

func (g *generator) task() map[string]any {
	return map[string]any{
		"task": pick(g, "check-switches", "check-switch", "open-switch", "refresh-tokens", g.text()), "appid": g.appID(), "confirm": openable,
		pick(g, "checkonly", "open", "method", "body"): g.text(),
	}
}

func (g *generator) batch() map[string]any {
	var records []any
	for i := range 1 + g.IntN(3) {
		body := string(g.encode(map[string]any{
			"task": pick(g, "check-switch", "check-switch", "open-switch", g.text()), "appid": g.appID(),
			pick(g, "confirm", "checkonly", "open", "errcode"): pick[any](g, openable, 0, true, nil),
		}))
		if g.often(0.2) {
			body = g.text()
		}
		records = append(records, map[string]any{
			"messageId": strconv.Itoa(i), "receiptHandle": g.text(), "body": body, "eventSource": pick(g, "aws:sqs", "aws:sqs", "aws:sns", g.text()),
			"attributes": map[string]string{"ApproximateReceiveCount": pick(g, "1", "99", "-1", "x")},
		})
	}
	return map[string]any{"Records": records}
}

func (g *generator) rule() map[string]any {
	return map[string]any{
		"detail-type": pick(g, "Scheduled Event", "Draft Switch Changed", "Token Rejected", "Open Draft Switch", g.text()), "source": "wechat.draftbox",
		"detail": map[string]any{"appid": g.appID(), "confirm": openable, "to": "open", "from": "closed"},
	}
}
