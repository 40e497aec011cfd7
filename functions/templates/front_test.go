package main

import (
	"net/http"
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
)

func TestBehindEveryFront(t *testing.T) {
	t.Parallel()
	for name, front := range functiontest.Fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			world, f := start(t)
			stock(world.WeChat)
			f = f.Behind(front)
			for _, test := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/templates?limit=2", http.StatusOK},
				{"DELETE", "/templates/2", http.StatusNoContent},
				{"DELETE", "/templates/%2531", http.StatusBadRequest},
				{"POST", "/drafts/4/template", http.StatusCreated},
			} {
				if r := f.HTTP(t.Context(), test.method, test.path, ""); r.Status != test.status {
					t.Errorf("%s %s: %d %s, want %d", test.method, test.path, r.Status, r.Body, test.status)
				}
			}
		})
	}
}
