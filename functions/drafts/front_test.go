package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"wechat-draftbox/pkg/standin/functiontest"
)

func TestBehindEveryFront(t *testing.T) {
	t.Parallel()
	for name, front := range functiontest.Fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f := start(t)
			f = f.Behind(front)
			var draft struct {
				ID *int64 `json:"draft_id"`
			}
			if r := f.HTTP(t.Context(), "GET", "/drafts/4", ""); r.Status != http.StatusOK {
				t.Errorf("GET /drafts/4: %d %s", r.Status, r.Body)
			} else if r.Decode(t, &draft); draft.ID == nil || *draft.ID != 4 {
				t.Errorf("GET /drafts/4: %s", r.Body)
			}
			if r := f.HTTP(t.Context(), "GET", "/drafts?limit=1", ""); r.Status != http.StatusOK || !strings.Contains(r.Body, `"count":1`) {
				t.Errorf("GET /drafts?limit=1: %d %s", r.Status, r.Body)
			}
			if r := f.HTTP(t.Context(), "GET", "/drafts/%2534", ""); r.Status != http.StatusBadRequest {
				t.Errorf("%%34 was decoded twice: %d %s", r.Status, r.Body)
			}
		})
	}
}

// What an own domain with a base path sends.
func TestBasePath(t *testing.T) {
	t.Parallel()
	event, err := os.ReadFile("testdata/base-path.json")
	if err != nil {
		t.Fatal(err)
	}
	_, f := start(t)
	result, err := f.Invoke(t.Context(), json.RawMessage(event))
	if err != nil || !strings.Contains(string(result), `"statusCode":200`) || !strings.Contains(string(result), `\"draft_id\":4,`) {
		t.Errorf("%v, %s", err, result)
	}
}
