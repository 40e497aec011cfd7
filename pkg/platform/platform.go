// Package platform reads the third-party platform's credentials, and asks WeChat about the accounts that authorised it.
package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/cache"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Platform is the secret {SECRET_PREFIX}/platform.
type Platform struct {
	wechat.Platform
	MessageToken   secret.Value // signs the pushes
	EncodingAESKey secret.Value // encrypts them
	// PreviousAESKey is still used for a while after a key change; it may be empty.
	PreviousAESKey secret.Value
	Version        string // of the secret
}

// NewCache makes a cache that loads the platform on demand. Errors are of package awserror; none quotes a value.
func NewCache(secrets token.SecretsStore, ttl time.Duration, now func() time.Time) *cache.Value[Platform] {
	return cache.New(ttl, now, func(ctx context.Context) (Platform, error) {
		text, version, err := secrets.Text(ctx, secretName)
		if err != nil {
			return Platform{}, fmt.Errorf("read the platform: %w", err)
		}
		p, err := Parse(secrets.Name(secretName), text)
		p.Version = version
		return p, err
	})
}

const secretName = "platform"

// Parse parses the text of the secret of that name. Errors are an [*awserror.MalformedError].
func Parse(name string, secretText secret.Value) (Platform, error) {
	var keys map[string]any
	if json.Unmarshal([]byte(secretText.Reveal()), &keys) != nil || keys == nil {
		return Platform{}, &awserror.MalformedError{Resource: name, Detail: "it is no JSON object"}
	}
	text := func(key string) string {
		s, _ := keys[key].(string)
		return strings.TrimSpace(s)
	}
	for _, key := range []string{"component_appid", "component_appsecret", "message_token", "encoding_aes_key"} {
		if text(key) == "" {
			return Platform{}, &awserror.MalformedError{Resource: name, Detail: "it has no " + key}
		}
	}
	if !wechat.IsAppID(text("component_appid")) {
		return Platform{}, &awserror.MalformedError{Resource: name, Detail: "component_appid is not wx and 16 letters or digits"}
	}
	return Platform{
		Platform:       wechat.Platform{AppID: text("component_appid"), AppSecret: secret.New(text("component_appsecret"))},
		MessageToken:   secret.New(text("message_token")),
		EncodingAESKey: secret.New(text("encoding_aes_key")),
		PreviousAESKey: secret.New(text("previous_encoding_aes_key")),
	}, nil
}
