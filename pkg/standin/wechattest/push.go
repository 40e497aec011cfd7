package wechattest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pushTimeout is how long WeChat waits for a response to a push.
const pushTimeout = 5 * time.Second

// Push is a push and its result.
type Push struct {
	Time     time.Time // by the server's clock
	InfoType string    // empty for one sent by [Server.Push]
	Status   int       // 0: no answer
	Body     string    // the first KiB of the answer
	Err      string    // why there was no answer; holds no URL
}

// Accepted reports whether the receiver responded correctly; otherwise WeChat would push again.
func (p Push) Accepted() bool { return p.Status == http.StatusOK && p.Body == "success" }

// PushTo sets the URL that pushes go to (授权事件接收 URL). It may have a query of its own.
func (s *Server) PushTo(callbackURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callback = callbackURL
}

// Pushes returns the newest hundred pushes, oldest first.
func (s *Server) Pushes() []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushes.all()
}

// SendTicket pushes a new component_verify_ticket. It returns an error if there was no response.
func (s *Server) SendTicket(ctx context.Context) (Push, error) {
	s.mu.Lock()
	t := s.newTicket()
	s.mu.Unlock()
	return s.pushInfo(ctx, "component_verify_ticket", t.issued, "ComponentVerifyTicket", t.value)
}

// Authorize has an account authorise the platform and pushes the code: `authorized`, or `updateauthorized` if it
// already had. It creates an unknown account, see [Server.NewCode].
func (s *Server) Authorize(ctx context.Context, appid string) (Push, error) {
	s.mu.Lock()
	value, stood := s.authorize(appid)
	now := s.now()
	s.mu.Unlock()
	infoType := "authorized"
	if stood {
		infoType = "updateauthorized"
	}
	return s.pushInfo(ctx, infoType, now, "AuthorizerAppid", appid, "AuthorizationCode", value,
		"AuthorizationCodeExpiredTime", strconv.FormatInt(now.Add(codeLife).Unix(), 10), "PreAuthCode", "preauthcode@@@"+rand.Text())
}

// Unauthorize has an account end its authorisation and pushes `unauthorized`.
func (s *Server) Unauthorize(ctx context.Context, appid string) (Push, error) {
	s.mu.Lock()
	a := s.accountByID[appid]
	if a == nil {
		s.mu.Unlock()
		return Push{}, fmt.Errorf("unauthorize %s: no such account", appid)
	}
	s.withdraw(a)
	now := s.now()
	s.mu.Unlock()
	return s.pushInfo(ctx, "unauthorized", now, "AuthorizerAppid", appid)
}

// Register creates a mini program through the platform's registration interface. It authorises the platform at once;
// `notify_third_fasteregister` has the code.
func (s *Server) Register(ctx context.Context, appid, company string) (Push, error) {
	s.mu.Lock()
	if s.accountByID[appid] == nil {
		s.addAccount(Account{AppID: appid, Name: company, Granted: true, MiniProgram: true})
	}
	value, _ := s.authorize(appid)
	now := s.now()
	s.mu.Unlock()
	const infoType = "notify_third_fasteregister"
	xml := InfoXML(s.platform.AppID, infoType, now, "appid", appid, "status", "0", "auth_code", value, "msg", "OK")
	info := fmt.Sprintf("<info>\n<name><![CDATA[%s]]></name>\n<code><![CDATA[91110000MA00EXAMPLE]]></code>\n<code_type>1</code_type>\n"+
		"<legal_persona_name><![CDATA[王军]]></legal_persona_name>\n</info>\n</xml>", company)
	return s.push(ctx, infoType, bytes.Replace(xml, []byte("</xml>"), []byte(info), 1))
}

// Push pushes any XML, for kinds of pushes without a method.
func (s *Server) Push(ctx context.Context, xml []byte) (Push, error) { return s.push(ctx, "", xml) }

func (s *Server) pushInfo(ctx context.Context, infoType string, created time.Time, more ...string) (Push, error) {
	return s.push(ctx, infoType, InfoXML(s.platform.AppID, infoType, created, more...))
}

// InfoXML encodes the plaintext of a push: AppId, CreateTime, InfoType, and more elements as pairs of name and text.
func InfoXML(appid, infoType string, created time.Time, more ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<xml><AppId><![CDATA[%s]]></AppId>\n<CreateTime>%d</CreateTime>\n<InfoType><![CDATA[%s]]></InfoType>\n", appid, created.Unix(), infoType)
	for pair := range slices.Chunk(more, 2) {
		fmt.Fprintf(&b, "<%s><![CDATA[%s]]></%s>\n", pair[0], pair[1], pair[0])
	}
	b.WriteString("</xml>")
	return b.Bytes()
}

