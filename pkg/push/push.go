// Package push opens what WeChat pushes to a third-party platform: the ticket of
// the component, and word of accounts that authorise the platform or leave it.
//
// A push is an XML envelope around an encrypted XML message. Its signature is
// checked before anything is decrypted, so that nobody without the platform's
// token learns from an error how the decryption went.
//
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
package push

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"wechat-draftbox/pkg/secret"
)

var (
	// ErrSignature reports a push that is unsigned or wrongly signed: WeChat did not
	// send it, or signs with another token.
	ErrSignature = errors.New("push is not signed with the platform's token")

	// ErrMalformed reports a push that is well signed and can't be read all the same:
	// its XML, base64, padding, length, tail or AppId is wrong, or an element is
	// missing that its InfoType needs.
	ErrMalformed = errors.New("push is malformed")
)

// InfoType says what a push is about. WeChat adds new ones at any time.
type InfoType string

// The kinds of push that carry something to act on.
//
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/component_verify_ticket.html
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/authorize_event.html
const (
	ComponentVerifyTicket InfoType = "component_verify_ticket"
	Authorized            InfoType = "authorized"
	UpdateAuthorized      InfoType = "updateauthorized"
	Unauthorized          InfoType = "unauthorized"
)

// Push is a message from WeChat that was signed, and meant for this platform.
//
// For the four kinds above, CreateTime is set, and so is what the kind is about.
// For others, InfoType among them that is empty, any field may be zero.
type Push struct {
	InfoType   InfoType
	CreateTime int64 // Unix seconds

	Ticket secret.Value // ComponentVerifyTicket

	AuthorizerAppID   string       // Authorized, UpdateAuthorized, Unauthorized; its shape is unchecked
	AuthorizationCode secret.Value // Authorized, UpdateAuthorized; works once
}

// Receiver opens the pushes for one platform. It may be used by several goroutines.
type Receiver struct {
	appID string
	token secret.Value
	keys  []*key
}

// NewReceiver returns a Receiver for the platform with this appid, message token
// and EncodingAESKey. After a key change WeChat uses the former key for a while;
// formerKey is zero if there is none. The error names what is unusable, without
// its value.
func NewReceiver(componentAppID string, token, currentKey, formerKey secret.Value) (*Receiver, error) {
	if componentAppID == "" {
		return nil, errors.New("receive pushes: the component appid is missing")
	}
	if token.IsZero() {
		return nil, errors.New("receive pushes: the message token is missing")
	}
	current, err := parseKey(currentKey)
	if err != nil {
		return nil, fmt.Errorf("read the current EncodingAESKey: %w", err)
	}
	r := &Receiver{appID: componentAppID, token: token, keys: []*key{current}}
	if !formerKey.IsZero() {
		former, err := parseKey(formerKey)
		if err != nil {
			return nil, fmt.Errorf("read the former EncodingAESKey: %w", err)
		}
		r.keys = append(r.keys, former)
	}
	return r, nil
}

// Open verifies, decrypts and reads one push, given the query and the body of its
// request. The caller bounds the size of the body. Every error wraps either
// [ErrSignature] or [ErrMalformed], and holds nothing of the push.
func (r *Receiver) Open(query url.Values, body []byte) (Push, error) {
	// An envelope that breaks off behind its Encrypt may still be well signed: the
	// signature has the first word.
	var envelope struct {
		XMLName xml.Name `xml:"xml"`
		AppID   text     `xml:"AppId"`
		Encrypt text     `xml:"Encrypt"`
	}
	unreadable := xml.Unmarshal(body, &envelope)
	if err := r.verify(query, string(envelope.Encrypt)); err != nil {
		return Push{}, err
	}
	if unreadable != nil {
		return Push{}, malformed("read the envelope: not the XML of a push")
	}
	// ToUserName, which stands in place of AppId on messages to an account, names
	// that account and not the platform. The tail of the plaintext decides there.
	if envelope.AppID != "" && string(envelope.AppID) != r.appID {
		return Push{}, malformed("read the envelope: AppId is another platform's")
	}
	message, err := r.decrypt(string(envelope.Encrypt))
	if err != nil {
		return Push{}, err
	}
	return r.parse(message)
}

// parse reads the decrypted XML.
func (r *Receiver) parse(message []byte) (Push, error) {
	var m struct {
		XMLName           xml.Name `xml:"xml"`
		AppID             text     `xml:"AppId"`
		CreateTime        text     `xml:"CreateTime"`
		InfoType          text     `xml:"InfoType"`
		Ticket            text     `xml:"ComponentVerifyTicket"`
		AuthorizerAppID   text     `xml:"AuthorizerAppid"`
		AuthorizationCode text     `xml:"AuthorizationCode"`
	}
	if xml.Unmarshal(message, &m) != nil {
		return Push{}, malformed("read the message: not the XML of a push")
	}
	if m.AppID != "" && string(m.AppID) != r.appID {
		return Push{}, malformed("read the message: AppId is another platform's")
	}
	p := Push{
		InfoType:          InfoType(m.InfoType),
		Ticket:            secret.New(string(m.Ticket)),
		AuthorizerAppID:   string(m.AuthorizerAppID),
		AuthorizationCode: secret.New(string(m.AuthorizationCode)),
	}
	if t, err := strconv.ParseInt(string(m.CreateTime), 10, 64); err == nil && t > 0 {
		p.CreateTime = t
	}
	if err := p.complete(); err != nil {
		return Push{}, err
	}
	return p, nil
}

// complete tells whether everything is there that the push's kind needs.
func (p Push) complete() error {
	var ticket, authorizer, code bool
	switch p.InfoType {
	case ComponentVerifyTicket:
		ticket = true
	case Authorized, UpdateAuthorized:
		authorizer, code = true, true
	case Unauthorized:
		authorizer = true
	default:
		return nil
	}
	switch {
	case p.CreateTime == 0:
		return malformed("read the message: CreateTime is missing or not Unix seconds")
	case ticket && p.Ticket.IsZero():
		return malformed("read the message: ComponentVerifyTicket is missing")
	case authorizer && p.AuthorizerAppID == "":
		return malformed("read the message: AuthorizerAppid is missing")
	case code && p.AuthorizationCode.IsZero():
		return malformed("read the message: AuthorizationCode is missing")
	}
	return nil
}

// text is the text of an element that stands at most once, without the white
// space around it.
type text string

var errRepeated = errors.New("element is repeated")

// UnmarshalXML refuses a second text instead of letting the last one win.
func (t *text) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var s string
	if err := d.DecodeElement(&s, &start); err != nil {
		return err
	}
	if *t != "" {
		return errRepeated
	}
	*t = text(strings.TrimSpace(s))
	return nil
}

// malformed takes only texts of this package: the errors of encoding/xml, strconv
// and the like quote what they read.
func malformed(reason string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, reason)
}
