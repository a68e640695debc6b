// Package csource reads C: the tokens of source files, and what headers
// declare. It has no preprocessor: of conditional code it sees every branch,
// apart from what stands below #if 0.
package csource

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// A Kind says what a Token is.
type Kind int

const (
	Ident     Kind = iota // a name or a keyword
	Number                // a number
	String                // a string or character literal, with its quotes
	Punct                 // one character of punctuation
	Directive             // "#" and the name of a preprocessor directive
	Header                // the file that an #include names, with its brackets
	EndLine               // the end of a directive's line
)

// A Token is a piece of C.
type Token struct {
	Kind Kind
	Text string
	Line int // from 1
	// Left says that the token stands at the very left of its line.
	Left bool
}

// Is reports whether t is a name or punctuation with a text.
func (t Token) Is(text string) bool {
	return (t.Kind == Ident || t.Kind == Punct) && t.Text == text
}

// An Error says where a file is not C.
type Error struct {
	Line int
	Err  error
}

// Error describes the error with its line.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

type scanner struct {
	src    []byte
	pos    int
	line   int
	tokens []Token
}

// Tokens returns the tokens of a C file, without comments. The error is an
// *Error.
func Tokens(src []byte) ([]Token, error) {
	if i := bytes.IndexByte(src, 0); i >= 0 {
		return nil,
			&Error{1 + bytes.Count(src[:i], []byte("\n")), errors.New("a NUL byte: this is not a C source")}
	}
	s := &scanner{src: src, line: 1}
	for {
		switch err := s.blank(); {
		case err != nil:
			return nil, err
		case s.pos == len(s.src):
			return s.tokens, nil
		case s.src[s.pos] == '\n':
			s.line++
			s.pos++
		default:
			if err := s.next(); err != nil {
				return nil, err
			}
		}
	}
}

// rest reports whether the rest of the source begins with a text.
func (s *scanner) rest(text string) bool { return bytes.HasPrefix(s.src[s.pos:], []byte(text)) }

// blank skips blanks, comments and spliced line ends, up to the end of a line.
func (s *scanner) blank() error {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			s.pos++
		case s.rest("\\\n"):
			s.line++
			s.pos += 2
		case s.rest("\\\r\n"):
			s.line++
			s.pos += 3
		case s.rest("//"):
			s.skipLine()
		case s.rest("/*"):
			end := bytes.Index(s.src[s.pos+2:], []byte("*/"))
			if end < 0 {
				return &Error{s.line, errors.New("the comment has no end")}
			}
			s.line += bytes.Count(s.src[s.pos:s.pos+2+end], []byte("\n"))
			s.pos += end + 4
		default:
			return nil
		}
	}
	return nil
}

// skipLine goes to the end of the line, over spliced line ends.
func (s *scanner) skipLine() {
	for s.pos < len(s.src) && s.src[s.pos] != '\n' {
		if s.rest("\\\n") {
			s.line++
			s.pos++
		}
		s.pos++
	}
}

func letter(c byte) bool {
	return c == '_' || c == '$' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// word returns the name at the position.
func (s *scanner) word() string {
	start := s.pos
	for s.pos < len(s.src) && (letter(s.src[s.pos]) || digit(s.src[s.pos])) {
		s.pos++
	}
	return string(s.src[start:s.pos])
}

func (s *scanner) add(kind Kind, text string) {
	s.addAt(kind, text, s.line, s.pos-len(text))
}

func (s *scanner) addAt(kind Kind, text string, line, start int) {
	left := start == 0 || s.src[start-1] == '\n'
	s.tokens = append(s.tokens, Token{kind, text, line, left})
}

// next takes one token, or a directive with its line.
func (s *scanner) next() error {
	c := s.src[s.pos]
	switch {
	case c == '#' && s.startsLine():
		return s.directive()
	case letter(c):
		s.add(Ident, s.word())
	case digit(c) || c == '.' && s.pos+1 < len(s.src) && digit(s.src[s.pos+1]):
		start := s.pos
		for s.pos < len(s.src) && (letter(s.src[s.pos]) || digit(s.src[s.pos]) || s.src[s.pos] == '.') {
			s.pos++
		}
		s.add(Number, string(s.src[start:s.pos]))
	case c == '"' || c == '\'':
		return s.literal(c)
	default:
		s.pos++
		s.add(Punct, string(c))
	}
	return nil
}

// startsLine reports whether nothing but blanks precedes the position.
func (s *scanner) startsLine() bool {
	return len(s.tokens) == 0 || s.tokens[len(s.tokens)-1].Line < s.line
}

func (s *scanner) literal(quote byte) error {
	start, line := s.pos, s.line
	for s.pos++; s.pos < len(s.src) && s.src[s.pos] != '\n'; s.pos++ {
		switch s.src[s.pos] {
		case '\\':
			s.pos++
			if s.pos < len(s.src) && s.src[s.pos] == '\n' {
				s.line++
			}
		case quote:
			s.pos++
			s.addAt(String, string(s.src[start:s.pos]), line, start)
			return nil
		}
	}
	return &Error{line, fmt.Errorf("the literal that starts with %c has no end", quote)}
}

// directive takes a line that begins with #.
func (s *scanner) directive() error {
	s.pos++
	if err := s.blank(); err != nil {
		return err
	}
	name := s.word()
	s.add(Directive, name)
	switch name {
	case "error", "warning", "pragma", "line":
		s.skipLine()
	case "include":
		if err := s.blank(); err != nil {
			return err
		}
		start := s.pos
		s.skipLine()
		if fields := strings.Fields(string(s.src[start:s.pos])); len(fields) > 0 {
			s.add(Header, fields[0])
		}
	}
	first := len(s.tokens)
	for {
		if err := s.blank(); err != nil {
			return err
		}
		if s.pos == len(s.src) || s.src[s.pos] == '\n' {
			break
		}
		if err := s.next(); err != nil {
			return err
		}
	}
	condition := s.tokens[first:]
	s.add(EndLine, "")
	if name == "if" && len(condition) == 1 && condition[0].Text == "0" {
		s.skipGroup()
	}
	return nil
}

// skipGroup skips what stands below #if 0, up to its #endif, #else or #elif,
// which is taken next.
func (s *scanner) skipGroup() {
	depth := 0
	for s.pos < len(s.src) {
		s.pos++ // the end of the line before
		s.line++
		line := bytes.TrimLeft(s.src[min(s.pos, len(s.src)):], " \t")
		if after, ok := bytes.CutPrefix(line, []byte("#")); ok {
			after = bytes.TrimLeft(after, " \t")
			switch {
			case bytes.HasPrefix(after, []byte("if")):
				depth++
			case bytes.HasPrefix(after, []byte("endif")):
				depth--
				if depth < 0 {
					return
				}
			case depth == 0 && bytes.HasPrefix(after, []byte("el")):
				return
			}
		}
		s.skipLine()
	}
	s.pos = len(s.src)
}
