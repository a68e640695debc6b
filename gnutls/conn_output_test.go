package gnutls

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shortConn takes so many bytes, and then fails.
type shortConn struct {
	net.Conn
	room int
	got  []byte
}

func (c *shortConn) Write(p []byte) (int, error) {
	n := min(len(p), c.room)
	c.got = append(c.got, p[:n]...)
	c.room -= n
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

func bufferOf(text string) (*buffer, int) {
	buf := getBuffer()
	return buf, copy(buf[:], text)
}

func TestOutputGoesOnWhereItWasCutOff(t *testing.T) {
	transport := &shortConn{room: 3}
	o := output{conn: transport}
	o.add(bufferOf("hello "))
	require.ErrorIs(t, o.flush(), os.ErrDeadlineExceeded)
	assert.Equal(t, 3, o.waiting())
	o.add(bufferOf("world"))
	assert.Equal(t, 8, o.waiting())
	transport.room = 100
	require.NoError(t, o.flush())
	assert.Equal(t, "hello world", string(transport.got))
	assert.Zero(t, o.waiting())
	assert.Nil(t, o.buf, "the buffer is given back")
	require.NoError(t, o.flush())
}

func TestOutputThatASocketTakesAtOnce(t *testing.T) {
	a, b := tcpPipe(t)
	raw, err := a.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	o := output{conn: a}
	o.add(bufferOf("hello"))
	o.flushNow(raw)
	assert.Zero(t, o.waiting())
	assert.Nil(t, o.buf)
	got := make([]byte, 5)
	_, err = b.Read(got)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
}
