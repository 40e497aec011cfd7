package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wechat-draftbox/pkg/awserror"
	"wechat-draftbox/pkg/secret"
	"wechat-draftbox/pkg/token"
)

// revealed is a [token.Stored] that can be compared.
type revealed struct {
	Access, Refresh, AppSecret string
	ExpiresAt                  time.Time
}

func reveal(s token.Stored) revealed {
	return revealed{s.Access.Reveal(), s.Refresh.Reveal(), s.AppSecret.Reveal(), s.ExpiresAt.UTC()}
}

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	with := func(expires string) string { return `{"access_token":"t","expires_at":` + expires + `}` }
	for _, c := range []struct {
		name, text string
		want       revealed
	}{
		{"RFC 3339", with(`"2026-01-02T03:04:05Z"`), revealed{Access: "t", ExpiresAt: at}},
		{"RFC 3339 with an offset", with(`"2026-01-02T11:04:05+08:00"`), revealed{Access: "t", ExpiresAt: at}},
		{"RFC 3339 with a fraction", with(`"2026-01-02T03:04:05.5Z"`), revealed{Access: "t", ExpiresAt: at.Add(time.Second / 2)}},
		{"Unix seconds", with(`1767323045`), revealed{Access: "t", ExpiresAt: at}},
		{"Unix seconds as a string", with(`" 1767323045 "`), revealed{Access: "t", ExpiresAt: at}},
		{"Unix seconds with a fraction", with(`1767323045.25`), revealed{Access: "t", ExpiresAt: at}},
		{"Unix seconds as a script writes them", with(`1.767323045e9`), revealed{Access: "t", ExpiresAt: at}},
		{"expiry missing", `{"access_token":"t"}`, revealed{Access: "t", ExpiresAt: time.Time{}}},
		{"expiry null", with(`null`), revealed{Access: "t"}},
		{"expiry empty", with(`""`), revealed{Access: "t"}},
		{"all of it", `{"access_token":"t","refresh_token":"r","appsecret":"s","expires_at":0,"x":1}`,
			revealed{Access: "t", Refresh: "r", AppSecret: "s", ExpiresAt: time.Unix(0, 0).UTC()}},
		{"white space", " \r\n{ \"access_token\" : \" t\\n\" }\n", revealed{Access: "t"}},
		{"byte order mark", "\ufeff" + `{"access_token":"t"}`, revealed{Access: "t"}},
		{"refresh token only", `{"refresh_token":"r"}`, revealed{Refresh: "r"}},
		{"app secret only", `{"appsecret":"s","access_token":null}`, revealed{AppSecret: "s"}},
		{"bare", "84_abc-DEF", revealed{Access: "84_abc-DEF"}},
		{"bare with white space", "\n\t 84_abc \r\n", revealed{Access: "84_abc"}},
		{"no object: a list", `["t"]`, revealed{Access: `["t"]`}},
		{"no object: a number", `123`, revealed{Access: `123`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := token.Parse("the/secret", secret.New(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, reveal(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseMalformed(t *testing.T) {
	t.Parallel()
	const hidden = "hidden_84"
	for name, text := range map[string]string{
		"nothing":              "",
		"white space":          "\ufeff \n",
		"cut short":            `{"access_token":"` + hidden,
		"comma too many":       `{"access_token":"` + hidden + `",}`,
		"single quotes":        `{'access_token':'` + hidden + `'}`,
		"two objects":          `{"access_token":"` + hidden + `"}{}`,
		"no token":             `{}`,
		"other keys":           `{"token":"` + hidden + `"}`,
		"token empty":          `{"access_token":" "}`,
		"token a number":       `{"access_token":12}`,
		"refresh token a list": `{"access_token":"` + hidden + `","refresh_token":["` + hidden + `"]}`,
		"expiry in words":      `{"access_token":"` + hidden + `","expires_at":"` + hidden + `"}`,
		"expiry no number":     `{"access_token":"` + hidden + `","expires_at":"NaN"}`,
		"expiry endless":       `{"access_token":"` + hidden + `","expires_at":"Inf"}`,
		"expiry negative":      `{"access_token":"` + hidden + `","expires_at":-1}`,
		"expiry in ms":         `{"access_token":"` + hidden + `","expires_at":1767323045000}`,
		"expiry an object":     `{"access_token":"` + hidden + `","expires_at":{}}`,
		"expiry true":          `{"access_token":"` + hidden + `","expires_at":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := token.Parse("the/secret", secret.New(text))
			var malformed *awserror.Malformed
			if !errors.As(err, &malformed) || malformed.Resource != "the/secret" {
				t.Fatalf("got %+v, %v", reveal(got), err)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	const name = "the/secret"
	stored, err := token.Parse(name, secret.New(`{"note":"草稿 <&>","big":123456789012345678901,"nested":{"b":[1.10,null],"a":{}},"access_token":"old","refresh_token":"r","expires_at":1}`))
	if err != nil {
		t.Fatal(err)
	}
	stored.Access = secret.New("new")
	stored.ExpiresAt = time.Date(2026, 1, 2, 11, 4, 5, 9, time.FixedZone("Beijing", 8*60*60))
	want := `{"access_token":"new","big":123456789012345678901,"expires_at":"2026-01-02T03:04:05Z","nested":{"b":[1.10,null],"a":{}},"note":"草稿 \u003c\u0026\u003e","refresh_token":"r"}`
	if got := stored.Encode().Reveal(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if again := stored.Encode().Reveal(); again != want {
		t.Errorf("again %s", again)
	}
	stored.Access, stored.ExpiresAt = secret.Value{}, time.Time{}
	if got := stored.Encode().Reveal(); strings.Contains(got, "access_token") || strings.Contains(got, "expires_at") || !strings.Contains(got, `"big"`) {
		t.Errorf("got %s", got)
	}
	if got := (token.Stored{Access: secret.New(`a"b`)}).Encode().Reveal(); got != `{"access_token":"a\"b"}` {
		t.Errorf("got %s", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"t","expires_at":"2026-01-02T03:04:05Z","refresh_token":"r","appsecret":"s","x":{"y":1e999}}`,
		`{"access_token":"t","expires_at":1767323045}`, `{"access_token":"t","expires_at":" 1767323045.5 "}`, `{"expires_at":null,"access_token":"\ud800"}`,
		"84_bare\n", "\ufeff{}", `{`, `null`, `[]`, `"t"`, "", " ", `{"access_token":"t","expires_at":"nan"}`, `{"access_token":"t","access_token":1}`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := token.Parse("name", secret.New(text))
		if err != nil {
			var malformed *awserror.Malformed
			if !errors.As(err, &malformed) {
				t.Errorf("the error is %T", err)
			}
			return
		}
		if got.Access.IsZero() && got.Refresh.IsZero() && got.AppSecret.IsZero() {
			t.Error("nothing in it, and no error")
		}
		again, err := token.Parse("name", got.Encode())
		if err != nil {
			t.Fatalf("what was encoded can't be read: %v", err)
		}
		want := reveal(got)
		want.ExpiresAt = want.ExpiresAt.Truncate(time.Second)
		if want.Access != strings.ToValidUTF8(want.Access, "") { // bare bytes that JSON can't hold
			return
		}
		if diff := cmp.Diff(want, reveal(again)); diff != "" {
			t.Error(diff)
		}
	})
}
