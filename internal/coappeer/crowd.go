package coappeer

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// A Crowd sends datagrams from any number of addresses of 127.0.0.0/8. It hears no
// answers, as those whose addresses somebody else makes use of do not.
type Crowd struct {
	t    testing.TB
	conn *ipv4.PacketConn
	port uint16
}

// NewCrowd opens a socket.
func NewCrowd(t testing.TB) *Crowd {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Crowd{t, ipv4.NewPacketConn(conn), uint16(conn.LocalAddr().(*net.UDPAddr).Port)}
}

// Addr is the address of the nth one.
func (c *Crowd) Addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(n>>16 + 1), byte(n >> 8), byte(n)}),
		c.port)
}

// Send sends a message from the nth address.
func (c *Crowd) Send(n int, to netip.AddrPort, m Message) {
	c.t.Helper()
	from := ipv4.ControlMessage{Src: net.IP(c.Addr(n).Addr().AsSlice())}
	if _, err := c.conn.WriteTo(m.AppendUDP(nil), &from, net.UDPAddrFromAddrPort(to)); err != nil {
		c.t.Fatal(err)
	}
}
