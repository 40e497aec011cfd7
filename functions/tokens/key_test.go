package main

import "testing"

func TestTokensAreEncryptedWithTheOperatorsKey(t *testing.T) {
	t.Parallel()
	const key = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000001"
	for _, store := range stores {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, store)
			s.Env["KMS_KEY_ARN"] = key
			s.tokens = s.Start(wire)
			s.refresh() // makes the component's
			s.invoke(map[string]string{"task": "import-accounts"})
			s.refresh()
			for _, holder := range []string{component, closed} {
				name, secret := s.place(holder)
				used := s.AWS.ParameterKey(name)
				if secret {
					used = s.AWS.SecretKey(name)
				}
				if used != key {
					t.Errorf("%s is encrypted with %q", name, used)
				}
			}
		})
	}
}
