//go:build libcoap2

package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGroupsThatLibcoapCannotJoin(t *testing.T) {
	assert.False(t, Supports(FeatureAnyGroup))
	c := newTestNode(t, nil)
	_, err := c.Listen(netip.MustParseAddrPort("[::]:0"), UDP)
	require.NoError(t, err)
	assert.ErrorIs(t, c.JoinGroup(AllNodesIPv4, nil), ErrNotSupported)
	assert.ErrorIs(t, c.JoinGroup(AllNodesLinkLocal, loopbackInterface(t)), ErrNotSupported)
}
