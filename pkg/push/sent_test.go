package push_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"wechat-draftbox/pkg/push"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/standin/wechattest"
)

// TestPushesAsTheyAreSent opens what the simulated WeChat pushes over HTTP.
func TestPushesAsTheyAreSent(t *testing.T) {
	t.Parallel()
	wechat := wechattest.New()
	platform := wechat.Platform()
	receiver, err := push.NewReceiver(platform.AppID, secret.New(platform.MessageToken), secret.New(platform.EncodingAESKey), secret.Value{})
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan push.Push, 1)
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p, err := receiver.Open(r.URL.Query(), body)
		if err != nil {
			t.Error(err)
		}
		opened <- p
		io.WriteString(w, "success")
	}))
	defer callback.Close()
	wechat.PushTo(callback.URL)
	open := func(_ wechattest.Push, err error) push.Push {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return <-opened
	}

	if p := open(wechat.SendTicket(t.Context())); p.Ticket.Reveal() != wechat.Ticket() || p.IsAuthorization() {
		t.Errorf("ticket: %+v", p)
	}
	const account, mini = "wx00000000000000aa", "wx00000000000000bb"
	if p := open(wechat.Authorize(t.Context(), account)); !p.IsAuthorization() || p.AuthorizerAppID != account || p.AuthorizationCode.IsZero() || p.ExpiresAt != p.CreateTime+3600 {
		t.Errorf("authorized: %+v", p)
	}
	p := open(wechat.Register(t.Context(), mini, "甲\x02公司"))
	if p.InfoType != push.NotifyThirdFasteRegister || !p.IsAuthorization() || p.AuthorizerAppID != mini {
		t.Errorf("registered: %+v", p)
	}
	for path, want := range map[string]string{"info/name": "甲\x02公司", "info/code": "91110000MA00EXAMPLE", "info/code_type": "1", "status": "0", "auth_code": ""} {
		if p.Fields[path] != want {
			t.Errorf("%s is %q", path, p.Fields[path])
		}
	}
	if p := open(wechat.Unauthorize(t.Context(), account)); p.InfoType != push.Unauthorized || p.IsAuthorization() {
		t.Errorf("unauthorized: %+v", p)
	}
}
