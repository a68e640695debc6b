package gnutls

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// net/http reads into an array that lies in a struct beside pointers. What
// cgo checks of a buffer must end with the buffer.
func TestBuffersMayLieBesidePointers(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t))
	require.NoError(t, s.SetReadDeadline(time.Now().Add(wait)))
	type part struct {
		neighbour *int
		buf       [4]byte
	}
	out := &part{new(int), [4]byte{1, 2, 3, 4}}
	in := &part{neighbour: new(int)}
	_, err := c.Write(out.buf[:])
	require.NoError(t, err)
	_, err = io.ReadFull(s, in.buf[:])
	require.NoError(t, err)
	assert.Equal(t, out.buf, in.buf)
}
