package coap

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// reserve keeps a UDP port for libcoap until it is released, and finds one where
// addr has none. It fails where somebody has the port. libcoap would share it, because it
// sets SO_REUSEADDR, and take the other's messages; for port 0 the system then gives
// it ports that other such sockets have.
func reserve(addr netip.AddrPort, proto Protocol) (reserved netip.AddrPort, release func(), err error) {
	if proto.Reliable() {
		return addr, func() {}, nil
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // Listen says the rest
	}
	if err != nil {
		return addr, nil, err
	}
	// From here on, who sets SO_REUSEADDR may have the port too.
	if err := share(conn); err != nil {
		conn.Close()
		return addr, nil, err
	}
	port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	return netip.AddrPortFrom(addr.Addr(), port), func() { conn.Close() }, nil
}

func share(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
