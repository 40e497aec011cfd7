package wechat

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

func TestDraftListIsReadByItsBytes(t *testing.T) {
	t.Parallel()
	const whole = `{"errcode":0,"errmsg":"ok","draft_list":[{"create_time":1504790906,"user_version":"11","user_desc":"d","draft_id":4,"source_miniprogram_appid":"wx6","source_miniprogram":"L","developer":"X","category_list":[]}]}`
	const wholeOut = `{"draft_id":4,"create_time":1504790906,"created_at":"2017-09-07T13:28:26Z","user_version":"11","user_desc":"d","source_miniprogram_appid":"wx6","source_miniprogram":"L","developer":"X","category_list":[]}`
	one := func(draft string) string { return `{"errcode":0,"draft_list":[` + draft + `]}` }
	for _, c := range []struct {
		name, body string
		want       []string // the drafts as they are passed on
	}{
		{"plain", whole, []string{wholeOut}},
		{"byte order mark", "\ufeff" + whole, []string{wholeOut}},
		{"white space around", "\r\n\t " + whole + "\r\n\n", []string{wholeOut}},
		{"without errcode", `{"draft_list":[{"draft_id":1}]}`, []string{`{"draft_id":1}`}},
		{"errcode as a string", `{"errcode":"0","draft_list":[{"draft_id":1}]}`, []string{`{"draft_id":1}`}},
		{"errcode null", `{"errcode":null,"draft_list":[{"draft_id":1}]}`, []string{`{"draft_id":1}`}},
		{"raw newline, tab, NUL in a string", one("{\"draft_id\":1,\"user_desc\":\"a\n\t\x00z\"}"), []string{`{"draft_id":1,"user_desc":"a\n\t\u0000z"}`}},
		{"backslash before a raw newline", one("{\"draft_id\":1,\"user_desc\":\"a\\\nz\"}"), []string{`{"draft_id":1,"user_desc":"a\\\nz"}`}},
		{"escaped backslash before a raw newline", one("{\"draft_id\":1,\"user_desc\":\"a\\\\\nz\"}"), []string{`{"draft_id":1,"user_desc":"a\\\nz"}`}},
		{"escaped quote, then a raw newline", one("{\"draft_id\":1,\"user_desc\":\"a\\\"\nz\"}"), []string{`{"draft_id":1,"user_desc":"a\"\nz"}`}},
		{"raw control character in a key", one("{\"draft_id\":1,\"a\x01\":2}"), []string{`{"draft_id":1,"a\u0001":2}`}},
		{"GBK whose second byte is a backslash", one("{\"draft_id\":1,\"developer\":\"\xbb\x5c\"}"), []string{`{"draft_id":1,"developer":"籠"}`}},
		{"GBK in several fields", one("{\"draft_id\":1,\"user_desc\":\"\xcd\xf5\xbe\xfc\",\"developer\":\"a\x14\x9c\x5c\x9c\x5c\\n\"}"), []string{`{"draft_id":1,"user_desc":"王军","developer":"a\u0014淺淺\n"}`}},
		{"GBK that is UTF-8 by half", one("{\"draft_id\":1,\"user_desc\":\"\xcf\xee\xc4\xbf\",\"developer\":\"\xc1\xaa\xcd\xa8\"}"), []string{`{"draft_id":1,"user_desc":"项目","developer":"联通"}`}},
		{"one character and one cut off", one("{\"draft_id\":1,\"user_desc\":\"中\xf0\x9f\x98\"}"), []string{`{"draft_id":1,"user_desc":"中` + "\ufffd\ufffd\ufffd" + `"}`}},
		{"GB18030 with a mark of its own", "\x84\x31\x95\x33" + one("{\"draft_id\":1,\"user_desc\":\"\xcd\xf5\"}"), []string{`{"draft_id":1,"user_desc":"王"}`}},
		{"GBK behind UTF-8's mark", "\ufeff" + one("{\"draft_id\":1,\"user_desc\":\"\xcd\xf5\"}"), []string{`{"draft_id":1,"user_desc":"王"}`}},
		{"GB18030 of four bytes", one("{\"draft_id\":1,\"developer\":\"\x95\x32\x82\x36\xcd\xf5\"}"), []string{`{"draft_id":1,"developer":"𠀀王"}`}},
		{"one GBK character among UTF-8", one("{\"draft_id\":1,\"user_desc\":\"项目演示\",\"developer\":\"\xbb\x5c\"}"), []string{`{"draft_id":1,"user_desc":"项目演示","developer":"` + "\ufffd" + `\\"}`}},
		{"UTF-8 cut within a character", one("{\"draft_id\":1,\"user_desc\":\"项目演\xe7\xa4\"}"), []string{`{"draft_id":1,"user_desc":"项目演` + "\ufffd\ufffd" + `"}`}},
		{"neither UTF-8 nor GB18030", one("{\"draft_id\":1,\"user_desc\":\"\xff\xcd\"}"), []string{`{"draft_id":1,"user_desc":"` + "\ufffd\ufffd" + `"}`}},
		{"the byte 80 is no euro sign", one("{\"draft_id\":1,\"user_desc\":\"\x80\"}"), []string{`{"draft_id":1,"user_desc":"` + "\ufffd" + `"}`}},
		{"no UTF-8", one("{\"draft_id\":1,\"user_desc\":\"a\xffz\"}"), []string{`{"draft_id":1,"user_desc":"a` + "\ufffd" + `z"}`}},
		{"no UTF-8 in an unknown key", one("{\"draft_id\":1,\"x\":{\"y\xff\":\"a\xffz\"}}"), []string{`{"draft_id":1,"x":{"y` + "\ufffd" + `":"a` + "\ufffd" + `z"}}`}},
		{"numbers as strings", one(`{"draft_id":"4","create_time":"1504790906"}`), []string{`{"draft_id":4,"create_time":1504790906,"created_at":"2017-09-07T13:28:26Z"}`}},
		{"strings as numbers", one(`{"draft_id":4,"user_version":1.10,"developer":12}`), []string{`{"draft_id":4,"user_version":"1.10","developer":"12"}`}},
		{"id 0", one(`{"draft_id":0}`), []string{`{"draft_id":0}`}},
		{"null texts", one(`{"draft_id":1,"user_desc":null,"category_list":null}`), []string{`{"draft_id":1,"user_desc":"","category_list":[]}`}},
		{"texts of other types", one(`{"draft_id":1,"user_version":true,"user_desc":[1],"developer":{"a":1}}`), []string{`{"draft_id":1,"user_version":"true","user_desc":"","developer":""}`}},
		{"whole numbers in other spellings", one(`{"draft_id":8.0,"create_time":1.504790906e9},{"draft_id":"1e3"},{"draft_id":"8.00"},{"draft_id":" 7 "},{"draft_id":120e-1},{"draft_id":-0}`),
			[]string{`{"draft_id":8,"create_time":1504790906,"created_at":"2017-09-07T13:28:26Z"}`, `{"draft_id":1000}`, `{"draft_id":8}`, `{"draft_id":7}`, `{"draft_id":12}`, `{"draft_id":0}`}},
		{"the largest id", one(`{"draft_id":9223372036854775807}`), []string{`{"draft_id":9223372036854775807}`}},
		{"the largest id with a point", one(`{"draft_id":9223372036854775807.0}`), []string{`{"draft_id":9223372036854775807}`}},
		{"milliseconds", one(`{"draft_id":1,"create_time":"1666920047000"}`), []string{`{"draft_id":1,"create_time":1666920047,"created_at":"2022-10-28T01:20:47Z"}`}},
		{"milliseconds with an exponent", one(`{"draft_id":1,"create_time":1.666920047e12}`), []string{`{"draft_id":1,"create_time":1666920047,"created_at":"2022-10-28T01:20:47Z"}`}},
		{"the last second that can be written", one(`{"draft_id":1,"create_time":253402300799}`), []string{`{"draft_id":1,"create_time":253402300799,"created_at":"9999-12-31T23:59:59Z"}`}},
		{"times that can't be read", one(`{"draft_id":1,"create_time":null},{"draft_id":2,"create_time":""},{"draft_id":3,"create_time":-1},{"draft_id":4,"create_time":[]},{"draft_id":5,"create_time":253402300800},{"draft_id":6,"create_time":1666920047000000},{"draft_id":7,"create_time":1e999999999}`),
			[]string{`{"draft_id":1,"create_time":0,"created_at":null}`, `{"draft_id":2,"create_time":0,"created_at":null}`, `{"draft_id":3,"create_time":0,"created_at":null}`, `{"draft_id":4,"create_time":0,"created_at":null}`,
				`{"draft_id":5,"create_time":0,"created_at":null}`, `{"draft_id":6,"create_time":0,"created_at":null}`, `{"draft_id":7,"create_time":0,"created_at":null}`}},
		{"created_at is ours", one(`{"draft_id":1,"created_at":7}`), []string{`{"draft_id":1}`}},
		{"categories", one(`{"draft_id":1,"category_list":[{"first_class":"工具"},null,7,"x",[],{}]},{"draft_id":2,"category_list":{}},{"draft_id":3,"category_list":{"first_id":1}},{"draft_id":4,"category_list":"[]"}`),
			[]string{`{"draft_id":1,"category_list":[{"first_class":"工具"},{}]}`, `{"draft_id":2,"category_list":[]}`, `{"draft_id":3,"category_list":[]}`, `{"draft_id":4,"category_list":[]}`}},
		{"lone surrogates", one(`{"draft_id":1,"user_desc":"a\ud83d","developer":"\ude00z","category_list":[{"a":"\uD83D\u0041"}],"x\ud83d":"\ud83d\ud83d\ude00 \\ud83d"}`),
			[]string{`{"draft_id":1,"user_desc":"a` + "\ufffd" + `","developer":"` + "\ufffd" + `z","category_list":[{"a":"\ufffd\u0041"}],"x` + "\ufffd" + `":"\ufffd\ud83d\ude00 \\ud83d"}`}},
		{"escapes that are none", one(`{"draft_id":1,"user_desc":"C:\dir\x14\u12\"}"}`), []string{`{"draft_id":1,"user_desc":"C:\\dir\\x14\\u12\"}"}`}},
		{"NULs behind", whole + "\x00\x00", []string{wholeOut}},
		{"blank lines and NULs around", "\x00\r\n" + whole + "\n\n\x00\n", []string{wholeOut}},
		{"text behind", whole + "<!-- x -->", []string{wholeOut}},
		{"a byte that is no UTF-8 behind", whole + "\xff", []string{wholeOut}},
		{"NUL between keys", "{\x00\"errcode\":0,\x00\"draft_list\":[{\"draft_id\":1}]}", []string{`{"draft_id":1}`}},
		{"one bad draft of several", one(`{"draft_id":1},{"user_version":"1"},{"draft_id":null},{"draft_id":"four"},null,5,[],{"draft_id":1.5},{"draft_id":9223372036854775808},{"draft_id":1e999},{"draft_id":true},{"draft_id":2}`),
			[]string{`{"draft_id":1}`, `{"draft_id":2}`}},
		{"unknown keys", one(`{"z":{"b":[1e400,123456789012345678901234567890],"a":"<&>"},"draft_id":1,"a":0.10}`),
			[]string{`{"draft_id":1,"a":0.10,"z":{"b":[1e400,123456789012345678901234567890],"a":"<&>"}}`}},
		{"a time that is no number", one(`{"draft_id":1,"create_time":"soon"}`), []string{`{"draft_id":1,"create_time":0,"created_at":null}`}},
		{"the last of duplicate keys", `{"errcode":1,"errcode":0,"draft_list":[{"draft_id":1,"draft_id":2}]}`, []string{`{"draft_id":2}`}},
		{"empty list", `{"errcode":0,"draft_list":[]}`, []string{}},
		{"no list", `{"errcode":0,"errmsg":"ok"}`, []string{}},
		{"an empty object for the list", `{"errcode":0,"draft_list":{ }}`, []string{}},
		{"null list", `{"errcode":0,"draft_list":null}`, []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			list, err := answering(t, c.body).DraftList(t.Context(), awkward)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, 0)
			for _, draft := range list.Drafts {
				text, err := draft.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(text))
				var again Draft
				if err := json.Unmarshal(text, &again); err != nil || again.DraftID != draft.DraftID || again.CreateTime != draft.CreateTime {
					t.Errorf("read again it is %+v, %v", again, err)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if keyless := !strings.Contains(c.body, `"draft_list":[`) && !strings.Contains(c.body, `"draft_list":{`); list.ListMissing != keyless {
				t.Errorf("ListMissing is %v", list.ListMissing)
			}
		})
	}
}

