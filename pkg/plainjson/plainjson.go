// Package plainjson writes JSON without the \u escapes for <, > and & that encoding/json puts in for web pages: WeChat
// refuses them (47002), and people have to read them.
package plainjson

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal without those escapes.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
