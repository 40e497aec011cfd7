package wechat

import (
	"bytes"
	"encoding/json"
)

// EncodeJSON is json.Marshal without the \u escapes for <, > and & that are meant for web pages. WeChat refuses them where it
// stores a text (47002); the bundle's own JSON is read by people.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
