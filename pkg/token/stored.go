package token

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// Stored is what stands in a secret or parameter that holds a token:
//
//	{"access_token": "…", "expires_at": "2026-01-02T03:04:05Z", "refresh_token": "…", "appsecret": "…"}
//
// expires_at may be Unix seconds too, or missing. Text that is no JSON object is the bare access token.
type Stored struct {
	Access    secret.Value
	ExpiresAt time.Time    // zero: not known
	Refresh   secret.Value // an authorizer's
	AppSecret secret.Value // an own account's

	others map[string]json.RawMessage // keys of somebody else, which survive a rewrite
}

// Parse reads the text of a secret or parameter. name is for the error, an [*awserror.Malformed].
func Parse(name string, text secret.Value) (Stored, error) {
	malformed := func(detail string) (Stored, error) {
		return Stored{}, &awserror.Malformed{Resource: name, Detail: detail}
	}
	trimmed := strings.TrimSpace(strings.TrimPrefix(text.Reveal(), "\ufeff"))
	if trimmed == "" {
		return malformed("it is empty")
	}
	var keys map[string]json.RawMessage
	if json.Unmarshal([]byte(trimmed), &keys) != nil || keys == nil {
		// A JSON object with a slip in it is no bare token: sent as one it would carry a refresh token or an app
		// secret in a URL.
		if trimmed[0] == '{' {
			return malformed("it begins like a JSON object but is none")
		}
		return Stored{Access: secret.New(trimmed)}, nil
	}

	stored := Stored{others: keys}
	for key, field := range map[string]*secret.Value{
		"access_token": &stored.Access, "refresh_token": &stored.Refresh, "appsecret": &stored.AppSecret,
	} {
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
		stored.ExpiresAt = at
	}
	if stored.Access.IsZero() && stored.Refresh.IsZero() && stored.AppSecret.IsZero() {
		return malformed("it has no access_token")
	}
	return stored, nil
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
		if text = strings.TrimSpace(text); text == "" {
			return time.Time{}, true
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, true
	}
	seconds, err := strconv.ParseFloat(text, 64)
	ok := err == nil && seconds >= 0 && seconds <= 1e11 // later is a mistake: milliseconds, mostly
	if !ok {
		return time.Time{}, false // NaN too
	}
	return time.Unix(int64(seconds), 0), true
}

// Encode is the text to store: the keys that are set, and whatever else stood there when it was parsed.
func (s Stored) Encode() secret.Value {
	keys := maps.Clone(s.others)
	if keys == nil {
		keys = make(map[string]json.RawMessage)
	}
	put := func(key, value string) {
		if value == "" {
			delete(keys, key)
			return
		}
		keys[key], _ = json.Marshal(value) // a string always encodes
	}
	put("access_token", s.Access.Reveal())
	put("refresh_token", s.Refresh.Reveal())
	put("appsecret", s.AppSecret.Reveal())
	if s.ExpiresAt.IsZero() {
		put("expires_at", "")
	} else {
		put("expires_at", s.ExpiresAt.UTC().Format(time.RFC3339))
	}
	text, _ := json.Marshal(keys)
	return secret.New(string(text))
}
