package main

import "testing"

func TestTokensAreEncryptedWithTheOperatorsKey(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000001"
	s := newFixture(t, "secretsmanager")
	s.Env["KMS_KEY_ARN"] = key
	s.tokens = s.Start(wire)
	s.refresh() // makes the component's
	s.invoke(map[string]string{"task": "import-accounts"})
	s.refresh()
	for _, owner := range []string{component, closed} {
		if name, _ := s.place(owner); s.AWS.SecretKey(name) != key {
			t.Errorf("%s is encrypted with %q", name, s.AWS.SecretKey(name))
		}
	}
}
