package coap

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A header that comes in pieces makes libcoap lose its place, see
// internal/cshim/ccoap/stream.h.
func TestTCPMessagesThatComeInPieces(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(r.Body[:1]) }))
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
	_, err = conn.Write([]byte{0x00, 0xe1}) // capabilities
	require.NoError(t, err)
	capabilities := make([]byte, 2)
	_, err = io.ReadFull(conn, capabilities)
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, capabilities[0]>>4))
	require.NoError(t, err)
	require.Equal(t, byte(0xe1), capabilities[1])

	const size = 400 // of options and payload: a header of 4 bytes
	for cut := 1; cut < 8; cut++ {
		m := append([]byte{14<<4 | 1, 0, size - 269, byte(MethodPut), byte(cut), 0xff}, make([]byte, size-1)...)
		m[6] = 'a' + byte(cut)
		before := ccoap.StreamCalls()
		_, err := conn.Write(m[:cut])
		require.NoError(t, err)
		for deadline := time.Now().Add(wait); ccoap.StreamCalls() == before; runtime.Gosched() {
			require.True(t, time.Now().Before(deadline), "libcoap reads without us")
		}
		_, err = conn.Write(m[cut:])
		require.NoError(t, err)
		answer := make([]byte, 5)
		_, err = io.ReadFull(conn, answer)
		require.NoError(t, err, "cut at %d", cut)
		assert.Equal(t, []byte{2<<4 | 1, byte(CodeChanged), byte(cut), 0xff, 'a' + byte(cut)}, answer)
	}
}
