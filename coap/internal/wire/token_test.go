package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTokensHaveTheirBytesAndTheirLength(t *testing.T) {
	for bytes, token := range map[string]Token{
		"":                                 1,
		"\x00":                             0x100,
		"a":                                0x161,
		"\x00a":                            0x10061,
		"\x01\x02\x03\x04\x05\x06\x07":     0x0101020304050607,
		"\x00\x00\x00\x00\x00\x00\x00\x00": 0,
		"\x01\x02\x03\x04\x05\x06\x07\x08": 0x0102030405060708,
	} {
		assert.Equal(t, token, ParseToken([]byte(bytes)), "%q", bytes)
		assert.Equal(t, "x"+bytes, string(token.Append([]byte("x"), len(bytes))))
	}
}

func TestNewTokensDiffer(t *testing.T) {
	seen := map[Token]bool{}
	for range 1000 {
		seen[NewToken()] = true
	}
	assert.Len(t, seen, 1000)
}

func FuzzToken(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0})
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), TokenSize)]
		require.Equal(t, b, ParseToken(b).Append([]byte{}, len(b)))
	})
}
