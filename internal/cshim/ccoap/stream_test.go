package ccoap

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
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
		m = []byte{15<<4 | token, byte((n - 65805) >> 24), byte((n - 65805) >> 16), byte((n - 65805) >> 8), byte(n - 65805), 1}
	}
	return append(m, make([]byte, 2+n)...), len(m)
}

func TestStreamKeepsHeadersTogether(t *testing.T) {
	for _, n := range []int{0, 12, 13, 268, 269, 65804, 65805, 70000} {
		first, _ := message(1)
		second, header := message(n)
		third, _ := message(3)
		all := append(append(append([]byte(nil), first...), second...), third...)
		for cut := range header + 3 {
			t.Run(fmt.Sprintf("%d bytes cut at %d", n, cut), func(t *testing.T) {
				var s Stream
				at := len(first) + cut
				ready, kept := s.Divide(all[:at])
				if cut < header {
					assert.Equal(t, []int{len(first), cut}, []int{ready, kept}, "the start of a header is kept")
				} else {
					assert.Equal(t, []int{at, 0}, []int{ready, kept})
				}
				more, kept := s.Divide(all[ready:])
				assert.Equal(t, []int{len(all) - ready, 0}, []int{more, kept})
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
	var s Stream
	passed, kept := 0, 0
	for i := range all {
		var ready int
		ready, kept = s.Divide(all[passed : i+1])
		passed += ready
		assert.LessOrEqual(t, kept, 5)
	}
	assert.Equal(t, len(all), passed)
	assert.Zero(t, kept)
}

func TestStreamLeavesTLSAlone(t *testing.T) {
	for _, record := range []byte{0x14, 0x15, 0x16, 0x17} {
		var s Stream
		ready, kept := s.Divide([]byte{record})
		assert.Equal(t, []int{0, 1}, []int{ready, kept}, "it may be either")
		ready, kept = s.Divide([]byte{record, 3, 3, 0xd1})
		assert.Equal(t, []int{4, 0}, []int{ready, kept})
	}
}
