package ccoap

/*
#include "address.h"
*/
import "C"

import (
	"net"
	"net/netip"
	"strconv"
	"unsafe"
)

// toC returns addr as the shims take it.
func toC(addr netip.AddrPort) (c C.struct_cshim_address) {
	ip := addr.Addr()
	b := ip.AsSlice()
	copy(unsafe.Slice((*byte)(&c.ip[0]), len(c.ip)), b)
	c.ip_size = C.uint8_t(len(b))
	c.port = C.uint16_t(addr.Port())
	c.scope = C.uint32_t(scope(ip.Zone()))
	return c
}

func scope(zone string) int {
	if i, err := net.InterfaceByName(zone); zone != "" && err == nil {
		return i.Index
	}
	i, _ := strconv.Atoi(zone)
	return i
}

func fromC(c C.struct_cshim_address) netip.AddrPort {
	ip, ok := netip.AddrFromSlice(unsafe.Slice((*byte)(&c.ip[0]), len(c.ip))[:c.ip_size])
	if !ok {
		return netip.AddrPort{}
	}
	if c.scope != 0 {
		ip = ip.WithZone(strconv.Itoa(int(c.scope)))
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(c.port)) // a socket for IPv6 may take IPv4 too
}
