package push

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
		want: Push{CreateTime: 1715943329, Fields: map[string]string{"ToUserName": "gh_97417a04a28d",
			"FromUserName": "o9AgO5Kd5ggOC-bXrbNODIiE3bGY", "CreateTime": "1715943329", "MsgType": "event", "Event": "debug_demo", "debug_str": "hello world"}},
	},
	{
		name: "sample", platform: samplePlatform, timestamp: "1409659813", nonce: "1372623149",
		signature: "477715d11cdb4164915debcba66cb864d751f3e6", random: "0960688932c47ef1", pad: 30,
		addressee: "<ToUserName><![CDATA[wx5823bf96d3bd56c7]]></ToUserName>",
		want: Push{CreateTime: 1409659813, Fields: map[string]string{"ToUserName": "wx5823bf96d3bd56c7", "FromUserName": "mycreate",
			"CreateTime": "1409659813", "MsgType": "text", "Content": "hello", "MsgId": "4561255354251345929", "AgentID": "218"}},
	},
	{
		name: "ticket", platform: eventPlatform, timestamp: "1413192605", nonce: "100000001",
		signature: "21a69ed9cd38ded7002b425a29c76e29039389fb", random: random, pad: 25,
		addressee: "<AppId>wx134c8103faa5a59e</AppId>",
		want: Push{InfoType: ComponentVerifyTicket, CreateTime: 1413192605, Ticket: secret.New("some_verify_ticket"),
			Fields: map[string]string{"AppId": "wx134c8103faa5a59e", "CreateTime": "1413192605", "InfoType": "component_verify_ticket"}},
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
	const account, at = "wxf8b4f85f3a794e77", 1413192760
	authorized := func(kind InfoType) Push {
		return Push{InfoType: kind, CreateTime: at, AuthorizerAppID: account, AuthorizationCode: secret.New("queryauthcode@@@1")}
	}
	unauthorized := Push{InfoType: Unauthorized, CreateTime: at, AuthorizerAppID: account}
	ticketPush := Push{InfoType: ComponentVerifyTicket, CreateTime: at, Ticket: secret.New("ticket@@@1")}
	registered := authorized(NotifyThirdFasteRegister)
	ends, noCode := authorized(Authorized), authorized(UpdateAuthorized)
	ends.ExpiresAt = 1413196360
	noCode.AuthorizationCode = secret.Value{}
	for _, c := range []struct {
		name, message string
		want          Push // without its fields
	}{
		{"ticket", message(ComponentVerifyTicket, createTime, ticket), ticketPush},
		{"authorized, expiry in words", message(Authorized, createTime, authorizer, code,
			"<AuthorizationCodeExpiredTime>in an hour</AuthorizationCodeExpiredTime><PreAuthCode>p</PreAuthCode>"), authorized(Authorized)},
		{"authorized, expiry", message(Authorized, createTime, authorizer, code, "<AuthorizationCodeExpiredTime>1413196360</AuthorizationCodeExpiredTime>"), ends},
		{"authorized, expiry negative", message(Authorized, createTime, authorizer, code, "<AuthorizationCodeExpiredTime>-5</AuthorizationCodeExpiredTime>"), authorized(Authorized)},
		{"updateauthorized", message(UpdateAuthorized, createTime, authorizer, code), authorized(UpdateAuthorized)},
		{"updateauthorized without a code", message(UpdateAuthorized, createTime, authorizer), noCode},
		{"updateauthorized with a code that can't be read", message(UpdateAuthorized, createTime, authorizer, "<AuthorizationCode>a\x01</AuthorizationCode>"), noCode},
		{"authorized with an appid beside", message(Authorized, createTime, "<appid>wx7</appid>", authorizer, code), authorized(Authorized)},
		{"unauthorized", message(Unauthorized, createTime, authorizer), unauthorized},
		{"CDATA, CRLF, blanks and tabs", "\r\n<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<xml>\r\n\t<AppId> \r\n<![CDATA[ wx5823bf96d3bd56c7 ]]>\t</AppId>\r\n" +
			"\t<InfoType><![CDATA[authorized]]>\r\n</InfoType>\r\n<CreateTime>\t1413192760 </CreateTime>\r\n" +
			"<AuthorizerAppid> <![CDATA[wxf8b4f85f3a794e77]]></AuthorizerAppid><AuthorizationCode>\tqueryauthcode@@@1\r\n</AuthorizationCode></xml>\r\n",
			authorized(Authorized)},
		{"no AppId inside", "<xml><InfoType>unauthorized</InfoType>" + createTime + authorizer + "</xml>", unauthorized},
		{"unknown elements, nested and repeated", message(Unauthorized, createTime, authorizer,
			"<info><AppId>wx6</AppId><InfoType>authorized</InfoType></info><info/><x/><x/>"), unauthorized},
		{"the first of repeated elements", message(Unauthorized, createTime, authorizer, "<InfoType>authorized</InfoType>", "<AppId>wx6</AppId>",
			"<AuthorizerAppid>wx6</AuthorizerAppid>", "<CreateTime>1</CreateTime>", code), unauthorized},
		{"the first of repeated tickets", message(ComponentVerifyTicket, createTime, ticket, "<ComponentVerifyTicket>b</ComponentVerifyTicket>"), ticketPush},

		{"a registration", message(NotifyThirdFasteRegister, createTime, "<appid>"+account+"</appid><status>0</status><auth_code>queryauthcode@@@1</auth_code><msg>OK</msg>"), registered},
		{"a registration that failed", message(NotifyThirdFasteRegister, createTime, "<status>100001</status><auth_code></auth_code>"),
			Push{InfoType: NotifyThirdFasteRegister, CreateTime: at}},
		{"a registration without a code", message(NotifyThirdFasteRegister, "<CreateTime>soon</CreateTime><appid>wx7</appid>"),
			Push{InfoType: NotifyThirdFasteRegister, AuthorizerAppID: "wx7"}},
		{"a code of another kind", message("notify_3rd_wxa_auth", createTime, "<appid>wx7</appid><auth_code>x</auth_code>", code), Push{InfoType: "notify_3rd_wxa_auth", CreateTime: at, AuthorizerAppID: "wx7"}},
		{"no kind", "<xml/>", Push{}},

		{"cut off", strings.TrimSuffix(message(Unauthorized, createTime, authorizer), "</xml>"), unauthorized},
		{"<xml> in place of </xml>", strings.TrimSuffix(message(Unauthorized, createTime, authorizer), "</xml>") + "<xml>", unauthorized},
		{"BOM before, NUL and LF behind", "\ufeff" + message(Unauthorized, createTime, authorizer) + "\x00\n", unauthorized},
		{"another document behind", message(Unauthorized, createTime, authorizer) + message(Authorized, createTime, authorizer, code), unauthorized},
		{"another encoding declared", `<?xml version="1.0" encoding="gbk"?>` + message(Unauthorized, createTime, authorizer), unauthorized},
		{"a comment and a document type", "<!DOCTYPE xml><!-- <AppId>wx6</AppId> -->" + message(Unauthorized, "<!-- > -->", createTime, authorizer), unauthorized},
		{"entities", message(Unauthorized, "<CreateTime>&#49;413192760</CreateTime><AuthorizerAppid>&#x77;xf8b4f85f3a794e77</AuthorizerAppid>"), unauthorized},
		{"attributes and blanks in tags", message(Unauthorized, "<CreateTime type=\"int\">1413192760</CreateTime >", strings.Replace(authorizer, ">", "\n\tx='1' >", 1)), unauthorized},
		{"CDATA in two pieces", message(Unauthorized, createTime, "<AuthorizerAppid><![CDATA[wxf8b4f85f]]><![CDATA[3a794e77]]></AuthorizerAppid>"), unauthorized},
		{"a misspelled end tag", message(Unauthorized, createTime, strings.Replace(authorizer, "</AuthorizerAppid>", "</AuthorizerAppId>", 1)), unauthorized},
		{"text beside an element's own", message(Unauthorized, "loose", createTime, "\xff\x02 & <", authorizer), unauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query, body := samplePlatform.seal(c.message)
			got, err := samplePlatform.receiver(t).Open(query, body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Push{}, "Fields")); diff != "" {
				t.Errorf("push (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsNotNeededDoesNoHarm puts each of these before and after the required elements.
func TestWhatIsNotNeededDoesNoHarm(t *testing.T) {
	t.Parallel()
	for name, junk := range map[string]string{
		"control characters":           "<x><![CDATA[a\x02\x10\x1d\x00b]]></x>",
		"GBK":                          "<x><![CDATA[\xbb\x5c\xb0\x5d]]></x>",
		"a character cut off":          "<x><![CDATA[中\xe4\xb8]]></x>",
		"another end tag":              "<idname>7</wxidnnn>",
		"another end tag, nested":      "<info><idname>7</wxidnnn><name>A</name></info>",
		"no end tag":                   "<x>7",
		"no end tag, nested":           "<info><x>7</info>",
		"a stray end tag":              "</x>",
		"a stray end tag, nested":      "<info></x></info>",
		"an unknown entity":            "<x>&nbsp;AT&T &#xffffffff; &#0; &;</x>",
		"less than":                    "<x>1 < 2 <3 <</x>",
		"greater than":                 "<x>1 > 2 ]]></x>",
		"CDATA that doesn't end":       "<x><![CDATA[7</x>",
		"a comment that doesn't end":   "<!-- ",
		"an instruction that doesn't":  "<? ",
		"a document type that doesn't": "<!",
		"markup in CDATA":              "<x><![CDATA[</x><AppId>wx6</AppId><AuthorizerAppid>wx6</AuthorizerAppid>]]></x>",
		"no name":                      "<></><1></1><\xff></\xff>",
		"deep":                         strings.Repeat("<x>", 20) + strings.Repeat("</x>", 20),
		"elements of other places":     "<info><AppId>wx6</AppId><CreateTime>1</CreateTime><AuthorizerAppid>wx6</AuthorizerAppid></info>",
	} {
		want := Push{InfoType: Unauthorized, CreateTime: 1413192760, AuthorizerAppID: "wxf8b4f85f3a794e77"}
		for _, text := range []string{
			message(Unauthorized, createTime, authorizer, junk),
			message(Unauthorized, createTime, junk, authorizer),
			strings.Replace(message(Unauthorized, createTime, authorizer), "<xml>", "<xml>"+junk, 1),
		} {
			if strings.HasSuffix(name, "CDATA that doesn't end") {
				text = strings.ReplaceAll(text, "]]>", "")
			}
			query, body := samplePlatform.seal(text)
			got, err := samplePlatform.receiver(t).Open(query, body)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Push{}, "Fields")); err != nil || diff != "" {
				t.Errorf("%s: %q: %v\n%s", name, text, err, diff)
			}
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	base := map[string]string{"AppId": "wx5823bf96d3bd56c7", "InfoType": "x", "CreateTime": "1413192760"}
	for _, c := range []struct {
		name     string
		infoType InfoType
		elements string
		want     map[string]string // beside base
	}{
		{"the case from the field", "x", "<info><name><![CDATA[a\x02b]]></name></info>", map[string]string{"info/name": "a\x02b"}},
		{"a company", "x", "<info><name>A</name><code>91</code><code_type>1</code_type><legal_persona_name>王</legal_persona_name></info>",
			map[string]string{"info/name": "A", "info/code": "91", "info/code_type": "1", "info/legal_persona_name": "王"}},
		{"secret names", "x", "<auth_code>a</auth_code><PRE_AUTH_CODE>a</PRE_AUTH_CODE><AuthorizationCodeExpiredTime>1</AuthorizationCodeExpiredTime>" +
			"<a><MyTicket>a</MyTicket><AccessToken>a</AccessToken><AppSecrets>a</AppSecrets><info><code>a</code></info></a><code>a</code><INFO><CODE>a</CODE></INFO>",
			map[string]string{}},
		{"names above the last", "x", "<token><status>1</status></token><codes><a>2</a></codes>", map[string]string{"token/status": "1", "codes/a": "2"}},
		{"a code as another's value", NotifyThirdFasteRegister, "<appid>wx7</appid><auth_code>queryauthcode@@@1</auth_code><info><code>queryauthcode@@@1</code><name>by queryauthcode@@@1</name></info><msg>queryauthcode@@@</msg>",
			map[string]string{"InfoType": "notify_third_fasteregister", "appid": "wx7", "msg": "queryauthcode@@@"}},
		{"a code that can't be read", Authorized, authorizer + "<AuthorizationCode>a\x01b\xff</AuthorizationCode><x>a\x01b\xff</x>",
			map[string]string{"InfoType": "authorized", "AuthorizerAppid": "wxf8b4f85f3a794e77"}},
		{"a ticket", ComponentVerifyTicket, ticket + "<x>ticket@@@12</x><y>1</y>", map[string]string{"InfoType": "component_verify_ticket", "y": "1"}},
		{"bytes that are no UTF-8", "x", "<a><![CDATA[中\xe4\xb8]]></a>", map[string]string{"a": "中\ufffd\ufffd"}},
		{"the first of repeated ones", "x", "<a>1</a><a>2</a><b><c>3</c></b><b><c>4</c><d>5</d></b>", map[string]string{"a": "1", "b/c": "3", "b/d": "5"}},
		{"empty", "x", "<a/><b></b><c> </c>", map[string]string{"a": "", "b": "", "c": ""}},
		{"inside an element without an end", "x", "<a>1<b>2</b>", map[string]string{"b": "2"}},
		{"broken, but to be read", "x", "<a>AT&T</a><idname>7</wxidnnn>", map[string]string{"a": "AT&T", "idname": "7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := samplePlatform.receiver(t).Open(samplePlatform.seal(message(c.infoType, createTime, c.elements)))
			if err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(base)
			maps.Copy(want, c.want)
			if diff := cmp.Diff(want, p.Fields); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The kinds that WeChat's pages name, beside those that something is done about.
func TestOtherKindsAreHandedOn(t *testing.T) {
	t.Parallel()
	for _, kind := range []InfoType{"notify_third_fastregisterbetaapp", "notify_3rd_wxa_auth", "notify_3rd_wxa_wxverify", "notify_apply_icpfiling_result",
		"notify_icpfiling_verify_result", "order_path_apply_result_notify", "order_path_audit_result_notify", "wxa_nickname_audit", "a new one"} {
		p, err := samplePlatform.receiver(t).Open(samplePlatform.seal(message(kind, "<appid>wx7</appid>")))
		if err != nil || p.InfoType != kind || p.AuthorizerAppID != "wx7" || p.IsAuthorization() || p.Fields["appid"] != "wx7" {
			t.Errorf("%s: %+v, %v", kind, p, err)
		}
	}
}

// Anybody can send a body; reading it may not take long.
func TestLargeBodiesAreReadFast(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{"<", "<a>", "</a>", "<a/>", "<a></b>", "<![CDATA[", "<!--", "<?", "<!", "&", "&amp", "<a ", ">", "]]>", "<a>x"} {
		body := []byte("<xml>" + strings.Repeat(piece, 64<<10/len(piece)))
		began := time.Now()
		scan(body)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q took %v", piece, took)
		}
	}
}

func TestOpenRefusesMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, message string }{
		{"empty", ""},
		{"no XML", "success"},
		{"JSON", `{"InfoType":"component_verify_ticket"}`},
		{"other root", "<html/>"},
		{"entities of its own", `<!DOCTYPE xml [<!ENTITY t "ticket">]>` + message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket>&t;</ComponentVerifyTicket>")},
		{"other AppId", strings.Replace(message(ComponentVerifyTicket, createTime, ticket), "wx5", "wx6", 1)},
		{"ticket with a control character", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket><![CDATA[a\x02]]></ComponentVerifyTicket>")},
		{"ticket that is no UTF-8", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket>a\xff</ComponentVerifyTicket>")},
		{"kind with a control character", message("component_verify_ticket\x01", createTime, ticket)},
		{"ticket cut off", "<xml>" + createTime + "<InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket>ticket@@@1"},
		{"ticket without an end tag", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket>ticket@@@1")},
		{"first of two tickets blank", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket/>", ticket)},
		{"ticket too deep", message(ComponentVerifyTicket, createTime, "<x>", ticket, "</x>")},
		{"everything too deep", message(ComponentVerifyTicket, createTime, strings.Repeat("<x>", 10000), ticket)},
		{"account with a start tag for its end", message(Unauthorized, createTime, strings.Replace(authorizer, "</", "<", 1))},
		{"names in another case", strings.ToUpper(message(Unauthorized, createTime, authorizer))},
		{"account with a control character", message(Unauthorized, createTime, "<AuthorizerAppid>wx\x01</AuthorizerAppid>")},
		{"registration without time", message(NotifyThirdFasteRegister, "<appid>wx7</appid><auth_code>queryauthcode@@@1</auth_code>")},
		{"other AppId that can't be read", strings.Replace(message(ComponentVerifyTicket, createTime, ticket), "wx5823", "wx\x015823", 1)},
		{"ticket missing", message(ComponentVerifyTicket, createTime)},
		{"ticket blank", message(ComponentVerifyTicket, createTime, "<ComponentVerifyTicket> \n</ComponentVerifyTicket>")},
		{"ticket without time", message(ComponentVerifyTicket, ticket)},
		{"time in words", message(ComponentVerifyTicket, ticket, "<CreateTime>soon</CreateTime>")},
		{"time with a fraction", message(ComponentVerifyTicket, ticket, "<CreateTime>1413192760.5</CreateTime>")},
		{"time too large", message(ComponentVerifyTicket, ticket, "<CreateTime>9223372036854775808</CreateTime>")},
		{"time zero", message(ComponentVerifyTicket, ticket, "<CreateTime>0</CreateTime>")},
		{"time negative", message(ComponentVerifyTicket, ticket, "<CreateTime>-1</CreateTime>")},
		{"authorized without account", message(Authorized, createTime, code)},
		{"authorized without time", message(Authorized, authorizer, code)},
		{"updateauthorized without account", message(UpdateAuthorized, createTime, code)},
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

func isZero(p Push) bool { return reflect.ValueOf(p).IsZero() }

// refused also checks that nothing is handed over with the error, and that the
// error is of one kind.
func refused(t *testing.T, r *Receiver, query url.Values, body []byte, want error) {
	t.Helper()
	p, err := r.Open(query, body)
	if !errors.Is(err, want) || errors.Is(err, ErrSignature) == errors.Is(err, ErrMalformed) {
		t.Errorf("error %v, want %v", err, want)
	}
	if !isZero(p) {
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

		{"repeated AppId", query, "<xml>" + encrypt + "<AppId>wx5823bf96d3bd56c7</AppId><AppId>wx6</AppId></xml>", nil},
		{"cut off behind Encrypt", query, "<xml>" + encrypt, nil},
		{"signed first of two", query, "<xml>" + encrypt + "<Encrypt>AAAA</Encrypt></xml>", nil},
		{"with a declaration, a BOM and a NUL", query, "\ufeff<?xml version=\"1.0\" encoding=\"gbk\"?><xml><x>\xff\x02</y>" + encrypt + "<xml>\x00", nil},

		{"other AppId", query, "<xml><AppId>wx134c8103faa5a59e</AppId>" + encrypt + "</xml>", ErrMalformed},
		{"first of two AppIds is another's", query, "<xml>" + encrypt + "<AppId>wx6</AppId><AppId>wx5823bf96d3bd56c7</AppId></xml>", ErrMalformed},
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

// A ciphertext that was changed and signed again gives nothing to act on but what
// stood in the message before: mostly an error, or else a push of no kind.
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
			if err == nil && got.InfoType != "" && !cmp.Equal(got, want, cmpopts.IgnoreFields(Push{}, "Fields")) || err != nil && !errors.Is(err, ErrMalformed) {
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
		strings.Replace(message(Authorized, createTime, code), "wx5", marker, 1),
	} {
		query, body := samplePlatform.seal(text)
		_, sealed := r.Open(query, body)
		_, raw := r.Open(query, []byte(text))
		_, signed := r.Open(samplePlatform.envelop(marker + "<>" + text))
		query.Set("msg_signature", marker)
		_, forged := r.Open(query, body)
		for _, err := range []error{sealed, raw, signed, forged} {
			if err != nil && strings.Contains(err.Error(), marker) {
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
