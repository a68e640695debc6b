package coap

import "net/netip"

// The endpoints of a loop.
type endpoints struct {
	udp    []netip.Addr // that are for UDP
	secure bool         // there is one for DTLS or TLS
}

func (e *endpoints) add(addr netip.Addr, proto Protocol) {
	if proto == UDP {
		e.udp = append(e.udp, addr)
	}
}

// hear reports whether messages for a group reach an endpoint.
func (e *endpoints) hear(group netip.Addr) bool {
	for _, addr := range e.udp {
		if addr.IsUnspecified() && (group.Is4() || addr.Is6()) {
			return true
		}
	}
	return false
}
