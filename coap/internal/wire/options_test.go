package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type option struct {
	number uint16
	value  string
}

func encode(options ...option) (o Options) {
	for _, option := range options {
		o = o.Append(option.number, []byte(option.value))
	}
	return o
}

func decode(o Options) (options []option) {
	for number, value := range o.All() {
		options = append(options, option{number, string(value)})
	}
	return options
}

func TestOptionsAreEncodedAsTheShimTakesThem(t *testing.T) {
	o := encode(option{11, "ab"}, option{12, ""}, option{65535, "c"})
	assert.Equal(t,
		Options("\x00\x0b\x00\x00\x00\x02ab"+"\x00\x0c\x00\x00\x00\x00"+"\xff\xff\x00\x00\x00\x01c"), o)
	assert.Equal(t, 3*OptionHeader+3, len(o))
}

func TestOptionsAreReadAsTheyWereAppended(t *testing.T) {
	for _, options := range [][]option{
		nil,
		{{0, ""}},
		{{11, "a"}, {11, ""}, {11, "b"}, {15, "c"}},
		{{1, strings.Repeat("x", 65535)}, {65535, strings.Repeat("y", 70000)}},
	} {
		o := encode(options...)
		assert.Equal(t, options, decode(o))
		assert.Equal(t, len(options), o.Len())
	}
}

func TestNextSplitsTheFirstOptionOff(t *testing.T) {
	number, value, rest, ok := encode(option{11, "a"}, option{12, "b"}).Next()
	require.True(t, ok)
	assert.EqualValues(t, 11, number)
	assert.Equal(t, []byte("a"), value)
	assert.Equal(t, 1, cap(value), "an append to it leaves what follows alone")
	assert.Equal(t, encode(option{12, "b"}), rest)

	_, _, rest, ok = rest.Next()
	assert.True(t, ok)
	_, _, _, ok = rest.Next()
	assert.False(t, ok)
}

func TestOptionsThatAreCutOffAreNotThere(t *testing.T) {
	whole := encode(option{11, "abc"})
	for n := range len(whole) {
		_, _, _, ok := whole[:n].Next()
		assert.False(t, ok, "%d bytes", n)
	}
	_, _, _, ok := Options("\x00\x0b\xff\xff\xff\xffabc").Next()
	assert.False(t, ok)
}

func TestFindReturnsTheFirstOptionWithANumber(t *testing.T) {
	o := encode(option{11, "a"}, option{11, "b"}, option{15, ""}, option{60, "c"})
	for _, tc := range []struct {
		number uint16
		value  string
		ok     bool
	}{
		{10, "", false}, {11, "a", true}, {12, "", false}, {15, "", true}, {60, "c", true},
		{61, "", false},
	} {
		value, ok := o.Find(tc.number)
		assert.Equal(t, tc.ok, ok, tc.number)
		assert.Equal(t, tc.value, string(value), tc.number)
		assert.Equal(t, tc.ok, value != nil, tc.number)
	}
	_, ok := Options(nil).Find(0)
	assert.False(t, ok)
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(encode(option{11, "ab"}, option{12, ""}, option{65535, "c"})))
	f.Add([]byte("\x00\x0b\xff\xff\xff\xffabc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var again Options
		n, size, last := 0, 0, uint16(0)
		for number, value := range Options(data).All() {
			again = again.Append(number, value)
			n++
			size += OptionSize(int(number-last), len(value))
			last = number
		}
		require.True(t, bytes.HasPrefix(data, again))
		require.Equal(t, n, again.Len())
		require.Equal(t, n, Options(data).Len())
		require.Equal(t, size, again.Size())
		_, _, _, ok := Options(data[len(again):]).Next()
		require.False(t, ok)
	})
}
