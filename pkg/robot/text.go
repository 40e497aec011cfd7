package robot

import (
	"strings"
	"unicode"
)

// Escape makes people's text harmless in a message of the kind, on one line: it calls nobody, links nowhere, is no heading
// or quote, and looks as it did.
//
// WeCom, DingTalk and Feishu have no way to escape a character that all their apps follow, so a character that could act
// is replaced by its full-width twin. Slack has one for the three characters that it needs.
func (k Kind) Escape(text string) string {
	text = withoutLinks(clean(text))
	if k == Slack {
		return slackEscaper.Replace(text)
	}
	return lookalikes.Replace(text)
}

var (
	slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "＠", "*", "＊", "`", "｀", "[", "［", "]", "］")
	lookalikes   = strings.NewReplacer("<", "＜", ">", "＞", "@", "＠", "*", "＊", "`", "｀", "[", "［", "]", "］", "#", "＃", "&", "＆")
)

// clean puts a text on one line, without control characters and without those that turn the direction of writing.
func clean(text string) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c):
			return -1
		}
		return c
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// breaker is a character of no width. An address with one in it is none.
const breaker = "\u200b"

// withoutLinks keeps chat apps from making links of bare addresses, "https://example.com" as well as "example.com".
func withoutLinks(text string) string {
	text = strings.ReplaceAll(text, "://", "：//")
	var b strings.Builder
	runes := []rune(text)
	for i, c := range runes {
		b.WriteRune(c)
		if c == '.' && i > 0 && i+1 < len(runes) && isWord(runes[i-1]) && unicode.IsLetter(runes[i+1]) {
			b.WriteString(breaker)
		}
	}
	return b.String()
}

func isWord(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

// Clip cuts a text to so many characters, with an ellipsis in the place of the last one.
func Clip(text string, characters int) string {
	runes := []rune(text)
	if len(runes) <= characters {
		return text
	}
	return strings.TrimRightFunc(string(runes[:characters-1]), unicode.IsSpace) + "…"
}

// Bold is a text in bold. It has to be escaped already. Feishu's messages are plain text.
func (k Kind) Bold(text string) string {
	switch k {
	case WeCom, DingTalk:
		return "**" + text + "**"
	case Slack:
		return "*" + text + "*"
	}
	return text
}

// Newline ends a line. In DingTalk's markdown one newline alone is a blank.
func (k Kind) Newline() string {
	if k == DingTalk {
		return "  \n"
	}
	return "\n"
}
