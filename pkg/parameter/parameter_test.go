package parameter

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"golang.org/x/time/rate"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/awstest"
	"wechat-draftbox/pkg/secret"
)

func start(t *testing.T) (*awstest.Server, Store) {
	t.Helper()
	aws := awstest.New()
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	config := aws.Config(server.URL)
	config.RetryMaxAttempts = 1
	return aws, New(ssm.NewFromConfig(config), "/test")
}

func TestStore(t *testing.T) {
	t.Parallel()
	aws, store := start(t)
	ctx := t.Context()
	if _, err := store.Get(ctx, "a"); !awserror.Is(err, awserror.Missing) || !strings.Contains(err.Error(), "ssm:GetParameter /test/a") {
		t.Errorf("Get: %v", err)
	}
	if version, err := store.Create(ctx, "a", secret.New("one")); version != 1 || err != nil {
		t.Errorf("Create: %d, %v", version, err)
	}
	if _, err := store.Create(ctx, "a", secret.New("two")); !awserror.Is(err, awserror.Exists) {
		t.Errorf("Create of what is there: %v", err)
	}
	if version, err := store.Put(ctx, "a", secret.New("three")); version != 2 || err != nil {
		t.Errorf("Put: %d, %v", version, err)
	}
	for name, want := range map[string]string{"a": "three", "a:1": "one"} {
		if got, err := store.Get(ctx, name); err != nil || got.Text.Reveal() != want || got.Name != "/test/a" || time.Since(got.Since).Abs() > time.Minute {
			t.Errorf("Get %s: %+v, %v", name, got, err)
		}
	}
	for range 2 { // one that isn't there is fine
		if err := store.Delete(ctx, "a"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if len(aws.Parameters("/")) != 0 {
		t.Errorf("left: %v", aws.Parameters("/"))
	}
}

func TestErrorsHoldNoValue(t *testing.T) {
	t.Parallel()
	aws, store := start(t)
	const value = "the-token-that-nobody-may-see"
	for _, fault := range []awstest.Fault{awstest.Deny(), awstest.Throttle(), awstest.Refuse("ValidationException", 400), awstest.Drop(), awstest.Garbage()} {
		aws.Fail("ssm:PutParameter", fault)
		if _, err := store.Secure().Put(t.Context(), "a", secret.New(value)); err == nil || strings.Contains(err.Error(), value) {
			t.Errorf("error %v", err)
		}
	}
}

func TestSecureValuesAreEncrypted(t *testing.T) {
	t.Parallel()
	_, store := start(t)
	if _, err := store.Secure().Put(t.Context(), "folder/a", secret.New("hidden")); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Get(t.Context(), "folder/a"); err != nil || got.Text.Reveal() != "hidden" {
		t.Errorf("Get: %v", err)
	}
	page, _, err := store.list(t.Context(), "folder", "", 10, false)
	if err != nil || len(page) != 1 || page[0].Text.Reveal() == "hidden" {
		t.Errorf("what isn't decrypted can be read; error %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	aws, store := start(t)
	for i := range 25 {
		aws.SetParameter(fmt.Sprintf("/test/folder/%02d", i), fmt.Sprint(i))
	}
	aws.SetParameter("/test/folder/deeper/99", "99")
	aws.SetParameter("/test/folders", "another")
	for _, limit := range []int{1, 7, 10} {
		var texts []string
		for next := ""; ; {
			page, after, err := store.List(t.Context(), "folder", next, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("%d on a page of %d, error %v", len(page), limit, err)
			}
			for _, v := range page {
				texts = append(texts, v.Text.Reveal())
			}
			if next = after; next == "" {
				break
			}
		}
		if len(texts) != 25 || texts[24] != "24" {
			t.Errorf("by %d: %v", limit, texts)
		}
	}
	if _, _, err := store.List(t.Context(), "folder", "no token", 10); !awserror.Is(err, awserror.Refused) {
		t.Errorf("error %v", err)
	}
}

func TestPacedWritesWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	_, store := start(t)
	paced := store.Paced(rate.NewLimiter(rate.Every(50*time.Millisecond), 1))
	began := time.Now()
	for i := range 4 {
		if _, err := paced.Put(t.Context(), fmt.Sprint(i), secret.New("x")); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("four writes took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := paced.Put(ctx, "late", secret.New("x")); !awserror.Is(err, awserror.Unavailable) || time.Since(began) > 40*time.Millisecond {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
	if _, err := store.Get(t.Context(), "late"); !awserror.Is(err, awserror.Missing) {
		t.Errorf("written all the same: %v", err)
	}
}

func TestAppIDsOfTokens(t *testing.T) {
	t.Parallel()
	aws, store := start(t)
	var want []string
	for i := range 23 {
		id := fmt.Sprintf("wx%016d", i)
		aws.SetSecureParameter("/test/account-tokens/"+id, `{"access_token": "x"}`)
		want = append(want, id)
	}
	aws.SetParameter("/test/accounts/wx0000000000000099", "{}")
	tokens := NewTokens(store)
	var got []string
	for next := ""; ; {
		page, after, err := tokens.AppIDs(t.Context(), next)
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
	aws.Fail("ssm:GetParametersByPath", awstest.Throttle())
	if _, _, err := tokens.AppIDs(t.Context(), ""); !awserror.Is(err, awserror.Unavailable) {
		t.Errorf("error %v", err)
	}
}
