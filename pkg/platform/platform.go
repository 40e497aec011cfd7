// Package platform reads what the operator stored of the third-party platform.
package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
	"wechat-draftbox/pkg/wechat"
)

// Platform is the secret {SECRET_PREFIX}/platform.
type Platform struct {
	wechat.Platform
	MessageToken   secret.Value // signs the pushes
	EncodingAESKey secret.Value // encrypts them
	// PreviousAESKey stays in use for a while after a change; it may be empty.
	PreviousAESKey secret.Value
}

var componentAppID = regexp.MustCompile(`^wx[0-9A-Za-z]{16}$`)

// Load reads the platform. Errors are of package awserror; none quotes a value.
func Load(ctx context.Context, secrets token.Secrets) (Platform, error) {
	name := secrets.PlatformName()
	entry, err := secrets.Get(ctx, name)
	if err != nil {
		return Platform{}, fmt.Errorf("read the platform: %w", err)
	}
	return Parse(name, entry.Text)
}

// Parse reads the text of the secret of that name. Errors are an [*awserror.Malformed].
func Parse(name string, secretText secret.Value) (Platform, error) {
	var keys map[string]any
	if json.Unmarshal([]byte(secretText.Reveal()), &keys) != nil || keys == nil {
		return Platform{}, &awserror.Malformed{Resource: name, Detail: "it is no JSON object"}
	}
	text := func(key string) string {
		s, _ := keys[key].(string)
		return strings.TrimSpace(s)
	}
	for _, key := range []string{"component_appid", "component_appsecret", "message_token", "encoding_aes_key"} {
		if text(key) == "" {
			return Platform{}, &awserror.Malformed{Resource: name, Detail: "it has no " + key}
		}
	}
	if !componentAppID.MatchString(text("component_appid")) {
		return Platform{}, &awserror.Malformed{Resource: name, Detail: "component_appid is not wx and 16 letters or digits"}
	}
	return Platform{
		Platform:       wechat.Platform{AppID: text("component_appid"), AppSecret: secret.New(text("component_appsecret"))},
		MessageToken:   secret.New(text("message_token")),
		EncodingAESKey: secret.New(text("encoding_aes_key")),
		PreviousAESKey: secret.New(text("previous_encoding_aes_key")),
	}, nil
}
