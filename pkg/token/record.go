package token

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

// Component is the owner of the platform's own token. Every other owner is an account's appid.
const Component = ""

// Record is a stored token with the credential that renews it. As JSON:
//
//	{"access_token": "…", "expires_at": "2026-01-02T03:04:05Z", "refresh_token": "…", "appsecret": "…"}
//
// expires_at may be Unix seconds too, or missing. A secret that is no JSON object is the bare access token.
type Record struct {
	Owner     string
	Access    secret.Value // empty: it has yet to be fetched
	ExpiresAt time.Time    // zero: not known
	Refresh   secret.Value // an authorizer's
	AppSecret secret.Value // an own account's

	Version   string    // changes with each write; empty where a DynamoDB item has none
	UpdatedAt time.Time // of this version; zero: not known

	stored  bool
	own     bool                       // it has an app secret, which the cache leaves out
	unknown map[string]json.RawMessage // unknown keys of a secret, which survive a write
	item    map[string]types.AttributeValue
}

// IsStored reports whether the record was read from a store.
func (r Record) IsStored() bool { return r.stored }

// IsOwnAccount reports whether the operator's own app secret renews the token, and not an authorization.
func (r Record) IsOwnAccount() bool { return r.own || !r.AppSecret.IsZero() }

// caller is whose credentials a call with the token uses, for the advice on whitelist errors.
func (r Record) caller() wechat.Caller {
	if r.IsOwnAccount() {
		return wechat.ByOwnAccount
	}
	return wechat.ByPlatform
}

// IsExpired reports whether the token has expired.
func (r Record) IsExpired(now time.Time) bool {
	return !r.ExpiresAt.IsZero() && !now.Round(0).Before(r.ExpiresAt)
}

// IsSameAs reports whether both have the same token, expiry and renewal credential.
func (r Record) IsSameAs(other Record) bool { return maps.Equal(r.known(), other.known()) }

// With is r with the token and renewal credential of other. Unknown keys of r survive.
func (r Record) With(other Record) Record {
	r.Access, r.ExpiresAt, r.Refresh, r.AppSecret = other.Access, other.ExpiresAt, other.Refresh, other.AppSecret
	return r
}

// parseSecret reads the text of a secret into r. name is for the error, an [*awserror.MalformedError].
func (r *Record) parseSecret(name string, text secret.Value) error {
	malformed := func(detail string) error { return &awserror.MalformedError{Resource: name, Detail: detail} }
	trimmed := strings.TrimSpace(strings.TrimPrefix(text.Reveal(), "\ufeff"))
	if trimmed == "" {
		return malformed("it is empty")
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal([]byte(trimmed), &keys) != nil || keys == nil {
		// Malformed JSON is no bare token: used as one, it would put a refresh token or an app secret into a URL.
		if trimmed[0] == '{' {
			return malformed("it begins like a JSON object but is none")
		}
		r.Access = secret.New(trimmed)
		return nil
	}
	r.unknown = keys
	for key, field := range r.secrets() {
		raw, there := keys[key]
		if !there || string(raw) == "null" {
			continue
		}
		var value string
		if json.Unmarshal(raw, &value) != nil {
			return malformed(key + " is no string")
		}
		*field = secret.New(strings.TrimSpace(value))
	}
	if raw, there := keys["expires_at"]; there {
		at, ok := parseTime(raw)
		if !ok {
			return malformed("expires_at is neither RFC 3339 nor Unix seconds")
		}
		r.ExpiresAt = at
	}
	return r.check(name)
}

// secrets are the secret fields, by key.
func (r *Record) secrets() map[string]*secret.Value {
	return map[string]*secret.Value{"access_token": &r.Access, "refresh_token": &r.Refresh, "appsecret": &r.AppSecret}
}

// check rejects a record with neither a token nor a credential to fetch one.
func (r *Record) check(name string) error {
	if r.Access.IsZero() && r.Refresh.IsZero() && r.AppSecret.IsZero() {
		return &awserror.MalformedError{Resource: name, Detail: "it has no access_token"}
	}
	return nil
}

// parseTime reads RFC 3339 or Unix seconds, each also as a string. null and "" are no time.
func parseTime(raw json.RawMessage) (time.Time, bool) {
	text := string(bytes.TrimSpace(raw))
	if text == "null" {
		return time.Time{}, true
	}
	if text[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return time.Time{}, false
		}
	}
	return parseTimeText(text)
}

func parseTimeText(text string) (time.Time, bool) {
	if text = strings.TrimSpace(text); text == "" {
		return time.Time{}, true
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, true
	}
	seconds, err := strconv.ParseFloat(text, 64)
	ok := err == nil && seconds >= 0 && seconds <= 1e11 // larger values are mostly milliseconds
	if !ok {
		return time.Time{}, false // NaN too
	}
	return time.Unix(int64(seconds), 0), true
}

// known are the record's keys and values as both stores write them; an empty value is not written.
func (r Record) known() map[string]string {
	values := map[string]string{
		"access_token": r.Access.Reveal(), "refresh_token": r.Refresh.Reveal(), "appsecret": r.AppSecret.Reveal(), "expires_at": "",
	}
	if !r.ExpiresAt.IsZero() {
		values["expires_at"] = r.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return values
}

// encodeSecret is the text of the secret: the known keys, and whatever else was in it.
func (r Record) encodeSecret() secret.Value {
	keys := maps.Clone(r.unknown)
	if keys == nil {
		keys = make(map[string]json.RawMessage)
	}
	for key, value := range r.known() {
		if value == "" {
			delete(keys, key)
			continue
		}
		keys[key], _ = json.Marshal(value) // a string always encodes
	}
	text, _ := json.Marshal(keys)
	return secret.New(string(text))
}
