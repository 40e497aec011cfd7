package token

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
)

// fields are what a [Record] holds, so that they can be compared.
type fields struct {
	Access, Refresh, AppSecret string
	ExpiresAt                  time.Time
}

func fieldsOf(r Record) fields {
	return fields{r.Access.Reveal(), r.Refresh.Reveal(), r.AppSecret.Reveal(), r.ExpiresAt.UTC()}
}

func parseSecret(text string) (r Record, err error) {
	err = r.parseSecret("the/secret", secret.New(text))
	return r, err
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	with := func(expires string) string { return `{"access_token":"t","expires_at":` + expires + `}` }
	for _, c := range []struct {
		name, text string
		want       fields
	}{
		{"RFC 3339", with(`"2026-01-02T03:04:05Z"`), fields{Access: "t", ExpiresAt: at}},
		{"RFC 3339 with an offset", with(`"2026-01-02T11:04:05+08:00"`), fields{Access: "t", ExpiresAt: at}},
		{"RFC 3339 with a fraction", with(`"2026-01-02T03:04:05.5Z"`), fields{Access: "t", ExpiresAt: at.Add(time.Second / 2)}},
		{"Unix seconds", with(`1767323045`), fields{Access: "t", ExpiresAt: at}},
		{"Unix seconds as a string", with(`" 1767323045 "`), fields{Access: "t", ExpiresAt: at}},
		{"Unix seconds with a fraction", with(`1767323045.25`), fields{Access: "t", ExpiresAt: at}},
		{"Unix seconds with an exponent", with(`1.767323045e9`), fields{Access: "t", ExpiresAt: at}},
		{"expiry missing", `{"access_token":"t"}`, fields{Access: "t"}},
		{"expiry null", with(`null`), fields{Access: "t"}},
		{"expiry empty", with(`""`), fields{Access: "t"}},
		{"all of it", `{"access_token":"t","refresh_token":"r","appsecret":"s","expires_at":0,"x":1}`,
			fields{Access: "t", Refresh: "r", AppSecret: "s", ExpiresAt: time.Unix(0, 0).UTC()}},
		{"white space", " \r\n{ \"access_token\" : \" t\\n\" }\n", fields{Access: "t"}},
		{"byte order mark", "\ufeff" + `{"access_token":"t"}`, fields{Access: "t"}},
		{"refresh token only", `{"refresh_token":"r"}`, fields{Refresh: "r"}},
		{"app secret only", `{"appsecret":"s","access_token":null}`, fields{AppSecret: "s"}},
		{"bare token", "84_abc-DEF", fields{Access: "84_abc-DEF"}},
		{"bare token with white space", "\n\t 84_abc \r\n", fields{Access: "84_abc"}},
		{"no object but a list", `["t"]`, fields{Access: `["t"]`}},
		{"no object but a number", `123`, fields{Access: `123`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSecret(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, fieldsOf(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const hidden = "hidden_84" // what no error may quote

func checkMalformed(t *testing.T, r Record, err error, resource string) {
	t.Helper()
	var malformed *awserror.MalformedError
	if !errors.As(err, &malformed) || malformed.Resource != resource {
		t.Fatalf("got %+v, %v", fieldsOf(r), err)
	}
	if strings.Contains(err.Error(), hidden) {
		t.Errorf("the error quotes the secret: %v", err)
	}
}

func TestParseMalformedSecret(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                     "",
		"white space":               "\ufeff \n",
		"cut short":                 `{"access_token":"` + hidden,
		"comma too many":            `{"access_token":"` + hidden + `",}`,
		"single quotes":             `{'access_token':'` + hidden + `'}`,
		"two objects":               `{"access_token":"` + hidden + `"}{}`,
		"no token":                  `{}`,
		"other keys":                `{"token":"` + hidden + `"}`,
		"token empty":               `{"access_token":" "}`,
		"token a number":            `{"access_token":12}`,
		"refresh token a list":      `{"access_token":"` + hidden + `","refresh_token":["` + hidden + `"]}`,
		"expiry in words":           `{"access_token":"` + hidden + `","expires_at":"` + hidden + `"}`,
		"expiry not a number":       `{"access_token":"` + hidden + `","expires_at":"NaN"}`,
		"expiry infinite":           `{"access_token":"` + hidden + `","expires_at":"Inf"}`,
		"expiry negative":           `{"access_token":"` + hidden + `","expires_at":-1}`,
		"expiry in milliseconds":    `{"access_token":"` + hidden + `","expires_at":1767323045000}`,
		"expiry an object":          `{"access_token":"` + hidden + `","expires_at":{}}`,
		"expiry a boolean":          `{"access_token":"` + hidden + `","expires_at":true}`,
		"nothing but expiry, key x": `{"expires_at":1,"x":"` + hidden + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseSecret(text)
			checkMalformed(t, got, err, "the/secret")
		})
	}
}

// attributes makes an item of an account's attributes.
func attributes(pairs ...any) map[string]types.AttributeValue {
	item := map[string]types.AttributeValue{"appid": &types.AttributeValueMemberS{Value: "wx1"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		var value types.AttributeValue
		switch v := pairs[i+1].(type) {
		case string:
			value = &types.AttributeValueMemberS{Value: v}
		case types.AttributeValue:
			value = v
		}
		item[pairs[i].(string)] = value
	}
	return item
}

func number(text string) types.AttributeValue { return &types.AttributeValueMemberN{Value: text} }

func TestParseItem(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	null := &types.AttributeValueMemberNULL{Value: true}
	for _, c := range []struct {
		name    string
		item    map[string]types.AttributeValue
		want    fields
		version string
		updated time.Time
	}{
		{"RFC 3339", attributes("access_token", " t\n", "expires_at", "2026-01-02T11:04:05+08:00"), fields{Access: "t", ExpiresAt: at}, "", time.Time{}},
		{"Unix seconds", attributes("access_token", "t", "expires_at", number("1767323045")), fields{Access: "t", ExpiresAt: at}, "", time.Time{}},
		{"Unix seconds as text", attributes("access_token", "t", "expires_at", "1767323045"), fields{Access: "t", ExpiresAt: at}, "", time.Time{}},
		{"NULL", attributes("refresh_token", "r", "access_token", null, "expires_at", null), fields{Refresh: "r"}, "", time.Time{}},
		{"all of it", attributes("access_token", "t", "refresh_token", "r", "appsecret", "s", "version", number("7"), "updated_at", "2026-01-02T03:04:05Z", "x", number("1")),
			fields{Access: "t", Refresh: "r", AppSecret: "s"}, "7", at},
		{"a version of somebody else", attributes("access_token", "t", "version", "v1", "updated_at", "yesterday"), fields{Access: "t"}, "v1", time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := TableStore{table: "table"}.parse(c.item)
			if err != nil || got.Owner != "wx1" || got.Version != c.version || !got.UpdatedAt.Equal(c.updated) || !got.IsStored() {
				t.Errorf("got %q, version %q of %v, %v", got.Owner, got.Version, got.UpdatedAt, err)
			}
			if diff := cmp.Diff(c.want, fieldsOf(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseMalformedItem(t *testing.T) {
	t.Parallel()
	list := &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.AttributeValueMemberS{Value: hidden}}}
	for name, item := range map[string]map[string]types.AttributeValue{
		"no token":             attributes("x", hidden),
		"token empty":          attributes("access_token", " "),
		"token a list":         attributes("access_token", list),
		"refresh token binary": attributes("access_token", hidden, "refresh_token", &types.AttributeValueMemberB{Value: []byte(hidden)}),
		"expiry in words":      attributes("access_token", hidden, "expires_at", hidden),
		"expiry a list":        attributes("access_token", hidden, "expires_at", list),
		"expiry negative":      attributes("access_token", hidden, "expires_at", number("-1")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := TableStore{table: "table"}.parse(item)
			if got.Owner != "wx1" {
				t.Errorf("owner %q", got.Owner)
			}
			checkMalformed(t, got, err, "table/wx1")
		})
	}
}

func TestEncodeSecret(t *testing.T) {
	t.Parallel()
	r, err := parseSecret(`{"note":"草稿 <&>","big":123456789012345678901,"nested":{"b":[1.10,null],"a":{}},"access_token":"old","refresh_token":"r","expires_at":1}`)
	if err != nil {
		t.Fatal(err)
	}
	r.Access = secret.New("new")
	r.ExpiresAt = time.Date(2026, 1, 2, 11, 4, 5, 9, time.FixedZone("Beijing", 8*60*60))
	want := `{"access_token":"new","big":123456789012345678901,"expires_at":"2026-01-02T03:04:05Z","nested":{"b":[1.10,null],"a":{}},"note":"草稿 \u003c\u0026\u003e","refresh_token":"r"}`
	for range 2 { // encoding changes nothing
		if got := r.encodeSecret().Reveal(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	r.Access, r.ExpiresAt = secret.Value{}, time.Time{}
	if got := r.encodeSecret().Reveal(); strings.Contains(got, "access_token") || strings.Contains(got, "expires_at") || !strings.Contains(got, `"big"`) {
		t.Errorf("got %s", got)
	}
	if got := (Record{Access: secret.New(`a"b`)}).encodeSecret().Reveal(); got != `{"access_token":"a\"b"}` {
		t.Errorf("got %s", got)
	}
}

// FuzzParseSecret: any text is a record that survives being encoded, or malformed.
func FuzzParseSecret(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"t","expires_at":"2026-01-02T03:04:05Z","refresh_token":"r","appsecret":"s","x":{"y":1e999}}`,
		`{"access_token":"t","expires_at":1767323045}`, `{"access_token":"t","expires_at":" 1767323045.5 "}`, `{"expires_at":null,"access_token":"\ud800"}`,
		"84_bare\n", "\ufeff{}", `{`, `null`, `[]`, `"t"`, "", " ", `{"access_token":"t","expires_at":"nan"}`, `{"access_token":"t","access_token":1}`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseSecret(text)
		if err != nil {
			checkMalformed(t, got, err, "the/secret")
			return
		}
		if got.Access.IsZero() && got.Refresh.IsZero() && got.AppSecret.IsZero() {
			t.Error("nothing in it, and no error")
		}
		again, err := parseSecret(got.encodeSecret().Reveal())
		if err != nil {
			t.Fatalf("what was encoded can't be read: %v", err)
		}
		want := fieldsOf(got)
		want.ExpiresAt = want.ExpiresAt.Truncate(time.Second)
		if want.Access != strings.ToValidUTF8(want.Access, "") { // bare bytes that JSON can't hold
			return
		}
		if diff := cmp.Diff(want, fieldsOf(again)); diff != "" {
			t.Error(diff)
		}
	})
}
