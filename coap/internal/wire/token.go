package wire

import "math/rand/v2"

// A Token ties responses to their request (RFC 7252, section 5.3.1). It stands for the bytes
// of a token together with their number: in those with fewer than TokenSize bytes, a 1 goes
// before the bytes. So only tokens of TokenSize bytes can be mistaken for shorter ones, and
// whoever looks one up has to compare the sizes too.
type Token uint64

// TokenSize is the number of bytes that a token has at most, and a random one always.
const TokenSize = 8

// NewToken returns a random token of TokenSize bytes, as RFC 7252, section 5.3.1, asks of
// clients without transport security.
func NewToken() Token { return Token(rand.Uint64()) }

// ParseToken returns the token with up to TokenSize bytes.
func ParseToken(b []byte) Token {
	t := Token(1)
	for _, c := range b {
		t = t<<8 | Token(c)
	}
	return t
}

// Append appends the bytes of the token, of which there are size.
func (t Token) Append(b []byte, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(t>>(8*i)))
	}
	return b
}
