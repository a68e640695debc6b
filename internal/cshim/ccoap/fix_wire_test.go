package ccoap

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// message returns a message over TCP with n bytes of options and payload, and the
// size of its header.
func message(n int) (m []byte, header int) {
	switch token := byte(2); {
	case n < 13:
		m = []byte{byte(n)<<4 | token, 1}
	case n < 269:
		m = []byte{13<<4 | token, byte(n - 13), 1}
	case n < 65805:
		m = []byte{14<<4 | token, byte((n - 269) >> 8), byte(n - 269), 1}
	default:
		m = []byte{15<<4 | token, byte((n - 65805) >> 24), byte((n - 65805) >> 16),
			byte((n - 65805) >> 8), byte(n - 65805), 1}
	}
	header = len(m)
	m = append(m, make([]byte, 2+n)...)
	if n > 0 {
		m[header+2] = 0xff // all is payload
	}
	return m, header
}

func TestStreamKeepsHeadersTogether(t *testing.T) {
	for _, n := range []int{0, 12, 13, 268, 269, 65804, 65805, 70000} {
		first, _ := message(1)
		second, header := message(n)
		third, _ := message(3)
		all := append(append(append([]byte(nil), first...), second...), third...)
		for cut := range header + 3 {
			t.Run(fmt.Sprintf("%d bytes cut at %d", n, cut), func(t *testing.T) {
				s := greeted(t)
				at := len(first) + cut
				ready := s.Take(all[:at])
				if cut < header {
					assert.Equal(t, len(first), ready, "the start of a header is kept")
				} else {
					assert.Equal(t, at, ready)
				}
				assert.Equal(t, len(all)-ready, s.Take(all[ready:]))
			})
		}
	}
}

func TestStreamByteByByte(t *testing.T) {
	var all []byte
	for _, n := range []int{1, 20, 300, 66000, 0} {
		m, _ := message(n)
		all = append(all, m...)
	}
	s := greeted(t)
	passed := 0
	for i := range all {
		passed += s.Take(all[passed : i+1])
		assert.LessOrEqual(t, i+1-passed, 5)
	}
	assert.Equal(t, len(all), passed)
}

// greeted returns a Wire that the capabilities have passed.
func greeted(t *testing.T) *Wire {
	var w Wire
	csm := []byte{0, 7<<5 | 1}
	require.Equal(t, len(csm), w.Take(csm))
	return &w
}
