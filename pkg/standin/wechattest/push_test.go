package wechattest_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/standin/wechattest"
)

// The first two vectors are from WeChat's message push page and its WXBizMsgCrypt sample.
var vectors = []struct {
	name                               string
	platform                           wechattest.Platform
	timestamp, nonce, signature, crypt string
	pad                                byte
	xml                                string
}{
	{
		"message push page",
		wechattest.Platform{AppID: "wx134c8103faa5a59e", MessageToken: "AAAAA", EncodingAESKey: strings.Repeat("A", 43)},
		"1715943329", "1590219412", "6c12a4205838198b8fa631b3220723bb07f1015c",
		"D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
		22,
		"<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n<CreateTime>1715943329</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[debug_demo]]></Event>\n<debug_str><![CDATA[hello world]]></debug_str>\n</xml>",
	},
	{
		"WXBizMsgCrypt sample, whose key has stray bits",
		wechattest.Platform{AppID: "wx5823bf96d3bd56c7", MessageToken: "QDG6eK", EncodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"},
		"1409659813", "1372623149", "477715d11cdb4164915debcba66cb864d751f3e6",
		"RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+qN+E7Q==",
		30,
		"<xml><ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>\n<FromUserName><![CDATA[mycreate]]></FromUserName>\n<CreateTime>1409659813</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[hello]]></Content>\n<MsgId>4561255354251345929</MsgId>\n<AgentID>218</AgentID>\n</xml>",
	},
	{
		"ticket",
		wechattest.Platform{AppID: "wx134c8103faa5a59e", MessageToken: "AAAAA", EncodingAESKey: strings.Repeat("A", 43)},
		"1413192605", "100000001", "21a69ed9cd38ded7002b425a29c76e29039389fb",
		"tLUFASCuOPb02nokMfxL1+LqUZox3RcJGfN89qzgNBP07uGv/RKadHqMMNrvkGsKVYprgN5se5y6Wk4kRQh1rxtbH8LA0+NorRqzXCb8z38kX6Lual8YFmH/5inTuEW8xue3iOJC8kLnxHU1y6Lp2XYHt6CPLRFyoWdzJloVppogDUVxd08Q+GttSKcCRcoHK+qfPoWtVvo9erbd4qrkVT8c/cuj/yiDLe9Ik4F+nkcgd75IXNXYl83sncuhZaSUc/Ane51Cv132aHF3RCBCDy+eY2rs8KzXA7uyBdxI9xcj0Ts7mzZWw4mMOv2b54qepZvinQ6VeFg/H9hWDLJFgw==",
		25,
		"<xml>\n<AppId>wx134c8103faa5a59e</AppId>\n<CreateTime>1413192605</CreateTime>\n<InfoType>component_verify_ticket</InfoType>\n<ComponentVerifyTicket>some_verify_ticket</ComponentVerifyTicket>\n</xml>",
	},
}

func TestEncryptPushMakesTheVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		plain := decrypt(t, v.platform.EncodingAESKey, v.crypt)
		if pad := plain[len(plain)-1]; pad != v.pad {
			t.Errorf("%s: pad %d, want %d", v.name, pad, v.pad)
		}
		query, body := wechattest.EncryptPush(v.platform, []byte(v.xml), v.timestamp, v.nonce, plain[:16])
		if v.name == "ticket" && string(plain[:16]) != "1234567890abcdef" {
			t.Errorf("%s: random bytes %q", v.name, plain[:16])
		}
		var outer struct{ AppId, Encrypt string }
		if err := xml.Unmarshal(body, &outer); err != nil {
			t.Fatal(err)
		}
		if outer.Encrypt != v.crypt {
			t.Errorf("%s: encrypted %s", v.name, cmp.Diff(v.crypt, outer.Encrypt))
		}
		if outer.AppId != v.platform.AppID {
			t.Errorf("%s: AppId %q", v.name, outer.AppId)
		}
		if got := query.Get("msg_signature"); got != v.signature {
			t.Errorf("%s: msg_signature %s, want %s", v.name, got, v.signature)
		}
		if query.Get("encrypt_type") != "aes" || query.Get("timestamp") != v.timestamp || query.Get("nonce") != v.nonce ||
			query.Get("signature") != sign(v.platform.MessageToken, v.timestamp, v.nonce) {
			t.Errorf("%s: query %v", v.name, query)
		}
	}
}

func decrypt(t *testing.T, key, encrypted string) []byte {
	t.Helper()
	k, err := base64.StdEncoding.DecodeString(key + "=")
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(encrypted)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCDecrypter(block, k[:16]).CryptBlocks(b, b)
	return b
}

func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// info is a push's plaintext.
type info struct {
	AppId, InfoType, ComponentVerifyTicket                                        string
	CreateTime                                                                    int64
	AuthorizerAppid, AuthorizationCode, AuthorizationCodeExpiredTime, PreAuthCode string
}

