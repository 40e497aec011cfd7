package push

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"testing"

	"wechat-draftbox/pkg/secret"
)

// platform is WeChat's side of a push. Its steps are apart, so that a test can
// spoil any one of them and have the rest done right.
type platform struct {
	appID, token, key string
}

var (
	eventPlatform  = platform{"wx134c8103faa5a59e", "AAAAA", strings.Repeat("A", 43)}
	samplePlatform = platform{"wx5823bf96d3bd56c7", "QDG6eK", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"}
)

const random = "1234567890abcdef"

// plain is the plaintext without its padding.
func (p platform) plain(random, message string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(random), uint32(len(message)))
	return append(append(b, message...), p.appID...)
}

func pad(plain []byte) []byte {
	n := 32 - len(plain)%32
	return append(slices.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
}

// encrypt takes a padded plaintext.
func (p platform) encrypt(padded []byte) []byte {
	raw, err := base64.StdEncoding.DecodeString(p.key + "=")
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, raw[:16]).CryptBlocks(out, padded)
	return out
}

func (p platform) sign(timestamp, nonce, encrypt string) url.Values {
	digest := func(parts ...string) string {
		slices.Sort(parts)
		sum := sha1.Sum([]byte(strings.Join(parts, "")))
		return hex.EncodeToString(sum[:])
	}
	return url.Values{
		"signature":     {digest(p.token, timestamp, nonce)},
		"timestamp":     {timestamp},
		"nonce":         {nonce},
		"encrypt_type":  {"aes"},
		"msg_signature": {digest(p.token, timestamp, nonce, encrypt)},
	}
}

// envelop signs whatever is given for the content of Encrypt.
func (p platform) envelop(encrypt string) (url.Values, []byte) {
	body := "<xml><AppId><![CDATA[" + p.appID + "]]></AppId><Encrypt><![CDATA[" + encrypt + "]]></Encrypt></xml>"
	return p.sign("1413192605", "100000001", encrypt), []byte(body)
}

// send signs and envelops a ciphertext.
func (p platform) send(ciphertext []byte) (url.Values, []byte) {
	return p.envelop(base64.StdEncoding.EncodeToString(ciphertext))
}

// seal does all of it right.
func (p platform) seal(message string) (url.Values, []byte) {
	return p.send(p.encrypt(pad(p.plain(random, message))))
}

func (p platform) receiver(t testing.TB, former ...string) *Receiver {
	t.Helper()
	r, err := NewReceiver(p.appID, secret.New(p.token), secret.New(p.key), secret.New(strings.Join(former, "")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
