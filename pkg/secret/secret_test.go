package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"wechat-draftbox/pkg/secret"
)

const text = "s3cr3t-access-token"

// holder is what code does without thinking: a secret in an unexported field, in a slice, as a map key's value.
type holder struct {
	token  secret.Value
	Public secret.Value
	list   []secret.Value
	byName map[string]secret.Value
}

func TestNoWayOfPrintingShowsTheText(t *testing.T) {
	t.Parallel()
	v := secret.New(text)
	h := holder{token: v, Public: v, list: []secret.Value{v}, byName: map[string]secret.Value{"a": v}}
	printed := []string{v.String(), v.LogValue().String()}
	for _, x := range []any{v, &v, h, &h, []secret.Value{v}, map[string]any{"v": v}, fmt.Errorf("refused: %v", v)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
			printed = append(printed, fmt.Sprintf(verb, x))
		}
		asJSON, _ := json.Marshal(x)
		asXML, _ := xml.Marshal(x)
		printed = append(printed, string(asJSON), string(asXML), fmt.Sprint(x))
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "x", x)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "x", x)
		printed = append(printed, log.String())
	}
	hex := fmt.Sprintf("%x", text)
	for _, p := range printed {
		if strings.Contains(p, text) || strings.Contains(strings.ToLower(p), hex) || strings.Contains(p, text[:3]) {
			t.Errorf("printed %q", p)
		}
	}
	if got := fmt.Sprint(v); got != "REDACTED" {
		t.Errorf("prints %q", got)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	v := secret.New(text)
	if v.Reveal() != text || v.IsZero() {
		t.Error("a value must give back its text")
	}
	if !v.Equal(secret.New(text)) || v.Equal(secret.New("other")) || v.Equal(secret.Value{}) {
		t.Error("equality is of the text")
	}
	if !secret.New("").IsZero() || !(secret.Value{}).IsZero() || (secret.Value{}).Reveal() != "" {
		t.Error("no text is the zero value")
	}
}
