package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSizesOfOptions(t *testing.T) {
	for _, tc := range []struct{ delta, length, size int }{
		{0, 0, 1},
		{12, 12, 1 + 12},
		{13, 12, 2 + 12},
		{12, 13, 2 + 13},
		{268, 268, 3 + 268},
		{269, 268, 4 + 268},
		{269, 269, 5 + 269},
		{65535, 65535 + 269, 5 + 65535 + 269},
	} {
		assert.Equal(t, tc.size, OptionSize(tc.delta, tc.length), tc)
	}
}

func TestSizesOfMessages(t *testing.T) {
	o := encode(option{11, "a"}, option{11, strings.Repeat("b", 13)}, option{24, ""}, option{293, ""})
	assert.Equal(t, 2+15+2+3, o.Size())
	assert.Zero(t, Options(nil).Size())

	assert.Equal(t, 4, DatagramSize(0, nil, 0))
	assert.Equal(t, 4+8, DatagramSize(8, nil, 0), "no marker without a body")
	assert.Equal(t, 4+2+22+1+3, DatagramSize(2, o, 3))
}
