package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"wechat-draftbox/pkg/bootstrap"
	"wechat-draftbox/pkg/trigger"
)

func TestTokensAreEncryptedWithTheOperatorsKey(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000001"
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, store)
			s.Env["KMS_KEY_ARN"] = key
			var config aws.Config
			s.tokens = s.Start(func(parts bootstrap.Parts) trigger.Triggers {
				config = parts.AWS
				return wire(parts)
			})
			s.refresh() // makes the component's
			s.invoke(map[string]string{"task": "import-accounts"})
			s.refresh()
			for _, holder := range []string{component, closed} {
				name, secret := s.place(holder)
				if secret {
					got, err := secretsmanager.NewFromConfig(config).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
					if err != nil || aws.ToString(got.KmsKeyId) != key {
						t.Errorf("%s: key %q, %v", name, aws.ToString(got.KmsKeyId), err)
					}
					continue
				}
				got, err := ssm.NewFromConfig(config).GetParameterHistory(t.Context(), &ssm.GetParameterHistoryInput{Name: &name})
				if err != nil || len(got.Parameters) == 0 {
					t.Fatalf("%s: %v", name, err)
				}
				for _, version := range got.Parameters {
					if aws.ToString(version.KeyId) != key {
						t.Errorf("%s: key %q", name, aws.ToString(version.KeyId))
					}
				}
			}
		})
	}
}
