package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"wechat-draftbox/pkg/wechat"
)

// TruncateDraft encodes a draft in at most limit bytes. If necessary its texts are truncated one after the other, and listed
// in the key truncated. If that isn't enough, the result is [MinimalDraft].
func TruncateDraft(draft wechat.Draft, limit int) (json.RawMessage, error) {
	encoded, err := wechat.EncodeJSON(draft)
	if err != nil {
		return nil, fmt.Errorf("encode draft %d: %w", draft.DraftID, err)
	}
	if len(encoded) <= limit {
		return encoded, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, fmt.Errorf("encode draft %d: %w", draft.DraftID, err)
	}
	var truncated []string
	_ = json.Unmarshal(fields["truncated"], &truncated) // by an earlier limit, if any
	for _, name := range []string{"user_desc", "user_version", "source_miniprogram", "developer"} {
		var long string
		if json.Unmarshal(fields[name], &long) != nil || long == "" {
			continue
		}
		if !slices.Contains(truncated, name) {
			truncated = append(truncated, name)
		}
		fields["truncated"], _ = wechat.EncodeJSON(truncated) // strings always encode
		fields[name] = json.RawMessage(`""`)
		without, err := wechat.EncodeJSON(fields)
		if err != nil {
			return nil, fmt.Errorf("encode draft %d: %w", draft.DraftID, err)
		}
		fields[name], _ = wechat.EncodeJSON(truncateJSON(long, limit-len(without)))
		if len(without) <= limit {
			return wechat.EncodeJSON(fields)
		}
	}
	return MinimalDraft(KeyOf(draft), draft.SourceMiniprogramAppID)
}

// MinimalDraft is the JSON of a draft with only its key and its mini program.
func MinimalDraft(key DraftKey, sourceAppID string) (json.RawMessage, error) {
	return wechat.EncodeJSON(struct {
		DraftID     int64    `json:"draft_id"`
		CreateTime  int64    `json:"create_time"`
		SourceAppID string   `json:"source_miniprogram_appid"`
		Truncated   []string `json:"truncated"`
	}{key.DraftID, key.CreateTime, truncateJSON(sourceAppID, 1<<10), []string{"*"}})
}

// truncateJSON is the longest prefix of a text that takes at most limit bytes inside a JSON string.
func truncateJSON(text string, limit int) string {
	for i, r := range text {
		switch {
		case strings.ContainsRune("\"\\\b\f\n\r\t", r):
			limit -= len(`\n`)
		case r < ' ', r == '\u2028', r == '\u2029':
			limit -= len(`\u0000`)
		default:
			limit -= utf8.RuneLen(r)
		}
		if limit < 0 {
			return text[:i]
		}
	}
	return text
}
