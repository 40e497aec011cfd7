package platform_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/platform"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/awstest"
	"wechat-draftbox/pkg/token"
)

const whole = `{"component_appid":" wxc0ffee0000000001\n","component_appsecret":"an app secret","message_token":"a token","encoding_aes_key":"a key","note":1}`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := platform.Parse("name", secret.New(whole))
	if err != nil {
		t.Fatal(err)
	}
	if got.AppID != "wxc0ffee0000000001" || got.AppSecret.Reveal() != "an app secret" || got.MessageToken.Reveal() != "a token" ||
		got.EncodingAESKey.Reveal() != "a key" || !got.PreviousAESKey.IsZero() {
		t.Errorf("got %q, %q, %q, %q, %q", got.AppID, got.AppSecret.Reveal(), got.MessageToken.Reveal(), got.EncodingAESKey.Reveal(), got.PreviousAESKey.Reveal())
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	secrets := token.NewSecretsStore(secretsmanager.NewFromConfig(aws.Config(server.URL)), "prefix", "")
	cache := platform.NewCache(secrets, time.Minute, time.Now)
	if _, err := cache.Get(t.Context()); !awserror.Is(err, awserror.NotFound) {
		t.Errorf("without the secret: %v", err)
	}
	aws.SetSecret("prefix/platform", "84_hidden")
	var malformed *awserror.MalformedError
	if _, err := cache.Get(t.Context()); !errors.As(err, &malformed) || err.Error() != "prefix/platform is malformed: it is no JSON object" {
		t.Errorf("of a malformed secret: %v", err)
	}
	version := aws.SetSecret("prefix/platform", whole)
	reads := aws.Calls("")
	for range 2 {
		if got, err := cache.Get(t.Context()); err != nil || got.AppID != "wxc0ffee0000000001" || got.Version != version {
			t.Errorf("got %q, version %q (%v)", got.AppID, got.Version, err)
		}
	}
	if n := aws.Calls("") - reads; n != 1 {
		t.Errorf("%d reads", n)
	}
}

// FuzzParse: any text is a whole platform, or malformed with one of a few errors that quote nothing of it.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		whole, `{"component_appid":"wx1","component_appsecret":"s","message_token":"t","encoding_aes_key":"k"}`,
		`{"component_appid":"wxc0ffee0000000001","component_appsecret":7,"message_token":"t","encoding_aes_key":"k"}`,
		`{"component_appid":"wxc0ffee0000000001","component_appsecret":" "}`, `{"previous_encoding_aes_key":null}`,
		"null", "[]", `"text"`, "{", "", "\ufeff{}", "\xff",
	} {
		f.Add(text)
	}
	details := map[string]bool{
		"it is no JSON object": true, "component_appid is not wx and 16 letters or digits": true, "it has no component_appid": true,
		"it has no component_appsecret": true, "it has no message_token": true, "it has no encoding_aes_key": true,
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := platform.Parse("name", secret.New(text))
		var malformed *awserror.MalformedError
		switch {
		case err == nil:
			if len(got.AppID) != 18 || got.AppSecret.IsZero() || got.MessageToken.IsZero() || got.EncodingAESKey.IsZero() {
				t.Error("a part is missing, and no error")
			}
		case !errors.As(err, &malformed):
			t.Errorf("the error is %T", err)
		case malformed.Resource != "name" || !details[malformed.Detail]:
			t.Errorf("the error is %v", malformed)
		}
	})
}
