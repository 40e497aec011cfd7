package api_test

import (
	"net/url"
	"strings"
	"testing"

	"wechat-draftbox/pkg/api"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	all := func(string) bool { return true }
	for _, position := range []string{"wx0000000000000001", "00000000001504790906#00000000000000000004", "草稿", "\x00"} {
		next := api.WriteCursor(position)
		if next == "" || url.QueryEscape(next) != next {
			t.Errorf("%q has to be escaped", next)
		}
		if got, err := api.ReadCursor(next, all); got != position || err != nil {
			t.Errorf("%q became %q, %v", position, got, err)
		}
		if _, err := api.ReadCursor(next, func(p string) bool { return p != position }); err == nil {
			t.Errorf("%q is none of the route's", position)
		}
		for i := range next { // cut short, at both ends, and changed
			changed := []byte(next)
			changed[i] ^= 1
			for _, text := range []string{next[:i], next[i+1:], string(changed)} {
				if got, err := api.ReadCursor(text, all); err == nil {
					t.Errorf("%q was read as %q", text, got)
				}
			}
		}
	}
	for _, text := range []string{"", "x", "AAAA", "AAAAAA", strings.Repeat("A", 40), api.WriteCursor("a") + "=", "草稿"} {
		if got, err := api.ReadCursor(text, all); err == nil {
			t.Errorf("%q was read as %q", text, got)
		}
	}
	if got := api.WriteCursor(""); got != "" {
		t.Errorf("the end is %q", got)
	}
}