func TestDraftListThatCantBeUsed(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":                  "",
		"HTML":                     "<html><body>502 Bad Gateway</body></html>",
		"half":                     `{"errcode":0,"draft_list":[{"draft_id":1},`,
		"two objects":              `{"errcode":0,"draft_list":[]}{"errcode":0}`,
		"a list":                   `[]`,
		"null":                     `null`,
		"a number":                 `0`,
		"a string":                 `"ok"`,
		"neither errcode nor list": `{"errmsg":"ok"}`,
		"empty object":             `{}`,
		"list is an object":        `{"errcode":0,"draft_list":{"draft_id":1}}`,
		"list is a string":         `{"errcode":0,"draft_list":"[]"}`,
		"list of numbers":          `{"errcode":0,"draft_list":[1]}`,
		"entry null":               `{"errcode":0,"draft_list":[null]}`,
		"entries without id":       `{"errcode":0,"draft_list":[{"create_time":1},{"user_version":"1"}]}`,
		"nested too deeply":        `{"errcode":0,"draft_list":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
		"entry with id null":       `{"errcode":0,"draft_list":[{"draft_id":null}]}`,
		"entry with id in words":   `{"errcode":0,"draft_list":[{"draft_id":"four"}]}`,
		"errcode in words":         `{"errcode":"none","draft_list":[]}`,
		"errcode an object":        `{"errcode":{},"draft_list":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, body).DraftList(t.Context(), awkward)
			var failure *TransportError
			if !errors.As(err, &failure) || failure.Cause != Unusable || failure.Status != 0 {
				t.Errorf("got %v", err)
			}
			checkSilent(t, err, awkward)
		})
	}
}