// receive starts a receiver that verifies each push as a platform must, and responds with answer's result.
func receive(t *testing.T, p wechattest.Platform, answer http.HandlerFunc) (callbackURL string, pushes chan info) {
	t.Helper()
	pushes = make(chan info, 100)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var outer struct{ AppId, Encrypt string }
		if err := xml.Unmarshal(body, &outer); err != nil {
			t.Error(err)
		}
		q := r.URL.Query()
		if q.Get("key") != "of its own" || q.Get("msg_signature") != sign(p.MessageToken, q.Get("timestamp"), q.Get("nonce"), outer.Encrypt) {
			t.Errorf("wrong query: %v", q)
		}
		plain := decrypt(t, p.EncodingAESKey, outer.Encrypt)
		plain = plain[:len(plain)-int(plain[len(plain)-1])]
		n := binary.BigEndian.Uint32(plain[16:])
		if tail := string(plain[20+n:]); tail != p.AppID {
			t.Errorf("tail %q", tail)
		}
		var in info
		if err := xml.Unmarshal(plain[20:20+n], &in); err != nil {
			t.Error(err)
		}
		pushes <- in
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	return h.URL + "/callback?key=of+its+own", pushes
}

func success(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "success") }

func TestPushes(t *testing.T) {
	t.Parallel()
	w := start(t)
	callbackURL, pushes := receive(t, w.Platform(), success)
	if _, err := w.SendTicket(t.Context()); err == nil {
		t.Error("a push without a callback succeeded")
	}
	w.PushTo(callbackURL)
	sent := func(p wechattest.Push, err error) info {
		t.Helper()
		if err != nil || !p.Accepted() {
			t.Fatalf("%+v, %v", p, err)
		}
		return <-pushes
	}
	head := func(infoType string) info {
		return info{AppId: w.Platform().AppID, InfoType: infoType, CreateTime: w.clock.now().Unix()}
	}

	want := head("component_verify_ticket")
	got := sent(w.SendTicket(t.Context()))
	want.ComponentVerifyTicket = w.Ticket()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	wantCode(t, "fetch with it", w.fetchComponent(got.ComponentVerifyTicket), 0)

	const appid = "wx00000000000000aa"
	for _, infoType := range []string{"authorized", "updateauthorized"} {
		got = sent(w.Authorize(t.Context(), appid))
		if got.InfoType != infoType || got.AuthorizerAppid != appid || got.AuthorizationCodeExpiredTime != fmt.Sprint(w.clock.now().Unix()+3600) || got.PreAuthCode == "" {
			t.Errorf("%s: %+v", infoType, got)
		}
		wantCode(t, "exchange", w.post(wechattest.PathQueryAuth, w.LiveToken(""), object{"component_appid": w.Platform().AppID, "authorization_code": got.AuthorizationCode}), 0)
	}
	want = head("unauthorized")
	want.AuthorizerAppid = appid
	if diff := cmp.Diff(want, sent(w.Unauthorize(t.Context(), appid))); diff != "" {
		t.Error(diff)
	}
	if got := sent(w.Register(t.Context(), "wx00000000000000bb", "新公司")); got.InfoType != "notify_third_fasteregister" || got.CreateTime == 0 {
		t.Errorf("register: %+v", got)
	}
	if a, _ := w.Account("wx00000000000000bb"); !a.MiniProgram || !a.Authorized || a.Name != "新公司" {
		t.Errorf("registered: %+v", a)
	}
	if _, err := w.Unauthorize(t.Context(), "wx00000000000000ff"); err == nil {
		t.Error("an account that is not known ended its authorisation")
	}
	other := wechattest.InfoXML(w.Platform().AppID, "notify_third_fasteregister", w.clock.now())
	if diff := cmp.Diff(head("notify_third_fasteregister"), sent(w.Push(t.Context(), other))); diff != "" {
		t.Error(diff)
	}
	if n := len(w.Pushes()); n != 7 {
		t.Errorf("%d pushes recorded, want 7", n)
	}
}

func TestPushesThatAreNotAccepted(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, answer := range map[string]http.HandlerFunc{
		"status":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503); fmt.Fprint(w, "success") },
		"body":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "success\n") },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		callbackURL, _ := receive(t, w.Platform(), answer)
		w.PushTo(callbackURL)
		if p, err := w.SendTicket(t.Context()); err != nil || p.Accepted() || p.Status == 0 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	callbackURL, _ := receive(t, w.Platform(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	w.PushTo(callbackURL)
	p, err := w.SendTicket(t.Context())
	if err == nil || p.Status != 0 || strings.Contains(err.Error(), "http") || strings.Contains(p.Err, "signature") {
		t.Errorf("dropped: %+v, %v", p, err)
	}
}

func TestTicketsArePushedOnceAskedFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	callbackURL, pushes := receive(t, w.Platform(), success)
	w.PushTo(callbackURL)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); w.PushTickets(ctx, time.Millisecond) }()

	ask := func(secret string) object {
		return w.post(wechattest.PathStartPushTicket, "", object{"component_appid": w.Platform().AppID, "component_secret": secret})
	}
	wantCode(t, "wrong secret", ask("x"), 40125)
	wantCode(t, "wrong key", w.post(wechattest.PathStartPushTicket, "", object{"component_appid": w.Platform().AppID, "component_appsecret": w.Platform().AppSecret}), 41004)
	if w.Pushing() || len(w.Pushes()) > 0 {
		t.Error("pushes began too early")
	}
	wantCode(t, "start", ask(w.Platform().AppSecret), 0)
	wantCode(t, "start again", ask(w.Platform().AppSecret), 0)
	first, second := <-pushes, <-pushes
	if first.ComponentVerifyTicket == second.ComponentVerifyTicket {
		t.Error("the same ticket twice")
	}
	wantCode(t, "fetch with the former one", w.fetchComponent(first.ComponentVerifyTicket), 0)
	stop()
	<-ended
}
