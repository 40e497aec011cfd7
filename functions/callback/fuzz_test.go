package main

import (
	"net/url"
	"testing"
	"time"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

// FuzzCallback passes bytes to the whole function: as the body with any query, or, encrypted and signed as WeChat does,
// as the message of a push. A request that isn't answered with success must not change anything.
func FuzzCallback(f *testing.F) {
	p := wechattest.ExamplePlatform()
	at := time.Unix(1413192605, 0)
	for _, xml := range [][]byte{
		wechattest.InfoXML(p.AppID, "component_verify_ticket", at, "ComponentVerifyTicket", "ticket@@@1"),
		wechattest.InfoXML(p.AppID, "authorized", at, "AuthorizerAppid", closed, "AuthorizationCode", "queryauthcode@@@1"),
		wechattest.InfoXML(p.AppID, "unauthorized", at, "AuthorizerAppid", closed),
		wechattest.InfoXML(p.AppID, "notify_third_fasteregister", at),
		wechattest.InfoXML("wx0123456789abcdef", "unauthorized", at, "AuthorizerAppid", closed),
		[]byte("<xml/>"), nil,
	} {
		f.Add(true, "", xml)
		query, body := wechattest.EncryptPush(p, xml, "1", "2", make([]byte, 16))
		f.Add(false, query.Encode(), body)
	}
	f.Add(false, "msg_signature=%zz&timestamp=1&nonce=2&timestamp=3", []byte("<xml><Encrypt>AAAA</Encrypt></xml>"))
	f.Fuzz(func(t *testing.T, sealed bool, query string, body []byte) {
		s := newFixture(t, true)
		if sealed {
			var values url.Values
			values, body = wechattest.EncryptPush(p, body, "1413192605", "1", make([]byte, 16))
			query = values.Encode()
		}
		before := s.state()
		r := s.callback.HTTP(t.Context(), "POST", "/wechat/callback?"+query, string(body))
		switch r.Status {
		case 200:
			checkSuccess(t, r)
		case 400, 413:
		case 403:
			if sealed {
				t.Error("signed, and refused")
			}
		default:
			t.Errorf("answer %d %s", r.Status, r.Body)
		}
		if r.Status != 200 {
			s.checkUnchangedSince(before)
		}
		if len(s.WeChat.Requests("")) > 0 {
			t.Error("WeChat was called")
		}
		for name := range s.AWS.Parameters("/") {
			if name != ticketAt {
				t.Errorf("parameter %q was written", name)
			}
		}
		for _, item := range s.AWS.Items(functiontest.StateTable) {
			if appID, _ := item["sk"].(string); item["pk"] != "account" || len(appID) != 18 {
				t.Errorf("the item %v/%v was written", item["pk"], item["sk"])
			}
		}
	})
}
