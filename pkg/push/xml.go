package push

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Real pushes aren't always well-formed XML: they contain control characters, invalid UTF-8, end tags that don't match
// their start tag, and <xml> in place of </xml>. encoding/xml rejects the whole document for any of these, even in elements
// that aren't needed. This scanner reads as much of a document as it can, element by element.

// maxDepth bounds the nesting of elements. WeChat's pushes have three levels.
const maxDepth = 32

// element is an element that contains only text.
type element struct {
	text     string // without the white space around it
	readable bool   // the text is UTF-8 without control characters or stray markup
}

// document is a document's elements by their path below the root, such as info/name. Of repeated ones the first counts.
type document map[string]element

// scan reads a document. isXML is false, and d empty, if its root isn't <xml>.
func scan(text []byte) (d document, isXML bool) {
	s := scanner{rest: text, missing: map[string]bool{}}
	for len(s.rest) > 0 {
		s.step()
	}
	for _, e := range s.open { // the document was cut off
		e.unended = true
	}
	d = document{}
	if s.root != "xml" {
		return d, false
	}
	for _, e := range s.texts {
		path := e.path()
		if _, repeated := d[path]; repeated {
			continue
		}
		d[path] = element{
			text:     strings.TrimSpace(string([]rune(string(e.text)))), // each byte that isn't UTF-8 becomes U+FFFD
			readable: !e.broken && isClean(e.text),
		}
	}
	return d, true
}

type scanner struct {
	rest    []byte
	open    []*node         // from the root inwards
	texts   []*node         // the elements that contain only text, in document order
	root    string          // its name
	missing map[string]bool // delimiters that don't occur in rest
}

// node is an element while it is scanned.
type node struct {
	name      string
	parent    *node
	text      []byte
	broken    bool
	hasInside bool // other elements
	unended   bool // it has no end tag, so what follows its start isn't inside it
}

// path is the names from below the root. An element after an unended one is its sibling, not its child.
func (n *node) path() string {
	path := n.name
	for n = n.parent; n.parent != nil; n = n.parent {
		if !n.unended {
			path = n.name + "/" + path
		}
	}
	return path
}

// step reads one piece of the document: a text, a section or a tag.
func (s *scanner) step() {
	switch {
	case s.rest[0] != '<':
		end := bytes.IndexByte(s.rest, '<')
		if end < 0 {
			end = len(s.rest)
		}
		s.addText(unescape(s.take(end)))
	case bytes.HasPrefix(s.rest, []byte("<![CDATA[")):
		s.cdata()
	case bytes.HasPrefix(s.rest, []byte("<!--")):
		s.skipPast("-->")
	case bytes.HasPrefix(s.rest, []byte("<?")):
		s.skipPast("?>")
	case bytes.HasPrefix(s.rest, []byte("<!")):
		s.declaration()
	default:
		s.tag()
	}
}

// take consumes the next n bytes.
func (s *scanner) take(n int) []byte {
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

// index is the position of end, or -1. Misses are remembered, so that scanning takes linear time.
func (s *scanner) index(end string) int {
	if s.missing[end] {
		return -1
	}
	i := bytes.Index(s.rest, []byte(end))
	s.missing[end] = i < 0
	return i
}

// skipPast skips everything up to and including end. If there is none, the first character is text.
func (s *scanner) skipPast(end string) {
	if i := s.index(end); i >= 0 {
		s.take(i + len(end))
		return
	}
	s.addText(s.take(1), false)
}

// declaration skips a document type or a declaration inside it. Anything between those is text.
func (s *scanner) declaration() {
	if end := bytes.IndexAny(s.rest[1:], "<>") + 1; end > 0 && s.rest[end] == '>' {
		s.take(end + 1)
		return
	}
	s.addText(s.take(1), false)
}

// cdata reads a CDATA section. An unterminated one ends at the next end tag.
func (s *scanner) cdata() {
	s.take(len("<![CDATA["))
	if end := s.index("]]>"); end >= 0 {
		s.addText(s.take(end), true)
		s.take(len("]]>"))
		return
	}
	end := s.index("</")
	if end < 0 {
		end = len(s.rest)
	}
	s.addText(s.take(end), false)
}

func (s *scanner) addText(text []byte, whole bool) {
	if len(s.open) == 0 {
		return
	}
	e := s.open[len(s.open)-1]
	e.text = append(e.text, text...)
	e.broken = e.broken || !whole
}

// tag reads a start tag or an end tag. A < that begins neither is text.
func (s *scanner) tag() {
	end := bytes.IndexAny(s.rest[1:], "<>") + 1
	if end == 0 || s.rest[end] == '<' {
		s.addText(s.take(1), false)
		return
	}
	inside := strings.TrimSpace(string(s.rest[1:end]))
	inside, isEnd := strings.CutPrefix(inside, "/")
	inside, isEmpty := strings.CutSuffix(inside, "/")
	words := strings.Fields(inside) // the name, and attributes, which are ignored
	if len(words) == 0 || !isName(words[0]) {
		s.addText(s.take(1), false)
		return
	}
	s.take(end + 1)
	if isEnd {
		s.end(words[0])
		return
	}
	s.start(words[0])
	if isEmpty {
		s.end(words[0])
	}
}

func isName(name string) bool {
	for i, r := range name {
		isLetter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= utf8.RuneSelf && r != utf8.RuneError
		if !isLetter && (i == 0 || !strings.ContainsRune("0123456789-.:", r)) {
			return false
		}
	}
	return name != ""
}

func (s *scanner) start(name string) {
	if len(s.open) == maxDepth {
		s.rest = nil
		return
	}
	n := &node{name: name}
	if len(s.open) == 0 {
		s.root = name
	} else {
		n.parent = s.open[len(s.open)-1]
		n.parent.hasInside = true
	}
	s.open = append(s.open, n)
}

// end closes the innermost element of this name; open elements inside it have no end tag. An end tag that matches none
// closes the innermost element, unless that is the root.
func (s *scanner) end(name string) {
	at := len(s.open) - 1
	for at >= 0 && s.open[at].name != name {
		at--
	}
	if at < 0 {
		if at = len(s.open) - 1; at <= 0 {
			return
		}
	}
	for _, n := range s.open[at+1:] {
		n.unended = true
	}
	if n := s.open[at]; at > 0 && !n.hasInside {
		s.texts = append(s.texts, n)
	}
	if s.open = s.open[:at]; at == 0 {
		s.rest = nil // the document ends with its root
	}
}

// isClean reports whether a text is UTF-8 without control characters other than white space.
func isClean(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
	})
}

// unescape replaces XML's predefined entities and character references. whole is false if there are others, which stay.
func unescape(text []byte) (unescaped []byte, whole bool) {
	whole = true
	for {
		before, rest, found := bytes.Cut(text, []byte("&"))
		unescaped = append(unescaped, before...)
		if !found {
			return unescaped, whole
		}
		const longest = len("#x10ffff;")
		name, _, found := bytes.Cut(rest[:min(len(rest), longest)], []byte(";"))
		r, known := entity(string(name))
		if !found || !known {
			unescaped, text, whole = append(unescaped, '&'), rest, false
			continue
		}
		unescaped, text = utf8.AppendRune(unescaped, r), rest[len(name)+1:]
	}
}

func entity(name string) (r rune, known bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	number, isNumber := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(number, "x"); isHex {
		number, base = hex, 16
	}
	n, err := strconv.ParseInt(number, base, 32)
	return rune(n), isNumber && err == nil && utf8.ValidRune(rune(n))
}
