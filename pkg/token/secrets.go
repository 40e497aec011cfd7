package token

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// Component is the holder of the platform's own token, where an account's appid stands for others.
const Component = ""

// Secrets reads the bundle's secrets.
type Secrets struct {
	client *secretsmanager.Client
	prefix string
}

// NewSecrets makes a reader of the secrets below prefix, which has no slash at its end.
func NewSecrets(client *secretsmanager.Client, prefix string) Secrets {
	return Secrets{client, prefix}
}

// Name is the name of the secret that holds the token of an account or of the [Component].
func (s Secrets) Name(holder string) string {
	if holder == Component {
		return s.prefix + "/component-token"
	}
	return s.prefix + "/accounts/" + holder
}

// PlatformName is the name of the secret with the platform's appid, app secret and keys.
func (s Secrets) PlatformName() string { return s.prefix + "/platform" }

// Load implements [Store].
func (s Secrets) Load(ctx context.Context, holder string) (Entry, error) {
	return s.Get(ctx, s.Name(holder))
}

// Get reads a secret. Errors are of package awserror.
func (s Secrets) Get(ctx context.Context, name string) (Entry, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId:     aws.String(name),
		VersionStage: aws.String("AWSCURRENT"),
	})
	if err != nil {
		return Entry{}, awserror.Wrap("secretsmanager:GetSecretValue", name, err)
	}
	return entry(out.SecretString, out.SecretBinary, out.VersionId, out.CreatedDate), nil
}

func entry(text *string, binary []byte, version *string, created *time.Time) Entry {
	if text == nil {
		text = aws.String(string(binary))
	}
	return Entry{secret.New(*text), aws.ToString(version), aws.ToTime(created)}
}