func (s *Server) push(ctx context.Context, infoType string, xml []byte) (Push, error) {
	s.mu.Lock()
	p, to := Push{Time: s.now(), InfoType: infoType}, s.callback
	s.mu.Unlock()
	err := p.send(ctx, s.platform, to, xml)
	if err != nil {
		p.Err = err.Error()
		err = fmt.Errorf("push %s: %w", infoType, err)
	}
	s.mu.Lock()
	s.pushes.add(p)
	s.mu.Unlock()
	return p, err
}

var errNoCallback = errors.New("no callback URL is set")

// noRedirects: WeChat follows no redirects.
var noRedirects = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (p *Push) send(ctx context.Context, platform Platform, to string, xml []byte) error {
	if to == "" {
		return errNoCallback
	}
	target, err := url.Parse(to)
	if err != nil {
		return errors.New("the callback URL can't be read")
	}
	random := make([]byte, 16)
	_, _ = rand.Read(random) // never fails
	signed, body := EncryptPush(platform, xml, strconv.FormatInt(p.Time.Unix(), 10), strconv.FormatUint(uint64(binary.BigEndian.Uint32(random)), 10), random)
	query := target.Query()
	for k, v := range signed {
		query[k] = v
	}
	target.RawQuery = query.Encode()

	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("the callback URL can't be used")
	}
	req.Header.Set("Content-Type", "text/xml")
	client := http.Client{CheckRedirect: noRedirects}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL and its signature
		}
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return err
	}
	p.Status, p.Body = resp.StatusCode, string(answer)
	return nil
}

// startPushTicket starts the pushes of tickets; it returns errcode 0 also if they had been started.
func (s *Server) startPushTicket(r *request) (any, *refusal) {
	var in struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_secret"`
	}
	if refusal := r.decode(&in); refusal != nil {
		return nil, refusal
	}
	if refusal := s.checkPlatform(in.AppID, in.Secret); refusal != nil {
		return nil, refusal
	}
	s.startPushing()
	return ok, nil
}

func (s *Server) startPushing() {
	if !s.pushing {
		s.pushing = true
		close(s.pushingBegins)
	}
}

// StartPushing starts the pushes of tickets, as WeChat does by itself for a published platform.
func (s *Server) StartPushing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.startPushing()
}

// Pushing reports whether tickets are pushed.
func (s *Server) Pushing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pushing
}

// PushTickets waits until the pushes are started, then pushes a new ticket at once and after each interval until ctx
// ends. [Server.Pushes] has the results.
func (s *Server) PushTickets(ctx context.Context, interval time.Duration) {
	select {
	case <-s.pushingBegins:
	case <-ctx.Done():
		return
	}
	for {
		_, _ = s.SendTicket(ctx) // recorded; a lost ticket is followed by the next one
		if !wait(ctx, interval) {
			return
		}
	}
}

// EncryptPush encrypts and signs a push as WeChat does and returns its query and body. random16 precedes the message.
// It panics unless the EncodingAESKey is 43 characters of base64 and random16 has 16 bytes.
func EncryptPush(p Platform, xml []byte, timestamp, nonce string, random16 []byte) (query url.Values, body []byte) {
	key, err := base64.StdEncoding.DecodeString(p.EncodingAESKey + "=") // not strict: real keys may have stray bits at their end
	if err != nil || len(key) != 32 || len(random16) != 16 {
		panic("wechattest: EncryptPush: the key has to be 43 characters of base64, the random bytes 16")
	}
	plain := slices.Clone(random16)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(xml)))
	plain = append(plain, xml...)
	plain = append(plain, p.AppID...)
	pad := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	encrypted := base64.StdEncoding.EncodeToString(plain)

	query = url.Values{
		"signature":     {sign(p.MessageToken, timestamp, nonce)},
		"timestamp":     {timestamp},
		"nonce":         {nonce},
		"encrypt_type":  {"aes"},
		"msg_signature": {sign(p.MessageToken, timestamp, nonce, encrypted)},
	}
	return query, fmt.Appendf(nil, "<xml>\n<AppId><![CDATA[%s]]></AppId>\n<Encrypt><![CDATA[%s]]></Encrypt>\n</xml>", p.AppID, encrypted)
}

func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}
