// Package jsonx writes JSON without the \u escapes for <, > and & that encoding/json puts in for web pages. WeChat refuses
// them where it stores a text (47002), and answers, events and items are read by people. It is short because there is no
// option for it in json.Marshal.
package jsonx

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal without those escapes.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
