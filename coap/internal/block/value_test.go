package block

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValues(t *testing.T) {
	for _, tc := range []struct {
		block  Value
		bytes  []byte
		size   int
		offset int64
	}{
		{Value{0, false, 0}, []byte{}, 16, 0},
		{Value{0, true, 0}, []byte{0x08}, 16, 0},
		{Value{0, false, 6}, []byte{0x06}, 1024, 0},
		{Value{1, true, 2}, []byte{0x1a}, 64, 64},
		{Value{15, false, 0}, []byte{0xf0}, 16, 240},
		{Value{16, false, 5}, []byte{0x01, 0x05}, 512, 8192},
		{Value{4095, true, 6}, []byte{0xff, 0xfe}, 1024, 4095 << 10},
		{Value{4096, false, 1}, []byte{0x01, 0x00, 0x01}, 32, 4096 << 5},
		{Value{MaxNum, true, 6}, []byte{0xff, 0xff, 0xfe}, 1024, (1<<20 - 1) << 10},
	} {
		assert.Equal(t, tc.bytes, tc.block.Encode())
		b, err := Parse(tc.bytes)
		require.NoError(t, err)
		assert.Equal(t, tc.block, b)
		assert.Equal(t, tc.size, b.Size())
		assert.Equal(t, tc.offset, b.Offset())
	}
}

func TestValuesOfPeersMayHaveLeadingZeros(t *testing.T) {
	for value, want := range map[string]Value{
		"\x00":         {},
		"\x00\x00\x00": {},
		"\x00\x1a":     {1, true, 2},
		"\x00\x00\x1a": {1, true, 2},
	} {
		b, err := Parse([]byte(value))
		require.NoError(t, err)
		assert.Equal(t, want, b)
	}
}

func TestBadValues(t *testing.T) {
	_, err := Parse(make([]byte, 4))
	assert.Equal(t, errLength, err)
	_, err = Parse([]byte{0, 0, 0, 7})
	assert.Equal(t, errLength, err, "the length comes first")

	for _, value := range [][]byte{{0x07}, {0x0f}, {0xff, 0xff, 0xff}} {
		b, err := Parse(value)
		assert.Equal(t, ErrReserved, err)
		assert.EqualValues(t, BERT, b.SZX, "for transports with BERT")
		assert.Equal(t, 1024, b.Size())
	}
}

func TestBodiesThatFitABlock(t *testing.T) {
	for _, tc := range []struct {
		v        Value
		fits     []int
		fitsNone []int
	}{
		{Value{0, true, 0}, []int{16}, []int{0, 15, 17, 32}},
		{Value{0, false, 0}, []int{0, 1, 16}, []int{17}},
		{Value{9, true, 6}, []int{1024}, []int{1023, 2048}},
		{Value{0, true, BERT}, []int{1024, 2048, 64 << 10}, []int{0, 1023, 1500}},
		{Value{0, false, BERT}, []int{0, 1500, 100000}, nil},
	} {
		for _, size := range tc.fits {
			assert.True(t, tc.v.Fits(size), "%v %d", tc.v, size)
		}
		for _, size := range tc.fitsNone {
			assert.False(t, tc.v.Fits(size), "%v %d", tc.v, size)
		}
	}
}

func TestSizesOfBlocks(t *testing.T) {
	for size, szx := range map[int]uint8{0: 0, 15: 0, 16: 0, 31: 0, 32: 1, 63: 1, 64: 2, 1023: 5,
		1024: 6, 1 << 20: 6} {
		assert.Equal(t, szx, SZXOf(size), size)
	}
	for _, tc := range []struct {
		szx  uint8
		most int
		want uint8
	}{
		{6, 1024, 6}, {6, 1023, 5}, {6, 63, 1}, {6, 15, 0}, {6, -5, 0}, {2, 1024, 2}, {2, 63, 1},
		{BERT, 1024, BERT}, {BERT, 1 << 20, BERT}, {BERT, 1023, 5}, {BERT, 16, 0},
	} {
		assert.Equal(t, tc.want, Shrink(tc.szx, tc.most), tc)
	}
	assert.Equal(t, 16, PartSize(0, 5))
	assert.Equal(t, 1024, PartSize(6, 1<<20))
	assert.Equal(t, 1024, PartSize(BERT, 2047))
	assert.Equal(t, 2048, PartSize(BERT, 2048))
	assert.Equal(t, 64<<10, PartSize(BERT, 1<<20))
}

func TestBodiesAreCutIntoBlocks(t *testing.T) {
	body := make([]byte, 2500)
	for i := range body {
		body[i] = byte(i >> 4)
	}
	for _, tc := range []struct {
		offset int
		szx    uint8
		most   int
		v      Value
		end    int
	}{
		{0, 6, 1100, Value{0, true, 6}, 1024},
		{1024, 6, 1100, Value{1, true, 6}, 2048},
		{2048, 6, 1100, Value{2, false, 6}, 2500},
		{2048, 2, 1100, Value{32, true, 2}, 2112},
		{0, BERT, 2100, Value{0, true, BERT}, 2048},
		{1024, BERT, 2100, Value{1, false, BERT}, 2500},
	} {
		v, part := Cut(body, tc.offset, tc.szx, tc.most)
		assert.Equal(t, tc.v, v)
		assert.Equal(t, body[tc.offset:tc.end], part)
		assert.Equal(t, v, Value{At(tc.offset, tc.szx).Num, v.More, tc.szx})
		assert.EqualValues(t, tc.offset, v.Offset())
	}
	v, part := Cut(nil, 0, 6, 1024)
	assert.Equal(t, Value{0, false, 6}, v)
	assert.Empty(t, part)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0x1a})
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, option []byte) {
		v, err := Parse(option)
		if err == errLength {
			require.Greater(t, len(option), 3)
			return
		}
		require.Equal(t, err == ErrReserved, v.SZX == BERT)
		require.LessOrEqual(t, v.Num, uint32(MaxNum))
		again, _ := Parse(v.Encode())
		require.Equal(t, v, again)
		require.Equal(t, Value{v.Num, false, v.SZX}, At(int(v.Offset()), v.SZX))
	})
}
