package token

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"wechat-draftbox/pkg/awserror"
)

// AppIDs reads a page of the appids of the accounts that have a token, and where the next one begins; next is empty at
// the first, and after at the last. It reads no secret.
func (s Secrets) AppIDs(ctx context.Context, next string) (page []string, after string, err error) {
	folder := s.prefix + accountFolder
	in := &secretsmanager.ListSecretsInput{
		Filters:    []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{folder}}},
		MaxResults: aws.Int32(100),
	}
	if next != "" {
		in.NextToken = aws.String(next)
	}
	out, err := s.client.ListSecrets(ctx, in)
	if err != nil {
		return nil, "", awserror.Wrap("secretsmanager:ListSecrets", folder, err)
	}
	for _, listed := range out.SecretList {
		page = append(page, strings.TrimPrefix(aws.ToString(listed.Name), folder))
	}
	return page, aws.ToString(out.NextToken), nil
}
