package push

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"wechat-draftbox/pkg/secret"
)

// FuzzOpen gives bytes to Open at each depth of a push: as a body under any query,
// and, signed as WeChat does, as the content of Encrypt, as ciphertext, as
// plaintext, and as message.
func FuzzOpen(f *testing.F) {
	const asBody, asEncrypt, asCiphertext, asPlain, asMessage = 0, 1, 2, 3, 4
	for _, v := range vectors {
		encrypt, text := golden(f, v.name+".encrypt"), golden(f, v.name+".xml")
		query := url.Values{"timestamp": {v.timestamp}, "nonce": {v.nonce}, "msg_signature": {v.signature}}.Encode()
		plain := v.platform.plain(v.random, text)
		f.Add(byte(asBody), query, []byte("<xml>"+v.addressee+"<Encrypt>"+encrypt+"</Encrypt></xml>"))
		f.Add(byte(asEncrypt), "", []byte(encrypt))
		f.Add(byte(asCiphertext), "", v.platform.encrypt(pad(plain)))
		f.Add(byte(asPlain), "", plain)
		f.Add(byte(asMessage), "", []byte(text))
	}
	for _, text := range []string{message(Authorized, createTime, authorizer, code), message(Unauthorized, createTime, authorizer), message("other"), "<xml/>", "",
		message(NotifyThirdFasteRegister, createTime, "<info><name><![CDATA[a\x02b]]></name></info>"),
		message(NotifyThirdFasteRegister, createTime, "<appid>wx7</appid><auth_code>queryauthcode@@@1</auth_code><info><code>9</code></info>"),
		message(Authorized, createTime, authorizer, "<idname>\xbb\x5c</wxidnnn><a b='c'>&amp;&#x4e2d;&t;<![CDATA[<x>]]>"),
		strings.TrimSuffix(message(Unauthorized, createTime, authorizer), "</xml>") + "<xml>\x00\n",
		"\ufeff<?xml version='1.0' encoding='gbk'?><!DOCTYPE xml [<!ENTITY t 'x'>]><!-- < -->" + message(Unauthorized, createTime, authorizer) + "<xml/>"} {
		f.Add(byte(asMessage), "", []byte(text))
	}
	f.Add(byte(asPlain), "", []byte(random+"\xff\xff\xff\xff"))

	sender := eventPlatform
	r := sender.receiver(f, samplePlatform.key)
	f.Fuzz(func(t *testing.T, depth byte, rawQuery string, data []byte) {
		query, _ := url.ParseQuery(rawQuery)
		body := data
		switch depth % 5 {
		case asEncrypt:
			query, body = sender.envelop(string(data))
		case asCiphertext:
			query, body = sender.send(data)
		case asPlain:
			query, body = sender.send(sender.encrypt(pad(data)))
		case asMessage:
			query, body = sender.seal(string(data))
		}
		p, err := r.Open(query, body)
		if err != nil {
			if !isZero(p) {
				t.Errorf("push %+v beside an error", p)
			}
			if errors.Is(err, ErrSignature) == errors.Is(err, ErrMalformed) {
				t.Errorf("error of no single kind: %v", err)
			}
			if depth%5 >= asCiphertext && errors.Is(err, ErrSignature) {
				t.Errorf("signed, and refused: %v", err)
			}
			return
		}
		if p.AuthorizerAppID != strings.TrimSpace(p.AuthorizerAppID) || p.CreateTime < 0 {
			t.Errorf("push %+v", p)
		}
		missing := false
		switch p.InfoType {
		case ComponentVerifyTicket:
			missing = p.CreateTime == 0 || p.Ticket.IsZero()
		case Authorized, UpdateAuthorized, Unauthorized:
			missing = p.CreateTime == 0 || p.AuthorizerAppID == ""
		case NotifyThirdFasteRegister:
			missing = p.IsAuthorization() && p.CreateTime == 0
		}
		if missing {
			t.Errorf("push %+v lacks what its kind needs", p)
		}
		for path, text := range p.Fields {
			if !utf8.ValidString(path) || !utf8.ValidString(text) || strings.TrimSpace(text) != text {
				t.Errorf("field %q is %q", path, text)
			}
			for _, s := range []secret.Value{p.Ticket, p.AuthorizationCode} {
				if !s.IsZero() && strings.Contains(text, s.Reveal()) {
					t.Errorf("field %q holds a secret", path)
				}
			}
		}
	})
}
