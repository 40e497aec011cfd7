package wechattest

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// secretsFile names a file to which every secret is added as it comes into being, one a line. The scan for leaks over
// the output of all tests sets it.
const secretsFile = "WECHAT_DRAFTBOX_SECRETS"

var openSecretsFile = sync.OnceValue(func() *os.File {
	name := os.Getenv(secretsFile)
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(fmt.Sprintf("wechattest: %s: %v", secretsFile, err)) // a scan that knows no secrets finds none
	}
	return file
})

// remember keeps secrets for [Server.Secrets]. Empty ones aren't any.
func (s *Server) remember(secrets ...string) {
	for _, v := range secrets {
		if v == "" {
			continue
		}
		s.secrets = append(s.secrets, v)
		if file := openSecretsFile(); file != nil {
			fmt.Fprintln(file, strings.TrimSpace(v)) // one write, for processes that share the file
		}
	}
}

// Secrets returns every token, refresh token, ticket, authorization code, app secret and key that this server ever
// knew, for tests that look for leaks.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.secrets...)
}