func TestSwitchState(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]SwitchState{
		`{"errcode":0,"errmsg":"ok","is_open":0}`: SwitchClosed,
		`{"errcode":0,"errmsg":"ok","is_open":1}`: SwitchOpen,
		`{"is_open":1}`:                 SwitchOpen,
		`{"is_open":"0"}`:               SwitchClosed,
		`{"errcode":"0","is_open":"1"}`: SwitchOpen,
		`{"is_open":"1.0"}`:             SwitchOpen,
		`{"is_open":0.0}`:               SwitchClosed,
		`{"is_open":true}`:              SwitchOpen,
		`{"is_open":false}`:             SwitchClosed,
		"\ufeff" + `{"errmsg":"` + "\n" + `","is_open":1}`: SwitchOpen,
		`{"errcode":0,"errmsg":"ok"}`:                      SwitchUnknown,
		`{"errcode":0,"is_open":null}`:                     SwitchUnknown,
		`{"errcode":0,"is_open":2}`:                        SwitchUnknown,
		`{"errcode":0,"is_open":""}`:                       SwitchUnknown,
		`{"errcode":0,"is_open":[1]}`:                      SwitchUnknown,
		`{"errmsg":"ok"}`:                                  "",
		`{}`:                                               "",
		``:                                                 "",
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, body).CheckDraftSwitch(t.Context(), awkward)
			if got != want || (err != nil) != (want == "") {
				t.Errorf("got %q, %v; want %q", got, err, want)
			}
		})
	}
}

