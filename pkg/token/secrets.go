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
	"golang.org/x/time/rate"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// SecretsStore holds records in Secrets Manager, one secret each.
type SecretsStore struct {
	client *secretsmanager.Client
	prefix string
	key    *string
	pace   *rate.Limiter
}

// NewSecretsStore makes a store of the secrets below prefix, which has no slash at its end. Secrets that it creates are
// encrypted with the KMS key of that ARN; empty is AWS's own.
func NewSecretsStore(client *secretsmanager.Client, prefix, kmsKey string) SecretsStore {
	// AWS allows an account 50 writes a second in all. Beyond that each throttled attempt delays the next one.
	s := SecretsStore{client: client, prefix: prefix, pace: rate.NewLimiter(48, 1)}
	if kmsKey != "" {
		s.key = &kmsKey
	}
	return s
}

const accountFolder = "/accounts/"

// Resource implements [Getter].
func (s SecretsStore) Resource(owner string) string {
	if owner == Component {
		return s.prefix + "/component-token"
	}
	return s.prefix + accountFolder + owner
}

// Name is the full name of a secret that holds no token.
func (s SecretsStore) Name(name string) string { return s.prefix + "/" + name }

// Text reads a secret that holds no token. name is its name below the prefix. Errors are of package awserror.
func (s SecretsStore) Text(ctx context.Context, name string) (text secret.Value, version string, err error) {
	out, err := s.get(ctx, s.Name(name))
	if err != nil {
		return secret.Value{}, "", err
	}
	return textOf(out.SecretString, out.SecretBinary), aws.ToString(out.VersionId), nil
}

func (s SecretsStore) get(ctx context.Context, name string) (*secretsmanager.GetSecretValueOutput, error) {
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(name), VersionStage: aws.String("AWSCURRENT"),
	})
	return out, awserror.Wrap("secretsmanager:GetSecretValue", name, err)
}

func textOf(text *string, binary []byte) secret.Value {
	if text != nil {
		return secret.New(*text)
	}
	return secret.New(string(binary))
}

// Get implements [Getter].
func (s SecretsStore) Get(ctx context.Context, owner string) (Record, error) {
	name := s.Resource(owner)
	out, err := s.get(ctx, name)
	if err != nil {
		return Record{Owner: owner}, err
	}
	r := record(owner, out.VersionId, out.CreatedDate)
	return r, r.parseSecret(name, textOf(out.SecretString, out.SecretBinary))
}

func record(owner string, version *string, created *time.Time) Record {
	return Record{Owner: owner, Version: aws.ToString(version), UpdatedAt: aws.ToTime(created), stored: true}
}

// maxSuccessors is how many version ids are tried. More than one is needed only if AWSCURRENT was moved back to a
// version that already has a successor.
const maxSuccessors = 5

// Put implements [Store].
//
// Secrets Manager has no conditional write, but the client chooses a version's id, and a second write with the same id and
// another value is refused. So each version's id is derived from its predecessor's: of two writers that read the same
// version only one can write its successor. Writes are idempotent: the same id with the same value succeeds again.
func (s SecretsStore) Put(ctx context.Context, previous, next Record) (Record, bool, error) {
	name, text, create := s.Resource(previous.Owner), next.encodeSecret(), !previous.stored
	for round := range maxSuccessors {
		id := successor(name, previous.Version, round)
		err := s.write(ctx, name, id, create, text)
		if err == nil {
			next.Version, next.stored, next.unknown = id, true, previous.unknown
			return next, true, nil
		}
		if !awserror.Is(err, awserror.Exists) {
			return Record{}, false, err
		}
		current, err := s.Get(ctx, previous.Owner)
		if create && awserror.Is(err, awserror.NotFound) { // the secret exists without a value
			create = false
			continue
		}
		if current.Version != previous.Version || err != nil {
			return current, false, err
		}
	}
	return Record{}, false, &awserror.Error{Operation: "secretsmanager:PutSecretValue", Resource: name, Kind: awserror.Denied}
}

func (s SecretsStore) write(ctx context.Context, name, id string, create bool, text secret.Value) error {
	if s.pace.Wait(ctx) != nil { // it would wait past the deadline
		return awserror.Wrap("secretsmanager:PutSecretValue", name, context.DeadlineExceeded)
	}
	if create {
		_, err := s.client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: aws.String(name), SecretString: aws.String(text.Reveal()), ClientRequestToken: aws.String(id),
			Description: aws.String("Written by wechat-draftbox"), KmsKeyId: s.key,
		})
		return awserror.Wrap("secretsmanager:CreateSecret", name, err)
	}
	_, err := s.client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: aws.String(text.Reveal()), ClientRequestToken: aws.String(id),
	})
	return awserror.Wrap("secretsmanager:PutSecretValue", name, err)
}

func successor(name, version string, round int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", name, version, round))
	return hex.EncodeToString(sum[:])
}

// accountFilter selects the accounts' secrets.
func (s SecretsStore) accountFilter() []types.Filter {
	return []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{s.prefix + accountFolder}}}
}

// owner is the appid in the name of an account's secret. The filter ignores case, so other names are listed too.
func (s SecretsStore) owner(name *string) (string, bool) {
	appID, below := strings.CutPrefix(aws.ToString(name), s.prefix+accountFolder)
	return appID, below && appID != "" && !strings.Contains(appID, "/")
}

// All implements [Store].
func (s SecretsStore) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		pages := secretsmanager.NewBatchGetSecretValuePaginator(s.client, &secretsmanager.BatchGetSecretValueInput{
			Filters: s.accountFilter(), MaxResults: aws.Int32(20),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Record{}, awserror.Wrap("secretsmanager:BatchGetSecretValue", s.prefix+accountFolder, err))
				return
			}
			if !s.yieldPage(page, yield) {
				return
			}
		}
	}
}

func (s SecretsStore) yieldPage(page *secretsmanager.BatchGetSecretValueOutput, yield func(Record, error) bool) bool {
	for _, e := range page.Errors {
		name := aws.ToString(e.SecretId) // or its ARN, which has six random letters at its end
		failed := &awserror.Error{Operation: "secretsmanager:BatchGetSecretValue", Resource: name,
			Kind: awserror.Denied, Code: aws.ToString(e.ErrorCode)}
		appID, _, _ := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], "-")
		if !yield(Record{Owner: appID}, failed) {
			return false
		}
	}
	for _, v := range page.SecretValues {
		appID, ok := s.owner(v.Name)
		if !ok {
			continue
		}
		r := record(appID, v.VersionId, v.CreatedDate)
		err := r.parseSecret(aws.ToString(v.Name), textOf(v.SecretString, v.SecretBinary))
		if !yield(r, err) {
			return false
		}
	}
	return true
}

// Owners implements [Store].
func (s SecretsStore) Owners(ctx context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		pages := secretsmanager.NewListSecretsPaginator(s.client, &secretsmanager.ListSecretsInput{
			Filters: s.accountFilter(), MaxResults: aws.Int32(100),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, awserror.Wrap("secretsmanager:ListSecrets", s.prefix+accountFolder, err))
				return
			}
			var owners []string
			for _, listed := range page.SecretList {
				if appID, ok := s.owner(listed.Name); ok {
					owners = append(owners, appID)
				}
			}
			if !yield(owners, nil) {
				return
			}
		}
	}
}
