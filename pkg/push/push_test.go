package push

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/secret"
)

// vectors are WeChat's two published ones, and a ticket.
var vectors = []struct {
	name             string // of the files in testdata
	platform         platform
	timestamp, nonce string
	signature        string
	random           string
	pad              int
	addressee        string // element and text beside Encrypt
	want             Push
}{
	{
		name: "event", platform: eventPlatform, timestamp: "1715943329", nonce: "1590219412",
		signature: "6c12a4205838198b8fa631b3220723bb07f1015c", random: "1205899eaf019bbd", pad: 22,
		addressee: "<ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>",
		want:      Push{CreateTime: 1715943329},
	},
	{
		name: "sample", platform: samplePlatform, timestamp: "1409659813", nonce: "1372623149",
		signature: "477715d11cdb4164915debcba66cb864d751f3e6", random: "0960688932c47ef1", pad: 30,
		addressee: "<ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>",
		want:      Push{CreateTime: 1409659813},
	},
	{
		name: "ticket", platform: eventPlatform, timestamp: "1413192605", nonce: "100000001",
		signature: "21a69ed9cd38ded7002b425a29c76e29039389fb", random: random, pad: 25,
		addressee: "<AppId>wx134c8103faa5a59e</AppId>",
		want:      Push{InfoType: ComponentVerifyTicket, CreateTime: 1413192605, Ticket: secret.New("some_verify_ticket")},
	},
}

func golden(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			encrypt, message := golden(t, v.name+".encrypt"), golden(t, v.name+".xml")
			r := v.platform.receiver(t)

			got, err := r.decrypt(encrypt)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(message, string(got)); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}

			query := url.Values{"timestamp": {v.timestamp}, "nonce": {v.nonce}, "msg_signature": {v.signature}}
			p, err := r.Open(query, []byte("<xml>"+v.addressee+"<Encrypt><![CDATA["+encrypt+"]]></Encrypt></xml>"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v.want, p); diff != "" {
				t.Errorf("push (-want +got):\n%s", diff)
			}
		})
	}
}

// The other tests are worth as much as their sealing is right.
func TestSealMakesTheVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		encrypt, message := golden(t, v.name+".encrypt"), golden(t, v.name+".xml")
		padded := pad(v.platform.plain(v.random, message))
		if got := int(padded[len(padded)-1]); got != v.pad {
			t.Errorf("%s: pad %d, want %d", v.name, got, v.pad)
		}
		if got := base64.StdEncoding.EncodeToString(v.platform.encrypt(padded)); got != encrypt {
			t.Errorf("%s: Encrypt %s", v.name, got)
		}
		if got := v.platform.sign(v.timestamp, v.nonce, encrypt).Get("msg_signature"); got != v.signature {
			t.Errorf("%s: msg_signature %s", v.name, got)
		}
	}
}

const (
	createTime = "<CreateTime>1413192760</CreateTime>"
	authorizer = "<AuthorizerAppid>wxf8b4f85f3a794e77</AuthorizerAppid>"
	code       = "<AuthorizationCode>queryauthcode@@@1</AuthorizationCode>"
	ticket     = "<ComponentVerifyTicket>ticket@@@1</ComponentVerifyTicket>"
)

// message is the XML of a push to samplePlatform.
func message(infoType InfoType, elements ...string) string {
	return "<xml><AppId>wx5823bf96d3bd56c7</AppId><InfoType>" + string(infoType) + "</InfoType>" + strings.Join(elements, "") + "</xml>"
}

