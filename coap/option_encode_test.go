package coap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

func TestOptionsAreEncodedInOrder(t *testing.T) {
	o := Options{{OptionURIPath, []byte("a")}, {OptionURIPath, []byte("b")}, {OptionAccept, nil}}
	want := wire.Options(nil).Append(11, []byte("a")).Append(11, []byte("b")).Append(17, nil)
	assert.Equal(t, want, o.encode())
	assert.Equal(t, o[0], decodeOptions(o.encode())[0])
	assert.Equal(t, 3, cap(decodeOptions(o.encode())))

	block1, block2 := Option{OptionBlock1, []byte{8}}, Option{OptionBlock2, []byte{6}}
	etag := Option{OptionETag, []byte("1")}
	for _, others := range [][]Option{{etag}, {block2, block1}, {etag, block2, block1}} {
		merged := o.Clone()
		for _, option := range others {
			merged.Add(option.ID, option.Value)
		}
		assert.Equal(t, merged.encode(), o.encode(others...))
	}
	assert.Equal(t, wire.Options(nil).Append(27, []byte{8}), Options(nil).encode(block1))
	assert.Empty(t, Options(nil).encode())
	assert.Nil(t, decodeOptions(nil))
}

func TestOptionsAreFoundInMessages(t *testing.T) {
	encoded := Options{{OptionURIPath, []byte("a")},
		{OptionETag, nil}}[:1].encode(Option{OptionAccept, nil})
	value, ok := findOption(encoded, OptionURIPath)
	assert.True(t, ok)
	assert.Equal(t, "a", string(value))
	_, ok = findOption(encoded, OptionAccept)
	assert.True(t, ok)
	_, ok = findOption(encoded, OptionETag)
	assert.False(t, ok)
}

func TestOptionsHaveTheSameSizeInBothForms(t *testing.T) {
	for _, o := range []Options{
		nil,
		{{OptionURIPath, []byte("a")}, {OptionURIPath, []byte(strings.Repeat("b", 255))}},
		{{OptionETag, []byte("1")}, {OptionRequestTag, []byte("2")}, {65000, make([]byte, 1000)}},
	} {
		assert.Equal(t, o.encode().Size(), o.wireSize())
	}
	assert.Equal(t, 2+3+255,
		Options{{OptionURIPath, []byte("a")}, {OptionURIPath, make([]byte, 255)}}.wireSize()+1)
}

func TestCopiesWithAndWithoutOptions(t *testing.T) {
	o := make(Options, 0, 8) // with room, where an append would write
	o.AddString(OptionURIPath, "a")
	o.AddUint(OptionAccept, 60)
	with := o.with(Option{OptionETag, []byte("1")})
	assert.Equal(t, Options{{OptionETag, []byte("1")}, {OptionURIPath, []byte("a")},
		{OptionAccept, []byte{60}}}, with)
	assert.Equal(t, Options{{OptionURIPath, []byte("a")}},
		with.without(OptionETag, OptionAccept, OptionBlock1))
	assert.Len(t, o, 2)
	assert.Len(t, with, 3)
}
