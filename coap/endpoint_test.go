package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEndpointsHearGroups(t *testing.T) {
	of4, of6 := AllNodesIPv4, AllNodesLinkLocal
	var e endpoints
	e.add(netip.IPv6Unspecified(), TCP)
	e.add(netip.MustParseAddr("127.0.0.1"), UDP)
	assert.False(t, e.hear(of4), "it is not for all addresses")
	e.add(netip.IPv4Unspecified(), UDP)
	assert.True(t, e.hear(of4))
	assert.False(t, e.hear(of6), "it is of the other family")
	e.add(netip.IPv6Unspecified(), UDP)
	assert.True(t, e.hear(of6))
}
