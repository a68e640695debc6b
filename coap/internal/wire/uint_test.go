package wire

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNumbersTakeTheFewestBytes(t *testing.T) {
	for _, tc := range []struct {
		n     uint64
		bytes string
	}{
		{0, ""},
		{1, "\x01"},
		{255, "\xff"},
		{256, "\x01\x00"},
		{1 << 24, "\x01\x00\x00\x00"},
		{math.MaxUint64, "\xff\xff\xff\xff\xff\xff\xff\xff"},
	} {
		assert.Equal(t, tc.bytes, string(EncodeUint(tc.n)))
		assert.Equal(t, tc.n, ParseUint([]byte(tc.bytes)))
	}
}

func TestNumbersMayHaveLeadingZeros(t *testing.T) {
	assert.EqualValues(t, 0, ParseUint([]byte{0, 0, 0}))
	assert.EqualValues(t, 258, ParseUint([]byte{0, 0, 1, 2}))
	assert.EqualValues(t, 0x0203040506070809, ParseUint([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}),
		"the last 8 bytes")
}

func FuzzUint(f *testing.F) {
	f.Add(uint64(0), 0)
	f.Add(uint64(256), 3)
	f.Add(uint64(math.MaxUint64), 1)
	f.Fuzz(func(t *testing.T, n uint64, zeros int) {
		value := EncodeUint(n)
		require.LessOrEqual(t, len(value), 8)
		require.False(t, len(value) > 0 && value[0] == 0, "it could be shorter")
		require.Equal(t, n, ParseUint(append(make([]byte, max(0, zeros%16)), value...)))
	})
}
