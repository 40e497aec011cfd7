package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// Component is the holder of the platform's own token, where an account's appid stands for others.
const Component = ""

// Secrets reads the bundle's secrets.
type Secrets struct {
	client *secretsmanager.Client
	prefix string
	key    *string
}

// NewSecrets makes a reader of the secrets below prefix, which has no slash at its end.
func NewSecrets(client *secretsmanager.Client, prefix string) Secrets {
	return Secrets{client: client, prefix: prefix}
}

// EncryptedWith is the same, but secrets that are made are encrypted with a KMS key; empty is AWS's own.
func (s Secrets) EncryptedWith(key string) Secrets {
	if s.key = nil; key != "" {
		s.key = aws.String(key)
	}
	return s
}

const accountFolder = "/accounts/"

// Name is the name of the secret that holds the token of an account or of the [Component].
func (s Secrets) Name(holder string) string {
	if holder == Component {
		return s.prefix + "/component-token"
	}
	return s.prefix + accountFolder + holder
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

// WritesPerSecond implements [Keeper].
func (s Secrets) WritesPerSecond() float64 { return 50 }

// Replace implements [Keeper].
//
// Secrets Manager has no conditional write of a value, but a version's id can be chosen, and a second write with the
// same id and another value is refused. So the id of each version is made of its predecessor's: of two writers that
// read the same version one gets to write its successor. A write whose answer was lost can be repeated, since the
// same id with the same value is taken as done.
func (s Secrets) Replace(ctx context.Context, holder string, over Entry, text secret.Value) (Entry, bool, error) {
	name := s.Name(holder)
	// More than one round only where somebody moved AWSCURRENT back to a version that has a successor.
	for round := range 5 {
		id := successor(name, over.Version, round)
		err := s.write(ctx, name, id, over.Version == "", text)
		if err == nil {
			return Entry{Text: text, Version: id}, false, nil
		}
		if !awserror.Is(err, awserror.Exists) {
			return Entry{}, false, err
		}
		current, err := s.Get(ctx, name)
		if err != nil {
			return Entry{}, false, err
		}
		if current.Version != over.Version {
			return current, true, nil
		}
	}
	return Entry{}, false, &awserror.Error{Operation: "secretsmanager:PutSecretValue", Resource: name, Kind: awserror.Refused}
}

// write is not repeated by the SDK, which would wait by its own rules when AWS throttles; callers pace themselves.
func (s Secrets) write(ctx context.Context, name, id string, create bool, text secret.Value) error {
	once := func(o *secretsmanager.Options) { o.RetryMaxAttempts = 1 }
	if create {
		_, err := s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: aws.String(name), SecretString: aws.String(text.Reveal()), ClientRequestToken: aws.String(id),
			Description: aws.String("Written by wechat-draftbox"), KmsKeyId: s.key,
		}, once)
		return awserror.Wrap("secretsmanager:CreateSecret", name, err)
	}
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: aws.String(text.Reveal()), ClientRequestToken: aws.String(id),
	}, once)
	return awserror.Wrap("secretsmanager:PutSecretValue", name, err)
}

func successor(name, version string, round int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", name, version, round))
	return hex.EncodeToString(sum[:])
}

// Accounts implements [Keeper].
func (s Secrets) Accounts(ctx context.Context) iter.Seq2[Holding, error] {
	folder := s.prefix + accountFolder
	return func(yield func(Holding, error) bool) {
		pages := secretsmanager.NewBatchGetSecretValuePaginator(s.client, &secretsmanager.BatchGetSecretValueInput{
			Filters:    []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{folder}}},
			MaxResults: aws.Int32(20),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Holding{}, awserror.Wrap("secretsmanager:BatchGetSecretValue", folder, err))
				return
			}
			for _, e := range page.Errors {
				name := aws.ToString(e.SecretId) // or its ARN, which has six random letters at its end
				failed := &awserror.Error{Operation: "secretsmanager:BatchGetSecretValue", Resource: name,
					Kind: awserror.Refused, Code: aws.ToString(e.ErrorCode)}
				appID, _, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], "-")
				if !yield(Holding{AppID: appID}, failed) {
					return
				}
			}
			for _, v := range page.SecretValues {
				appID, below := strings.CutPrefix(aws.ToString(v.Name), folder)
				if !below || appID == "" || strings.Contains(appID, "/") { // the filter takes case lightly
					continue
				}
				if !yield(Holding{appID, entry(v.SecretString, v.SecretBinary, v.VersionId, v.CreatedDate)}, nil) {
					return
				}
			}
		}
	}
}
