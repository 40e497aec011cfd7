// Package parameter keeps small texts in SSM's Parameter Store. Errors are of package awserror.
package parameter

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"golang.org/x/time/rate"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// MaxValue is how many bytes the value of a parameter may have; more than 4096 make it an advanced one, which costs.
const MaxValue = 8192

// Store is the Parameter Store below a prefix.
type Store struct {
	client *ssm.Client
	prefix string
	kind   types.ParameterType
	key    string
	pace   *rate.Limiter
	once   bool // the SDK repeats no write
}

// New makes a store of parameters in clear below prefix, which has no slash at its end.
func New(client *ssm.Client, prefix string) Store {
	return Store{client: client, prefix: prefix, kind: types.ParameterTypeString}
}

// Secure is the same store for SecureString parameters.
func (s Store) Secure() Store {
	s.kind = types.ParameterTypeSecureString
	return s
}

// EncryptedWith is the same store, but its SecureString parameters are encrypted with a KMS key; empty is AWS's own.
func (s Store) EncryptedWith(key string) Store {
	s.key = key
	return s
}

// Paced is the same store, but each write waits for its turn.
func (s Store) Paced(pace *rate.Limiter) Store {
	s.pace = pace
	return s
}

// Value is what a parameter holds. It may be a secret.
type Value struct {
	Name    string // whole, with the prefix
	Text    secret.Value
	Version int64
	Since   time.Time // when this version was written
}

// Name is the whole name of a parameter.
func (s Store) Name(name string) string { return s.prefix + "/" + name }

// Get reads a parameter. name may end in :VERSION.
func (s Store) Get(ctx context.Context, name string) (Value, error) {
	out, err := s.client.GetParameter(ctx, &ssm.GetParameterInput{
		Name: aws.String(s.Name(name)), WithDecryption: aws.Bool(true),
	})
	if err != nil {
		return Value{}, awserror.Wrap("ssm:GetParameter", s.Name(name), err)
	}
	return value(*out.Parameter), nil
}

// Create writes a parameter that isn't there yet; if it is, the error is of kind [awserror.Exists].
func (s Store) Create(ctx context.Context, name string, text secret.Value) (version int64, err error) {
	return s.put(ctx, name, text, false)
}

// Put writes a parameter, over what stood there.
func (s Store) Put(ctx context.Context, name string, text secret.Value) (version int64, err error) {
	return s.put(ctx, name, text, true)
}

func (s Store) put(ctx context.Context, name string, text secret.Value, overwrite bool) (int64, error) {
	if s.pace != nil {
		if err := s.pace.Wait(ctx); err != nil {
			return 0, awserror.Wrap("ssm:PutParameter", s.Name(name), err)
		}
	}
	in := &ssm.PutParameterInput{
		Name: aws.String(s.Name(name)), Value: aws.String(text.Reveal()), Type: s.kind,
		Overwrite: aws.Bool(overwrite), Tier: types.ParameterTierIntelligentTiering,
	}
	if s.kind == types.ParameterTypeSecureString && s.key != "" {
		in.KeyId = aws.String(s.key)
	}
	out, err := s.client.PutParameter(ctx, in, func(o *ssm.Options) {
		// Of writers at the same time one is told that there are too many.
		o.Retryer = retry.AddWithErrorCodes(o.Retryer, (*types.TooManyUpdates)(nil).ErrorCode())
		if s.once {
			o.RetryMaxAttempts = 1
		}
	})
	if err != nil {
		return 0, awserror.Wrap("ssm:PutParameter", s.Name(name), err)
	}
	return out.Version, nil
}

// Overwritten is what a write of ours, whose version came out as written, has overwritten of what others wrote after
// the version read: the newest version between the two that isn't ours too. There is none where ok is false. What
// is ours between them are earlier tries of the same write, whose answers were lost.
//
// SSM has no conditional write, but it numbers them and keeps a hundred. So of several writers each learns what it
// has overwritten unknowingly, and the last one can mend it: of what one overwrote before it, that one knows.
func (s Store) Overwritten(ctx context.Context, name string, read, written int64, ours secret.Value) (theirs Value, ok bool, err error) {
	for version := written - 1; version > read; version-- {
		v, err := s.Get(ctx, name+":"+strconv.FormatInt(version, 10))
		if err != nil {
			return Value{}, false, err
		}
		if !v.Text.Equal(ours) {
			return v, true, nil
		}
	}
	return Value{}, false, nil
}

// Delete deletes a parameter; one that isn't there is fine.
func (s Store) Delete(ctx context.Context, name string) error {
	_, err := s.client.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String(s.Name(name))})
	if err = awserror.Wrap("ssm:DeleteParameter", s.Name(name), err); awserror.Is(err, awserror.Missing) {
		return nil
	}
	return err
}

// List reads at most limit (1 to 10) of the parameters right below path, and where the next ones begin: next is empty
// at the end. A page may hold none and still have a next one.
func (s Store) List(ctx context.Context, path, next string, limit int) (page []Value, after string, err error) {
	return s.list(ctx, path, next, limit, true)
}

func (s Store) list(ctx context.Context, path, next string, limit int, decrypt bool) (page []Value, after string, err error) {
	in := &ssm.GetParametersByPathInput{
		Path: aws.String(s.Name(path)), WithDecryption: aws.Bool(decrypt), MaxResults: aws.Int32(int32(limit)),
	}
	if next != "" {
		in.NextToken = aws.String(next)
	}
	out, err := s.client.GetParametersByPath(ctx, in)
	if err != nil {
		return nil, "", awserror.Wrap("ssm:GetParametersByPath", s.Name(path), err)
	}
	for _, p := range out.Parameters {
		page = append(page, value(p))
	}
	return page, aws.ToString(out.NextToken), nil
}

func value(p types.Parameter) Value {
	return Value{aws.ToString(p.Name), secret.New(aws.ToString(p.Value)), p.Version, aws.ToTime(p.LastModifiedDate)}
}
