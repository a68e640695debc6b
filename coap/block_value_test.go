package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBlockValues(t *testing.T) {
	for _, tc := range []struct {
		block  blockValue
		bytes  []byte
		size   int
		offset int64
	}{
		{blockValue{0, false, 0}, []byte{}, 16, 0},
		{blockValue{0, true, 0}, []byte{0x08}, 16, 0},
		{blockValue{0, false, 6}, []byte{0x06}, 1024, 0},
		{blockValue{1, true, 2}, []byte{0x1a}, 64, 64},
		{blockValue{15, false, 0}, []byte{0xf0}, 16, 240},
		{blockValue{16, false, 5}, []byte{0x01, 0x05}, 512, 8192},
		{blockValue{4095, true, 6}, []byte{0xff, 0xfe}, 1024, 4095 << 10},
		{blockValue{4096, false, 1}, []byte{0x01, 0x00, 0x01}, 32, 4096 << 5},
		{blockValue{maxBlockNum, true, 6}, []byte{0xff, 0xff, 0xfe}, 1024, (1<<20 - 1) << 10},
	} {
		assert.Equal(t, tc.bytes, tc.block.encode())
		b, err := parseBlock(tc.bytes)
		require.NoError(t, err)
		assert.Equal(t, tc.block, b)
		assert.Equal(t, tc.size, b.size())
		assert.Equal(t, tc.offset, b.offset())
	}
}

func TestBlockValueOfAPeerMayHaveLeadingZeros(t *testing.T) {
	for value, want := range map[string]blockValue{
		"\x00":         {},
		"\x00\x00\x00": {},
		"\x00\x1a":     {1, true, 2},
		"\x00\x00\x1a": {1, true, 2},
	} {
		b, err := parseBlock([]byte(value))
		require.NoError(t, err)
		assert.Equal(t, want, b)
	}
}

func TestBadBlockValues(t *testing.T) {
	_, err := parseBlock(make([]byte, 4))
	assert.Equal(t, errBlockLength, err)
	_, err = parseBlock([]byte{0, 0, 0, 7})
	assert.Equal(t, errBlockLength, err, "the length comes first")

	for _, value := range [][]byte{{0x07}, {0x0f}, {0xff, 0xff, 0xff}} {
		b, err := parseBlock(value)
		assert.Equal(t, errBlockSize, err)
		assert.EqualValues(t, bert, b.szx, "for who knows BERT")
		assert.Equal(t, 1024, b.size())
	}
}
