package wechat

import (
	"bytes"
	"encoding/json"
)

// EncodeJSON is json.Marshal without HTML escaping. WeChat refuses \u escapes in some texts (47002), and they are hard to read
// in the bundle's own JSON.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
