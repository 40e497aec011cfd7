package wechattest

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// secretsFile is a variable that names a file to which every new secret is appended, one a line. The leak scan over
// all tests' output sets it.
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

// remember records secrets for [Server.Secrets], except empty ones.
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

// Secrets returns every token, refresh token, ticket, authorization code, app secret and key that this server has had,
// for leak tests.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.secrets...)
}