func TestErrorCodeOfAnyForm(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]APIError{
		`{"errcode":40001,"errmsg":"no"}`:                     {Code: 40001, Message: "no"},
		`{"errcode":"61007","errmsg":" api is unauthorized"}`: {Code: 61007, Message: " api is unauthorized"},
		`{"errcode":-1}`:                                                  {Code: -1},
		`{"errcode":12345,"errmsg":7}`:                                    {Code: 12345, Message: "7"},
		`{"errcode":48001,"errmsg":"a` + "\x02" + `b"}`:                   {Code: 48001, Message: "a\x02b"},
		`{"errcode":45009,"draft_list":[{"draft_id":1}]}`:                 {Code: 45009},
		`{"errcode":45009,"errmsg":"` + strings.Repeat("草", 1<<20) + `"}`: {Code: 45009, Message: strings.Repeat("草", 682)},
	} {
		t.Run(body[:min(len(body), 50)], func(t *testing.T) {
			t.Parallel()
			_, err := answering(t, body).DraftList(t.Context(), awkward)
			want.Call, want.Caller = "/wxa/gettemplatedraftlist", ByPlatform
			var got *APIError
			if !errors.As(err, &got) || *got != want {
				t.Errorf("got %.200v, want %.200v", err, &want)
			}
		})
	}
}

