package block

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

func options(numbers ...uint16) (o wire.Options) {
	for _, number := range numbers {
		o = o.Append(number, []byte{1})
	}
	return o
}

func TestBlocksAreMentioned(t *testing.T) {
	for _, o := range []wire.Options{options(23), options(27), options(11, 23, 60),
		options(11, 23, 27), options(27, 27, 28)} {
		assert.True(t, Mentioned(o), "%x", o)
	}
	for _, o := range []wire.Options{nil, options(11), options(22, 24, 26, 28), options(60)} {
		assert.False(t, Mentioned(o), "%x", o)
	}
}

func TestMessagesOfATransferHaveTheSameKey(t *testing.T) {
	key := RequestKey(2, options(11, 12))
	assert.Equal(t, "\x00\x02"+string(options(11, 12)), key)
	for _, o := range []wire.Options{
		options(11, 12, 23), options(11, 12, 27), options(6, 11, 12), // Block2, Block1, Observe
		options(11, 12, 28), options(11, 12, 60), // Size2, Size1
	} {
		assert.Equal(t, key, RequestKey(2, o), "%x", o)
	}
	for _, o := range []wire.Options{nil, options(11), options(11, 11, 12), options(11, 12, 292)} {
		assert.NotEqual(t, key, RequestKey(2, o), "%x", o)
	}
	assert.NotEqual(t, key, RequestKey(3, options(11, 12)))
	assert.NotEqual(t, key, RequestKey(2, options(11).Append(12, []byte{2})))

	assert.Equal(t, "\x01\x02"+string(options(11, 12)), ResponseKey(key))
}
