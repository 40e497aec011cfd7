package token_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/token"
)

func TestAppIDs(t *testing.T) {
	t.Parallel()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	secrets := token.NewSecrets(secretsmanager.NewFromConfig(aws.Config(server.URL)), "test")
	var want []string
	for i := range 123 {
		id := fmt.Sprintf("wx%016d", i)
		aws.SetSecret("test/accounts/"+id, `{"access_token": "x"}`)
		want = append(want, id)
	}
	aws.SetSecret("test/component-token", "x")
	aws.SetSecret("test/accounts-of-others/wx0000000000000999", "x")
	var got []string
	for next := ""; ; {
		page, after, err := secrets.AppIDs(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, page...)
		if next = after; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("appids %v", got)
	}
	if lists, others := aws.Calls("secretsmanager:ListSecrets"), aws.Calls("secretsmanager:GetSecretValue"); lists != 2 || others != 0 {
		t.Errorf("%d lists, %d reads of secrets", lists, others)
	}
	aws.Fail("secretsmanager:ListSecrets", awstest.Deny())
	if _, _, err := secrets.AppIDs(t.Context(), ""); !awserror.Is(err, awserror.Refused) {
		t.Errorf("error %v", err)
	}
}
