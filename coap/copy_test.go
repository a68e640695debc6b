// The sanitizers do not support dlmopen.

//go:build !libcoap2 && !asan && !race && !nointerpose

package coap

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cprogram"
)

// Nothing is replaced in a copy of libcoap that a plugin brings, whether it is loaded before our
// first context, or afterwards, or again; and what is replaced in the process's own stays so.
func TestCopiesOfLibcoapAreLeftAlone(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for range 3 {
		plugin, ok := cprogram.LoadCopy()
		if !ok {
			t.Skip("the system loads no second copy of libcoap")
		}
		n, err := NewNode(nil)
		require.NoError(t, err)
		for _, function := range []string{"recv", "recvmsg", "socket", "gnutls_handshake"} {
			assert.Equal(t, exe, cprogram.Copy{}.Callee(function), function)
			assert.NotEqual(t, exe, plugin.Callee(function), function)
			assert.NotEmpty(t, plugin.Callee(function), function)
		}
		assert.True(t, plugin.Works())
		require.NoError(t, n.Close())
		plugin.Unload()
		assert.Equal(t, exe, cprogram.Copy{}.Callee("recv"))
	}
}
