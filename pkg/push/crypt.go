package push

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"wechat-draftbox/pkg/secret"
)

const (
	keyLength    = 32 // AES-256
	padBlock     = 32 // WeChat pads to twice the block of AES
	randomLength = 16
	headerLength = randomLength + 4 // the random bytes, the length of the message
)

// key is referenced by pointer, so that printing a Receiver shows an address.
type key struct {
	block cipher.Block
	iv    []byte
}

// parseKey parses an EncodingAESKey. The last character of real ones may have stray bits, which a strict decoder refuses.
func parseKey(encoded secret.Value) (*key, error) {
	raw, err := base64.RawStdEncoding.DecodeString(encoded.Reveal())
	if err != nil || len(raw) != keyLength {
		return nil, errors.New("not 43 characters of base64")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return &key{block: block, iv: raw[:aes.BlockSize]}, nil
}

// verify checks msg_signature, the only signature that covers the body.
func (r *Receiver) verify(query url.Values, encrypt string) error {
	for _, name := range []string{"timestamp", "nonce", "msg_signature"} {
		if v := query[name]; len(v) != 1 || v[0] == "" {
			return fmt.Errorf("%w: %s is missing or repeated", ErrSignature, name)
		}
	}
	parts := []string{r.token.Reveal(), query.Get("timestamp"), query.Get("nonce"), encrypt}
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	want := hex.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(want), []byte(query.Get("msg_signature"))) != 1 {
		return fmt.Errorf("%w: msg_signature differs", ErrSignature)
	}
	return nil
}

// decrypt decrypts with the current key, or else with the former one. If neither works, the error is the current key's.
func (r *Receiver) decrypt(encrypt string) ([]byte, error) {
	ciphertext, err := base64.StdEncoding.DecodeString(encrypt)
	if err != nil {
		return nil, malformed("decrypt: Encrypt is not base64")
	}
	if len(ciphertext) == 0 || len(ciphertext)%padBlock != 0 {
		return nil, malformed("decrypt: Encrypt is missing or cut short")
	}
	var first error
	for _, k := range r.keys {
		plain := make([]byte, len(ciphertext))
		cipher.NewCBCDecrypter(k.block, k.iv).CryptBlocks(plain, ciphertext)
		message, err := unwrap(plain, r.appID)
		if err == nil {
			return message, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// unwrap extracts the message from the plaintext: 16 random bytes, the message's length (4 bytes, big endian), the
// message, the appid, padding.
func unwrap(plain []byte, appID string) ([]byte, error) {
	last := plain[len(plain)-1:]
	pad := int(last[0])
	if pad < 1 || pad > padBlock || !bytes.HasSuffix(plain, bytes.Repeat(last, pad)) {
		return nil, malformed("decrypt: bad padding, as a wrong key gives")
	}
	plain = plain[:len(plain)-pad]
	if len(plain) < headerLength {
		return nil, malformed("decrypt: too short")
	}
	length, rest := binary.BigEndian.Uint32(plain[randomLength:]), plain[headerLength:]
	if uint64(length) > uint64(len(rest)) {
		return nil, malformed("decrypt: the message's length is past its end")
	}
	if string(rest[length:]) != appID {
		return nil, malformed("decrypt: the tail is not the platform's appid")
	}
	return rest[:length], nil
}
