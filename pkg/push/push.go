// Package push verifies, decrypts and parses WeChat's pushes to a third-party platform: component tickets, and changes of
// accounts' authorizations.
//
// A push is an XML envelope around an encrypted XML message. The signature is checked before anything is decrypted, so
// that errors are no decryption oracle.
//
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
package push

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"wechat-draftbox/pkg/secret"
)

var (
	// ErrSignature reports a push without a valid signature: WeChat did not send it, or uses another token.
	ErrSignature = errors.New("push is not signed with the platform's token")

	// ErrMalformed reports a signed push that can't be read: its base64, padding, length, tail or AppId is wrong, or a
	// required element is missing or unreadable.
	ErrMalformed = errors.New("push is malformed")
)

// InfoType says what a push is about. WeChat adds new ones at any time.
type InfoType string

// The kinds of push that the bundle acts on.
//
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/component_verify_ticket.html
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/ThirdParty/token/authorize_event.html
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Register_Mini_Programs/Fast_Registration_Interface_document.html
const (
	ComponentVerifyTicket InfoType = "component_verify_ticket"
	Authorized            InfoType = "authorized"
	UpdateAuthorized      InfoType = "updateauthorized"
	Unauthorized          InfoType = "unauthorized"

	// NotifyThirdFasteRegister is the result of a mini program's registration. A new mini program authorises the platform
	// immediately; see [Push.IsAuthorization].
	NotifyThirdFasteRegister InfoType = "notify_third_fasteregister"
)

// Push is a verified message from WeChat to this platform.
//
// A ticket has CreateTime and Ticket, a push about an account's authorisation CreateTime and AuthorizerAppID. All other
// fields may be zero.
type Push struct {
	InfoType   InfoType
	CreateTime int64 // Unix seconds

	Ticket secret.Value // ComponentVerifyTicket

	AuthorizerAppID   string       // the account that it is about; not validated
	AuthorizationCode secret.Value // works once; zero if missing or unreadable
	ExpiresAt         int64        // of the code, in Unix seconds; 0: not known

	// Fields are the push's elements by their path below the root, such as info/name, without secret ones. Invalid UTF-8 is
	// replaced by U+FFFD.
	Fields map[string]string
}

// IsAuthorization reports whether an account authorised the platform, or changed what
// it grants.
func (p Push) IsAuthorization() bool {
	switch p.InfoType {
	case Authorized, UpdateAuthorized:
		return true
	case NotifyThirdFasteRegister:
		return p.AuthorizerAppID != "" && !p.AuthorizationCode.IsZero()
	}
	return false
}

// Receiver opens the pushes for one platform. It is safe for concurrent use.
type Receiver struct {
	appID string
	token secret.Value
	keys  []*key
}

// NewReceiver returns a Receiver for the platform with this appid, message token
// and EncodingAESKey. After a key change WeChat uses the former key for a while;
// formerKey is zero if there is none. Errors don't quote values.
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

// Open verifies, decrypts and parses one push from the query and the body of its request. The caller bounds the size of
// the body. Every error wraps [ErrSignature] or [ErrMalformed], and quotes nothing of the push.
func (r *Receiver) Open(query url.Values, body []byte) (Push, error) {
	// The signature is checked first, so that errors tell nothing about an envelope without a valid one.
	envelope, _ := scan(body)
	encrypt := envelope.text("Encrypt")
	if err := r.verify(query, encrypt); err != nil {
		return Push{}, err
	}
	// Messages to an account have ToUserName instead of AppId, which is the account's. For those only the appid at the end
	// of the plaintext identifies the platform.
	if appID := envelope["AppId"].text; appID != "" && appID != r.appID {
		return Push{}, malformed("read the envelope: AppId is another platform's")
	}
	message, err := r.decrypt(encrypt)
	if err != nil {
		return Push{}, err
	}
	return r.parse(message)
}

// parse parses the decrypted XML.
func (r *Receiver) parse(message []byte) (Push, error) {
	m, isXML := scan(message)
	if !isXML {
		return Push{}, malformed("read the message: not the XML of a push")
	}
	if appID := m["AppId"].text; appID != "" && appID != r.appID {
		return Push{}, malformed("read the message: AppId is another platform's")
	}
	if kind, there := m["InfoType"]; there && !kind.readable {
		return Push{}, malformed("read the message: InfoType is unreadable")
	}
	p := Push{
		InfoType:        InfoType(m.text("InfoType")),
		CreateTime:      m.unixSeconds("CreateTime"),
		Ticket:          secret.New(m.text("ComponentVerifyTicket")),
		AuthorizerAppID: m.text("AuthorizerAppid"),
		Fields:          m.fields(),
	}
	switch p.InfoType {
	case ComponentVerifyTicket, Unauthorized:
	case Authorized, UpdateAuthorized:
		p.AuthorizationCode = secret.New(m.text("AuthorizationCode"))
		p.ExpiresAt = m.unixSeconds("AuthorizationCodeExpiredTime")
	default:
		if p.AuthorizerAppID == "" {
			p.AuthorizerAppID = m.text("appid")
		}
		if p.InfoType == NotifyThirdFasteRegister {
			p.AuthorizationCode = secret.New(m.text("auth_code"))
		}
	}
	if err := p.complete(); err != nil {
		return Push{}, err
	}
	return p, nil
}

// complete checks the elements that the push's kind requires. A code is optional: without one, the refresh token comes
// from the list of authorizers.
func (p Push) complete() error {
	isTicket := p.InfoType == ComponentVerifyTicket
	isAboutAccount := p.InfoType == Unauthorized || p.IsAuthorization()
	switch {
	case (isTicket || isAboutAccount) && p.CreateTime == 0:
		return malformed("read the message: CreateTime is missing or not Unix seconds")
	case isTicket && p.Ticket.IsZero():
		return malformed("read the message: ComponentVerifyTicket is missing or unreadable")
	case isAboutAccount && p.AuthorizerAppID == "":
		return malformed("read the message: AuthorizerAppid is missing or unreadable")
	}
	return nil
}

// text is the text of an element, empty if it is missing or unreadable.
func (d document) text(path string) string {
	if e := d[path]; e.readable {
		return e.text
	}
	return ""
}

// unixSeconds is a time in Unix seconds, 0 if there is none.
func (d document) unixSeconds(path string) int64 {
	t, err := strconv.ParseInt(d.text(path), 10, 64)
	if err != nil || t < 0 {
		return 0
	}
	return t
}

// fields are the texts that are no secrets.
func (d document) fields() map[string]string {
	fields := make(map[string]string, len(d))
	for path, e := range d {
		if !isSecretName(path) && !d.holdsSecret(e.text) {
			fields[path] = e.text
		}
	}
	return fields
}

// isSecretName reports whether an element's name suggests a secret. A company's code is none.
func isSecretName(path string) bool {
	if path == "info/code" || path == "info/code_type" {
		return false
	}
	name := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	for _, word := range []string{"code", "ticket", "token", "secret"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// holdsSecret reports whether a text contains the push's code or ticket.
func (d document) holdsSecret(text string) bool {
	for _, path := range []string{"ComponentVerifyTicket", "AuthorizationCode", "auth_code"} {
		if s := d[path].text; s != "" && strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// malformed wraps only texts of this package: errors of strconv and the like quote their input.
func malformed(reason string) error {
	return fmt.Errorf("%w: %s", ErrMalformed, reason)
}
