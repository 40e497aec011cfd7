package api

import _ "embed"

//go:embed openapi.yaml
var document string

// OpenAPI is the API's description, OpenAPI 3.1 in YAML, for client generators and tests. The functions don't call it, so
// the linker leaves it out of their binaries.
func OpenAPI() string { return document }
