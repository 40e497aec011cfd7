package robot

import (
	"strings"
	"unicode"
)

// Escape makes user text safe in a message of the kind, on one line: no mentions, links, headings or quotes.
//
// WeCom, DingTalk and Feishu have no escape that all their apps support, so markup characters are replaced by their
// full-width forms. Slack has an escape for &, < and >.
func (k Kind) Escape(text string) string {
	text = withoutLinks(clean(text))
	if k == Slack {
		return slackEscaper.Replace(text)
	}
	return fullWidth.Replace(text)
}

var (
	slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "＠", "*", "＊", "`", "｀", "[", "［", "]", "］")
	fullWidth    = strings.NewReplacer("<", "＜", ">", "＞", "@", "＠", "*", "＊", "`", "｀", "[", "［", "]", "］", "#", "＃", "&", "＆")
)

// clean puts a text on one line, without control and bidirectional formatting characters.
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

// linkBreaker is a zero-width space. Chat apps make no link of an address that contains one.
const linkBreaker = "\u200b"

// withoutLinks keeps chat apps from making links of bare addresses, "https://example.com" as well as "example.com".
func withoutLinks(text string) string {
	text = strings.ReplaceAll(text, "://", "：//")
	var b strings.Builder
	runes := []rune(text)
	for i, c := range runes {
		b.WriteRune(c)
		if c == '.' && i > 0 && i+1 < len(runes) && isWord(runes[i-1]) && unicode.IsLetter(runes[i+1]) {
			b.WriteString(linkBreaker)
		}
	}
	return b.String()
}

func isWord(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

// Clip truncates a text to so many characters, the last one an ellipsis.
func Clip(text string, characters int) string {
	runes := []rune(text)
	if len(runes) <= characters {
		return text
	}
	return strings.TrimRightFunc(string(runes[:characters-1]), unicode.IsSpace) + "…"
}

// Bold marks an escaped text as bold. Feishu's messages are plain text.
func (k Kind) Bold(text string) string {
	switch k {
	case WeCom, DingTalk:
		return "**" + text + "**"
	case Slack:
		return "*" + text + "*"
	}
	return text
}

// Newline ends a line. DingTalk's markdown renders a single newline as a space.
func (k Kind) Newline() string {
	if k == DingTalk {
		return "  \n"
	}
	return "\n"
}
