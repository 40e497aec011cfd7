package main

import (
	"net/http"
	"strings"
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
	"wechat-draftbox/pkg/standin/wechattest"
)

func TestBehindEveryFront(t *testing.T) {
	t.Parallel()
	for name, front := range functiontest.Fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f := start(t)
			f = f.Behind(front)
			for path, want := range map[string]string{
				"/accounts/" + wechattest.ExampleOpen + "/draft-switch": `"state":"open"`,
				"/accounts?limit=1": `"accounts":`,
			} {
				if r := f.HTTP(t.Context(), "GET", path, ""); r.Status != http.StatusOK || !strings.Contains(r.Body, want) {
					t.Errorf("GET %s: %d %s", path, r.Status, r.Body)
				}
			}
		})
	}
}

// A parameter is decoded once, by API Gateway: what is left encoded is no appid, whatever it would decode to.
func TestAppIDsAreNotDecodedTwice(t *testing.T) {
	t.Parallel()
	for name, front := range functiontest.Fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t) // where any account may be opened
			r := f.Behind(front).HTTP(t.Context(), "POST", "/accounts/wx000000000000000%2531/draft-switch", `{"confirm": "wx0000000000000001"}`)
			if r.Status != http.StatusBadRequest {
				t.Errorf("%d %s", r.Status, r.Body)
			}
			if n := world.WeChat.Calls("/cgi-bin/draft/switch"); n > 0 {
				t.Errorf("WeChat was called %d times", n)
			}
		})
	}
}