func TestCompressedAnswer(t *testing.T) {
	t.Parallel()
	c := newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("the client does not say that it reads gzip")
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		io.WriteString(z, `{"errcode":0,"draft_list":[{"draft_id":7}]}`)
	}))})
	list, err := c.DraftList(t.Context(), awkward)
	if err != nil || len(list.Drafts) != 1 || list.Drafts[0].DraftID != 7 {
		t.Errorf("got %+v, %v", list, err)
	}
}

func TestAnswersUpTo8MBAreRead(t *testing.T) {
	t.Parallel()
	const tail = `{"errcode":0,"draft_list":[]}`
	for size, ok := range map[int]bool{8 << 20: true, 8<<20 + 1: false} {
		_, err := answering(t, strings.Repeat(" ", size-len(tail))+tail).DraftList(t.Context(), awkward)
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// A bomb of zeros is no way around it.
	c := newClient(t, []string{serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.Copy(z, io.LimitReader(zeros{}, 64<<20))
		z.Close()
	}))})
	if _, err := c.DraftList(t.Context(), awkward); err == nil || !strings.Contains(err.Error(), "8 MB") {
		t.Errorf("a bomb: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// promised are the schemas that the OpenAPI document has of a list's entries.
func promised(t testing.TB, name string) *openapi3.Schema {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas[name].Value
	return schema
}

// checkPromise holds an entry's JSON against its schema, and looks for what strict readers refuse.
func checkPromise(t *testing.T, schema *openapi3.Schema, entry json.Marshaler) []byte {
	t.Helper()
	text, err := json.Marshal(entry)
	if err != nil {
		t.Fatalf("an entry that can't be passed on: %v", err)
	}
	var value map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	maps.DeleteFunc(value, func(key string, _ any) bool { return schema.Properties[key] == nil })
	if err := schema.VisitJSON(value); err != nil {
		t.Errorf("%q is not what was promised: %v", text, err)
	}
	if value["created_at"] == nil && value["create_time"] != nil && value["create_time"] != json.Number("0") {
		t.Errorf("%q has a time without created_at", text)
	}
	if !utf8.Valid(text) || !bytes.Equal(replaceLoneSurrogates(text), text) {
		t.Errorf("%q holds half a character", text)
	}
	return text
}

// FuzzLists feeds bytes to the calls that read lists: whatever WeChat sends, an entry keeps to the OpenAPI document.
func FuzzLists(f *testing.F) {
	for _, seed := range append(awkwardLists(), "\ufeff{}", "[]", "\xff", `{"draft_list":{},"template_list":[{"template_id":"0","template_type":9,"draft_id":{}}]}`) {
		f.Add([]byte(seed))
	}
	draft, template := promised(f, "Draft"), promised(f, "Template")
	f.Fuzz(func(t *testing.T, body []byte) {
		c := New([]string{"http://wechat.invalid"}, WithBackoff(func(int) time.Duration { return 0 }))
		c.pooled = &http.Client{Transport: answers(body)}
		c.fresh = c.pooled
		drafts, _ := c.DraftList(t.Context(), awkward)
		for _, d := range drafts.Drafts {
			text := checkPromise(t, draft, d)
			var again Draft
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatalf("%q can't be read again: %v", text, err)
			}
			if repeated, _ := json.Marshal(again); !bytes.Equal(repeated, text) {
				t.Errorf("%q, read again, is %q", text, repeated)
			}
		}
		templates, _ := c.TemplateList(t.Context(), awkward)
		for _, one := range templates.Templates {
			checkPromise(t, template, one)
		}
	})
}

// awkwardLists are answers to the draft list and the template list that need some reading.
func awkwardLists() []string {
	var lists []string
	for _, entry := range []string{
		`{"draft_id":8,"create_time":1666920047,"user_desc":"项目演示\n\n开发者甲","category_list":[]}`,
		"{\"draft_id\":8,\"developer\":\"\xbb\x5c\"}",
		"{\"draft_id\":8,\"user_desc\":\"项目演\xe7\xa4\x14\"}",
		`{"draft_id":"8.0","create_time":"1666920047000","user_version":1.10,"developer":null,"category_list":{}}`,
		`{"draft_id":1e3,"create_time":1e999999999,"user_version":{},"user_desc":[],"category_list":[1,{"a":"\ud83d"},null]}`,
		`{"user_version":"1"},{"draft_id":9,"\ud83d":"\ud83d\ude00","created_at":7,"x":{"a":[1e400,{"b":"\udc00"}]}}`,
		`{"draft_id":-0,"create_time":-1.0,"source_miniprogram":true,"source_miniprogram_appid":"","x":"\x14\u12"}`,
	} {
		for _, key := range []string{"draft", "template"} {
			lists = append(lists, `{"errcode":0,"`+key+`_list":[`+strings.ReplaceAll(entry, "draft_id", key+"_id")+"]}\x00\n")
		}
	}
	return lists
}

func TestListsKeepToTheOpenAPIDocument(t *testing.T) {
	t.Parallel()
	draft, template := promised(t, "Draft"), promised(t, "Template")
	for _, body := range awkwardLists() {
		c := answering(t, body)
		drafts, err := c.DraftList(t.Context(), awkward)
		templates, err2 := c.TemplateList(t.Context(), awkward)
		if err := errors.Join(err, err2); err != nil || len(drafts.Drafts)+len(templates.Templates) != 1 {
			t.Errorf("%q: %v", body, err)
		}
		for _, d := range drafts.Drafts {
			checkPromise(t, draft, d)
		}
		for _, one := range templates.Templates {
			checkPromise(t, template, one)
		}
	}
}

// FuzzAnswers feeds bytes to every call as WeChat's answer.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"errcode":0,"errmsg":"ok","draft_list":[{"create_time":1666920047,"user_version":"3.0.0","user_desc":"项目演示\n\n开发者甲","draft_id":8,"source_miniprogram_appid":"wx617xxxx","source_miniprogram":"微用户","developer":"开发者甲_A","category_list":[]}]}`,
		`{"errcode":0,"template_list":[{"create_time":1624000154,"template_id":47,"draft_id":"1","template_type":1,"category_list":[{"first_class":"工具","first_id":287}],"reason":""}]}`,
		`{"errcode":0,"is_open":"1"}`, "\ufeff{\"errcode\":\"40001\",\"errmsg\":\"a\x01\\\n rid: 1-2-3\"}", `{"errcode":61004,"errmsg":"requestIP: 198.51.100.154 rid: a"}`,
		`{"component_access_token":"t","expires_in":"7200"}`, `{"authorizer_access_token":"t","expires_in":7200,"authorizer_refresh_token":""}`,
		`{"access_token":"t","expires_in":99999999999999999}`, `{"authorization_info":{"authorizer_appid":"wx1","authorizer_access_token":"t","expires_in":7200}}`,
		`{"total_count":2,"list":[{"authorizer_appid":"wx1","refresh_token":null},{}]}`, `{"authorizer_info":{"nick_name":7,"MiniProgramInfo":{}}}`,
		`{"total_count":"1","item":[{"media_id":"m","update_time":1666920047000,"content":{"news_item":[{"title":null}]}}]}`,
		`{"quota":{"daily_limit":10,"used":"1","remain":9}}`, `{`, ``, `null`, `[]`, "\xff", `{"draft_list":[{"draft_id":1,"\u0000":1e999,"created_at":2}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := New([]string{"http://wechat.invalid"}, WithBackoff(func(int) time.Duration { return 0 }))
		c.pooled = &http.Client{Transport: answers(body)}
		c.fresh = c.pooled
		ctx, platform := t.Context(), Platform{AppID: "wx1", AppSecret: awkward}
		drafts, err := c.DraftList(ctx, awkward)
		errs := []error{err}
		for _, draft := range drafts.Drafts {
			text, err := draft.MarshalJSON()
			var again Draft
			if err != nil || json.Unmarshal(text, &again) != nil || again.DraftID != draft.DraftID {
				t.Errorf("a draft that can't be passed on: %v %s", err, text)
			}
		}
		templates, err := c.TemplateList(ctx, awkward)
		errs = append(errs, err)
		for _, template := range templates.Templates {
			if _, err := json.Marshal(template); err != nil {
				t.Errorf("a template that can't be passed on: %v", err)
			}
		}
		check := func(_ any, err error) { errs = append(errs, err) }
		check(c.CheckDraftSwitch(ctx, awkward))
		check(nil, NewSwitchOpener(c).OpenDraftSwitch(ctx, awkward))
		check(nil, c.AddToTemplate(ctx, awkward, 1, 0))
		check(nil, c.DeleteTemplate(ctx, awkward, 1))
		check(c.ComponentToken(ctx, platform, awkward))
		check(c.AuthorizerToken(ctx, awkward, "wx1", "wx2", awkward))
		check(c.StableToken(ctx, "wx1", awkward, false))
		check(nil, c.StartPushTicket(ctx, platform))
		_, _, err = c.QueryAuth(ctx, awkward, "wx1", awkward)
		errs = append(errs, err)
		check(c.Authorizers(ctx, awkward, "wx1", 0))
		check(c.AuthorizerInfo(ctx, awkward, "wx1", "wx2"))
		check(c.DraftCount(ctx, awkward))
		check(c.ArticleDrafts(ctx, awkward, 0, 20))
		check(c.DraftListQuota(ctx, awkward))
		for _, err := range errs {
			checkSilent(t, err, awkward)
		}
		var strict map[string]json.RawMessage
		if json.Unmarshal(body, &strict) == nil && strict != nil {
			if _, err := decode(body); err != nil {
				t.Error("good JSON was refused")
			}
		}
	})
}

// answers is a transport that answers 200 with these bytes.
type answers []byte

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(bytes.NewReader(a))}, nil
}
