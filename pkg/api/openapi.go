package api

import _ "embed"

//go:embed openapi.yaml
var document string

// OpenAPI is the API's description, OpenAPI 3.1 in YAML: what callers generate a client from, and what tests hold answers
// against. The functions don't ask for it, so it is in none of their binaries.
func OpenAPI() string { return document }
