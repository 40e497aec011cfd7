package state

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/wechat"
)

func TestTruncateDraft(t *testing.T) {
	t.Parallel()
	const limit = 4 << 10
	long := strings.Repeat("长\n", 5_000)
	for name, c := range map[string]struct {
		fields    map[string]any
		truncated []string
	}{
		"small":       {map[string]any{"user_desc": "d", "new": []any{1.0}}, nil},
		"description": {map[string]any{"user_version": "1.0", "user_desc": long, "new": 1.0}, []string{"user_desc"}},
		"both":        {map[string]any{"user_version": long, "user_desc": long}, []string{"user_desc", "user_version"}},
		"all": {map[string]any{"user_version": long, "user_desc": long, "source_miniprogram": long, "developer": long},
			[]string{"user_desc", "user_version", "source_miniprogram", "developer"}},
		"another key":           {map[string]any{"user_version": "1.0", "new": long}, []string{"*"}},
		"a mini program's id":   {map[string]any{"source_miniprogram_appid": long}, []string{"*"}},
		"truncated once before": {map[string]any{"user_version": long, "user_desc": "", "truncated": []any{"user_desc"}}, []string{"user_desc", "user_version"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.fields["draft_id"], c.fields["create_time"] = 7, 100
			sent, err := wechat.EncodeJSON(c.fields)
			if err != nil {
				t.Fatal(err)
			}
			var draft wechat.Draft
			if err := json.Unmarshal(sent, &draft); err != nil {
				t.Fatal(err)
			}
			encoded, err := TruncateDraft(draft, limit)
			if err != nil || len(encoded) > limit {
				t.Fatalf("%d bytes, %v", len(encoded), err)
			}
			var got struct {
				ID         int64    `json:"draft_id"`
				CreateTime int64    `json:"create_time"`
				Version    string   `json:"user_version"`
				Truncated  []string `json:"truncated"`
			}
			if err := json.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.truncated, got.Truncated); diff != "" || got.ID != 7 || got.CreateTime != 100 || !strings.HasPrefix(draft.UserVersion, got.Version) {
				t.Errorf("%.300s\ntruncated (-want +got):\n%s", encoded, diff)
			}
			if c.truncated != nil && c.truncated[0] != "*" && len(encoded) < limit*9/10 {
				t.Errorf("only %d bytes are left", len(encoded))
			}
		})
	}
}

func TestTruncateJSON(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain": strings.Repeat("a", 50), "Chinese": strings.Repeat("长", 20), "quotes": strings.Repeat(`"\`, 20),
		"white space": strings.Repeat("\n\t\r\b\f", 9), "controls": strings.Repeat("\x00\x1f\x7f", 9),
		"separators": strings.Repeat("\u2028\u2029", 5), "emoji": strings.Repeat("\U0001f600", 9), "web": strings.Repeat("<&>", 12),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			size := func(text string) int {
				encoded, err := wechat.EncodeJSON(text)
				if err != nil {
					t.Fatal(err)
				}
				return len(encoded) - len(`""`)
			}
			for limit := range size(text) + 2 {
				got := truncateJSON(text, limit)
				if !strings.HasPrefix(text, got) || !utf8.ValidString(got) || size(got) > limit {
					t.Fatalf("at %d: %q takes %d", limit, got, size(got))
				}
				_, next := utf8.DecodeRuneInString(text[len(got):])
				if longer := text[:len(got)+next]; longer != got && size(longer) <= limit {
					t.Fatalf("at %d: %q, but %q fits", limit, got, longer)
				}
			}
		})
	}
	if got := truncateJSON("a", -1); got != "" {
		t.Errorf("where there is no room at all: %q", got)
	}
}
