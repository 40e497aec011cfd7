package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/wechat"
)

func ExampleClient_DraftList() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"errcode":0,"draft_list":[{"draft_id":4,"create_time":1504790906,"user_version":"1.2"}]}`)
	}))
	defer server.Close()

	client := wechat.New([]string{server.URL})
	list, err := client.DraftList(context.Background(), secret.New("component-token"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, draft := range list.Drafts {
		fmt.Println(draft.DraftID, draft.UserVersion)
		fmt.Println(string(draft.AppendJSON(nil)))
	}
	// Output:
	// 4 1.2
	// {"draft_id":4,"create_time":1504790906,"created_at":"2017-09-07T13:28:26Z","user_version":"1.2"}
}

// A refusal says what it means and who acts.
func ExampleError() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"errcode":61004,"errmsg":"access clientip is not registered requestIP: 198.51.100.154 rid: 65af81fb-4abb2a3b-18a1751e"}`)
	}))
	defer server.Close()

	client := wechat.New([]string{server.URL})
	_, err := client.DraftList(context.Background(), secret.New("component-token"))
	var refusal *wechat.APIError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Code, refusal.EgressIP(), refusal.RID())
		fmt.Println(refusal.Info().Owner)
	}
	// Output:
	// 61004 198.51.100.154 65af81fb-4abb2a3b-18a1751e
	// the platform's operator
}