func TestOpenReadsEveryKind(t *testing.T) {
	t.Parallel()
	authorized := func(kind InfoType) Push {
		return Push{InfoType: kind, CreateTime: 1413192760, AuthorizerAppID: "wxf8b4f85f3a794e77", AuthorizationCode: secret.New("queryauthcode@@@1")}
	}
	for _, c := range []struct {
		name, message string
		want          Push
	}{
		{"ticket", message(ComponentVerifyTicket, createTime, ticket),
			Push{InfoType: ComponentVerifyTicket, CreateTime: 1413192760, Ticket: secret.New("ticket@@@1")}},
		{"authorized, expiry in words", message(Authorized, createTime, authorizer, code,
			"<AuthorizationCodeExpiredTime>in an hour</AuthorizationCodeExpiredTime><PreAuthCode>p</PreAuthCode>"), authorized(Authorized)},
		{"updateauthorized", message(UpdateAuthorized, createTime, authorizer, code), authorized(UpdateAuthorized)},
		{"unauthorized", message(Unauthorized, createTime, authorizer),
			Push{InfoType: Unauthorized, CreateTime: 1413192760, AuthorizerAppID: "wxf8b4f85f3a794e77"}},
		{"CDATA, CRLF, blanks and tabs", "\r\n<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<xml>\r\n\t<AppId> \r\n<![CDATA[ wx5823bf96d3bd56c7 ]]>\t</AppId>\r\n" +
			"\t<InfoType><![CDATA[authorized]]>\r\n</InfoType>\r\n<CreateTime>\t1413192760 </CreateTime>\r\n" +
			"<AuthorizerAppid> <![CDATA[wxf8b4f85f3a794e77]]></AuthorizerAppid><AuthorizationCode>\tqueryauthcode@@@1\r\n</AuthorizationCode></xml>\r\n",
			authorized(Authorized)},
		{"no AppId inside", "<xml><InfoType>unauthorized</InfoType>" + createTime + authorizer + "</xml>",
			Push{InfoType: Unauthorized, CreateTime: 1413192760, AuthorizerAppID: "wxf8b4f85f3a794e77"}},
		{"unknown elements, nested and repeated", message(Unauthorized, createTime, authorizer,
			"<info><AppId>wx6</AppId><InfoType>authorized</InfoType></info><info/><x/><x/>"),
			Push{InfoType: Unauthorized, CreateTime: 1413192760, AuthorizerAppID: "wxf8b4f85f3a794e77"}},
		{"unknown kind", message("notify_third_fasteregister", "<CreateTime>soon</CreateTime><appid>wx7</appid>"),
			Push{InfoType: "notify_third_fasteregister"}},
		{"no kind", "<xml/>", Push{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query, body := samplePlatform.seal(c.message)
			got, err := samplePlatform.receiver(t).Open(query, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("push (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOpenRefusesMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message string }{
		{"empty", ""},
		{"no XML", "success"},
		{"JSON", `{"InfoType":"component_verify_ticket"}`},
		{"other root", "<html/>"},
		{"cut off", strings.TrimSuffix(message(ComponentVerifyTicket, createTime, ticket), "</xml>")},
		{"other encoding", `<?xml version="1.0" encoding="gbk"?>` + message(ComponentVerifyTicket, createTime, ticket)},
		{"no UTF-8", message(ComponentVerifyTicket, createTime, ticket, "<x>\xff</x>")},
		{"entities of its own", `<!DOCTYPE xml [<!ENTITY t "ticket">]>` + message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket>&t;</ComponentVerifyTicket>")},
		{"very deep", message(ComponentVerifyTicket, createTime, ticket, strings.Repeat("<x>", 10000))},
		{"other AppId", strings.Replace(message(ComponentVerifyTicket, createTime, ticket), "wx5", "wx6", 1)},
		{"AppId repeated", message(ComponentVerifyTicket, createTime, ticket, "<AppId>wx5823bf96d3bd56c7</AppId>")},
		{"InfoType repeated", message(Unauthorized, createTime, authorizer, "<InfoType>authorized</InfoType>")},
		{"authorizer repeated", message(Unauthorized, createTime, authorizer, authorizer)},
		{"ticket repeated", message(ComponentVerifyTicket, createTime, ticket, ticket)},
		{"ticket missing", message(ComponentVerifyTicket, createTime)},
		{"ticket blank", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket> \n</ComponentVerifyTicket>")},
		{"ticket without time", message(ComponentVerifyTicket, ticket)},
		{"time in words", message(ComponentVerifyTicket, ticket, "<CreateTime>soon</CreateTime>")},
		{"time with a fraction", message(ComponentVerifyTicket, ticket, "<CreateTime>1413192760.5</CreateTime>")},
		{"time too large", message(ComponentVerifyTicket, ticket, "<CreateTime>9223372036854775808</CreateTime>")},
		{"time zero", message(ComponentVerifyTicket, ticket, "<CreateTime>0</CreateTime>")},
		{"time negative", message(ComponentVerifyTicket, ticket, "<CreateTime>-1</CreateTime>")},
		{"authorized without account", message(Authorized, createTime, code)},
		{"authorized without code", message(Authorized, createTime, authorizer)},
		{"authorized without time", message(Authorized, authorizer, code)},
		{"updateauthorized without account", message(UpdateAuthorized, createTime, code)},
		{"updateauthorized without code", message(UpdateAuthorized, createTime, authorizer)},
		{"unauthorized without account", message(Unauthorized, createTime)},
		{"unauthorized without time", message(Unauthorized, authorizer)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query, body := samplePlatform.seal(c.message)
			refused(t, samplePlatform.receiver(t), query, body, ErrMalformed)
		})
	}
}

// refused also checks that nothing is handed over with the error, and that the
// error is of one kind.
func refused(t *testing.T, r *Receiver, query url.Values, body []byte, want error) {
	t.Helper()
	p, err := r.Open(query, body)
	if !errors.Is(err, want) || errors.Is(err, ErrSignature) == errors.Is(err, ErrMalformed) {
		t.Errorf("error %v, want %v", err, want)
	}
	if p != (Push{}) {
		t.Errorf("push %+v beside an error", p)
	}
}

func TestOpenRefusesEnvelopes(t *testing.T) {
	t.Parallel()
	query, good := samplePlatform.seal(message(ComponentVerifyTicket, createTime, ticket))
	_, encrypt, _ := strings.Cut(string(good), "<Encrypt>")
	encrypt = "<Encrypt>" + strings.TrimSuffix(encrypt, "</xml>")
	unsigned := samplePlatform.sign("1413192605", "100000001", "")
	for _, c := range []struct {
		name  string
		query url.Values
		body  string
		want  error // nil: opened
	}{
		{"as it was", query, string(good), nil},
		{"without AppId", query, "<xml>" + encrypt + "</xml>", nil},
		{"with CRLF and blanks", query, "\r\n<xml>\r\n\t" + strings.NewReplacer("<Encrypt>", "<Encrypt>\r\n\t", "</Encrypt>", " \r\n</Encrypt>").Replace(encrypt) + "<x/>\r\n</xml>\r\n", nil},
		{"without CDATA", query, strings.NewReplacer("<![CDATA[", "", "]]>", "").Replace(string(good)), nil},
		{"to an account", query, "<xml><ToUserName>gh_97417a04a28d</ToUserName>" + encrypt + "</xml>", nil},

		{"other AppId", query, "<xml><AppId>wx134c8103faa5a59e</AppId>" + encrypt + "</xml>", ErrMalformed},
		{"repeated AppId", query, "<xml>" + encrypt + "<AppId>wx5823bf96d3bd56c7</AppId><AppId>wx5823bf96d3bd56c7</AppId></xml>", ErrMalformed},
		{"cut off behind Encrypt", query, "<xml>" + encrypt, ErrMalformed},
		{"signed first of two", query, "<xml>" + encrypt + "<Encrypt>AAAA</Encrypt></xml>", ErrMalformed},
		{"no Encrypt, signed so", unsigned, "<xml/>", ErrMalformed},
		{"no XML, signed so", unsigned, "success", ErrMalformed},

		{"signed second of two", query, "<xml><Encrypt>AAAA</Encrypt>" + encrypt + "</xml>", ErrSignature},
		{"Encrypt nested", query, "<xml><x>" + encrypt + "</x></xml>", ErrSignature},
		{"other root", query, "<html>" + encrypt + "</html>", ErrSignature},
		{"no Encrypt", query, "<xml/>", ErrSignature},
		{"no XML", query, "success", ErrSignature},
		{"empty", query, "", ErrSignature},
		{"signed without its body", unsigned, string(good), ErrSignature},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := samplePlatform.receiver(t)
			if c.want != nil {
				refused(t, r, c.query, []byte(c.body), c.want)
			} else if _, err := r.Open(c.query, []byte(c.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenRefusesQueries(t *testing.T) {
	t.Parallel()
	good, body := samplePlatform.seal(message(ComponentVerifyTicket, createTime, ticket))
	r := samplePlatform.receiver(t)
	with := func(name string, values ...string) url.Values {
		q := url.Values{}
		for k, v := range good {
			q[k] = v
		}
		q[name] = values
		return q
	}
	for _, name := range []string{"signature", "encrypt_type"} {
		for _, values := range [][]string{nil, {"other"}, {"a", "b"}} {
			if _, err := r.Open(with(name, values...), body); err != nil {
				t.Errorf("%s %q: %v", name, values, err)
			}
		}
	}
	for _, name := range []string{"timestamp", "nonce", "msg_signature"} {
		right := good.Get(name)
		for _, values := range [][]string{nil, {""}, {right, right}, {right, "1"}, {"1", right}, {right + " "}, {right[1:]}, {right[:len(right)-1]}} {
			refused(t, r, with(name, values...), body, ErrSignature)
		}
		for i := range right {
			for bit := range 8 {
				b := []byte(right)
				b[i] ^= 1 << bit
				refused(t, r, with(name, string(b)), body, ErrSignature)
			}
		}
	}
	_, encrypt, _ := strings.Cut(string(body), "<Encrypt><![CDATA[")
	encrypt, _, _ = strings.Cut(encrypt, "]]>")
	refused(t, r, samplePlatform.sign("", "100000001", encrypt), body, ErrSignature)
	refused(t, r, samplePlatform.sign("1413192605", "", encrypt), body, ErrSignature)
	refused(t, r, nil, body, ErrSignature)
	refused(t, r, with("msg_signature", good.Get("signature")), body, ErrSignature)
	refused(t, r, with("msg_signature", strings.ToUpper(good.Get("msg_signature"))), body, ErrSignature)
}

func TestEveryByteOfTheBodyIsSigned(t *testing.T) {
	t.Parallel()
	query, body := samplePlatform.seal(message(ComponentVerifyTicket, createTime, ticket))
	r := samplePlatform.receiver(t)
	from := bytes.Index(body, []byte("<Encrypt><![CDATA[")) + len("<Encrypt><![CDATA[")
	to := bytes.Index(body, []byte("]]></Encrypt>"))
	for i := from; i < to; i++ {
		for bit := range 8 {
			b := bytes.Clone(body)
			b[i] ^= 1 << bit
			refused(t, r, query, b, ErrSignature)
		}
	}
}

// A ciphertext that was changed and signed again gives nothing but what stood in
// the message before, and nearly always an error.
func TestEveryByteOfTheCiphertext(t *testing.T) {
	t.Parallel()
	ciphertext := samplePlatform.encrypt(pad(samplePlatform.plain(random, message(ComponentVerifyTicket, createTime, ticket))))
	r := samplePlatform.receiver(t)
	want, err := r.Open(samplePlatform.send(ciphertext))
	if err != nil {
		t.Fatal(err)
	}
	for i := range ciphertext {
		for bit := range 8 {
			c := bytes.Clone(ciphertext)
			c[i] ^= 1 << bit
			got, err := r.Open(samplePlatform.send(c))
			if err == nil && !cmp.Equal(got, want) || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	for n := range ciphertext {
		query, body := samplePlatform.send(ciphertext[:n])
		refused(t, r, query, body, ErrMalformed)
	}
}

func TestPadding(t *testing.T) {
	t.Parallel()
	r := samplePlatform.receiver(t)
	seen := map[byte]bool{}
	for n := range 32 {
		plain := samplePlatform.plain(random, message(ComponentVerifyTicket, createTime, ticket, strings.Repeat(" ", n)))
		padded := pad(plain)
		length := padded[len(padded)-1]
		seen[length] = true
		if _, err := r.Open(samplePlatform.send(samplePlatform.encrypt(padded))); err != nil {
			t.Errorf("pad %d: %v", length, err)
		}

		// Each byte of the padding counts, not only the last.
		for i := len(plain); i < len(padded); i++ {
			bad := bytes.Clone(padded)
			bad[i] ^= 0x40
			query, body := samplePlatform.send(samplePlatform.encrypt(bad))
			refused(t, r, query, body, ErrMalformed)
		}
		for other := range 256 {
			if byte(other) == length {
				continue
			}
			fill := bytes.Repeat([]byte{byte(other)}, int(length))
			query, body := samplePlatform.send(samplePlatform.encrypt(append(bytes.Clone(plain), fill...)))
			refused(t, r, query, body, ErrMalformed)
		}
	}
	// As AES alone would pad: the ciphertext ends on half a block of WeChat's.
	text := message(ComponentVerifyTicket, createTime, ticket)
	for len(samplePlatform.plain(random, text))%32 != 11 {
		text += " "
	}
	plain := samplePlatform.plain(random, text)
	query, body := samplePlatform.send(samplePlatform.encrypt(append(plain, 5, 5, 5, 5, 5)))
	refused(t, r, query, body, ErrMalformed)

	if len(seen) != 32 {
		t.Errorf("%d lengths of padding seen", len(seen))
	}
	for n := 33; n < 256; n++ { // consistent, on block ends, and too long
		plain := samplePlatform.plain(random, message(ComponentVerifyTicket, createTime, ticket))
		for (len(plain)+n)%32 != 0 {
			plain = append(plain, ' ')
		}
		query, body := samplePlatform.send(samplePlatform.encrypt(append(plain, bytes.Repeat([]byte{byte(n)}, n)...)))
		refused(t, r, query, body, ErrMalformed)
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	r := samplePlatform.receiver(t)
	text := message(ComponentVerifyTicket, createTime, ticket)
	plain := samplePlatform.plain(random, text)
	right, rest := uint32(len(text)), uint32(len(plain)-20)
	for _, length := range []uint32{0, 1, right - 1, right + 1, rest - 1, rest, rest + 1, rest + 31, math.MaxInt32 - 20, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32 - 20, math.MaxUint32} {
		binary.BigEndian.PutUint32(plain[16:], length)
		query, body := samplePlatform.send(samplePlatform.encrypt(pad(plain)))
		refused(t, r, query, body, ErrMalformed)
	}
	for n := range 20 + len(samplePlatform.appID) { // padded well, and too short for its parts
		short := samplePlatform.plain(random, "")[:n]
		query, body := samplePlatform.send(samplePlatform.encrypt(pad(short)))
		refused(t, r, query, body, ErrMalformed)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	r := samplePlatform.receiver(t)
	text := message(ComponentVerifyTicket, createTime, ticket)
	right := samplePlatform.appID
	tails := []string{"", right[1:], right[:17], right + "0", right + right, " " + right, right + "\x00", strings.ToUpper(right), eventPlatform.appID}
	for i := range right {
		tails = append(tails, right[:i]+string(right[i]^1)+right[i+1:])
	}
	for _, tail := range tails {
		other := samplePlatform
		other.appID = tail
		query, body := samplePlatform.send(samplePlatform.encrypt(pad(other.plain(random, text))))
		refused(t, r, query, body, ErrMalformed)
	}
}

func TestEncryptThatIsNoCiphertext(t *testing.T) {
	t.Parallel()
	r := samplePlatform.receiver(t)
	for _, encrypt := range []string{"", "=", "AAA", "AAAA", "!!!!", "\x01", strings.Repeat("A", 64), strings.Repeat("A", 43) + "=", strings.Repeat("-_", 32)} {
		query, body := samplePlatform.envelop(encrypt)
		if encrypt == "\x01" { // no XML: then nothing is signed
			refused(t, r, query, body, ErrSignature)
			continue
		}
		refused(t, r, query, body, ErrMalformed)
	}
}

func TestKeyChange(t *testing.T) {
	t.Parallel()
	current, former, unknown := samplePlatform, samplePlatform, samplePlatform
	former.key = strings.Repeat("B", 43)
	unknown.key = strings.Repeat("C", 43)
	text := message(ComponentVerifyTicket, createTime, ticket)

	r := current.receiver(t, former.key)
	for _, sender := range []platform{current, former} {
		query, body := sender.seal(text)
		if _, err := r.Open(query, body); err != nil {
			t.Errorf("key %.4s: %v", sender.key, err)
		}
	}
	query, body := unknown.seal(text)
	refused(t, r, query, body, ErrMalformed)

	query, body = former.seal(text)
	refused(t, current.receiver(t), query, body, ErrMalformed)

	// Another platform's push under the current key is no matter of keys.
	other := current
	other.appID = eventPlatform.appID
	query, body = current.send(current.encrypt(pad(other.plain(random, text))))
	if _, err := r.Open(query, body); err == nil || !strings.Contains(err.Error(), "tail") {
		t.Errorf("error %v, want one about the tail", err)
	}
}

func TestNewReceiver(t *testing.T) {
	t.Parallel()
	good, token := secret.New(samplePlatform.key), secret.New("QDG6eK")
	for _, c := range []struct {
		name           string
		appID          string
		token          secret.Value
		current, other secret.Value
		want           string // in the error
	}{
		{"no appid", "", token, good, secret.Value{}, "component appid"},
		{"no token", "wx5823bf96d3bd56c7", secret.Value{}, good, secret.Value{}, "message token"},
		{"no key", "wx5823bf96d3bd56c7", token, secret.Value{}, good, "current EncodingAESKey"},
		{"short key", "wx5823bf96d3bd56c7", token, secret.New(samplePlatform.key[1:]), good, "current EncodingAESKey"},
		{"long key", "wx5823bf96d3bd56c7", token, secret.New(samplePlatform.key + "A"), good, "current EncodingAESKey"},
		{"AES-192", "wx5823bf96d3bd56c7", token, secret.New(samplePlatform.key[:32]), good, "current EncodingAESKey"},
		{"no base64", "wx5823bf96d3bd56c7", token, secret.New("!" + samplePlatform.key[1:]), good, "current EncodingAESKey"},
		{"former", "wx5823bf96d3bd56c7", token, good, secret.New(samplePlatform.key[1:]), "former EncodingAESKey"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := NewReceiver(c.appID, c.token, c.current, c.other)
			if err == nil || r != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one about the %s", err, c.want)
			}
			if strings.Contains(err.Error(), samplePlatform.key[8:24]) {
				t.Errorf("error shows the key: %v", err)
			}
		})
	}
}

// Parsers quote what they choke on. None of it may reach an error, nor may a
// Receiver or a Push show what it holds.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	const marker = "queryauthcode"
	r := samplePlatform.receiver(t)
	for _, text := range []string{
		marker,
		"<" + marker + ">",
		"<xml><" + marker + "></xml>",
		"<xml>&" + marker + ";</xml>",
		"<" + marker + "/>",
		`<?xml version="1.0" encoding="` + marker + `"?><xml/>`,
		`<xml ` + marker + `></xml>`,
		message(Authorized, "<CreateTime>"+marker+"</CreateTime>"),
		message(Authorized, createTime, code),
		message(Authorized, createTime, authorizer, code, code),
		strings.Replace(message(Authorized, createTime, code), "wx5", marker, 1),
	} {
		query, body := samplePlatform.seal(text)
		_, sealed := r.Open(query, body)
		_, raw := r.Open(query, []byte(text))
		_, signed := r.Open(samplePlatform.envelop(marker + "<>" + text))
		query.Set("msg_signature", marker)
		_, forged := r.Open(query, body)
		for _, err := range []error{sealed, raw, signed, forged} {
			if err == nil || strings.Contains(err.Error(), marker) {
				t.Errorf("%q: error %v", text, err)
			}
		}
	}

	raw, err := base64.RawStdEncoding.DecodeString(samplePlatform.key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Open(samplePlatform.seal(message(Authorized, createTime, authorizer, code, ticket)))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		shown := fmt.Sprintf(verb+" "+verb, r, p)
		iv := fmt.Sprintf(verb, raw[:4])
		for _, value := range []string{marker, fmt.Sprintf("%x", marker), "ticket@@@", samplePlatform.token, fmt.Sprintf("%x", samplePlatform.token), strings.Trim(iv, "[]")} {
			if strings.Contains(shown, value) {
				t.Errorf("%s shows %q: %s", verb, value, shown)
			}
		}
	}
}
