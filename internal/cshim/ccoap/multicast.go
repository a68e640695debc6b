package ccoap

/*
#include <stdlib.h>
#include "multicast.h"
*/
import "C"

import (
	"errors"
	"net/netip"
	"unsafe"
)

// JoinsAnyGroup says that groups of IPv4 can be joined, and on an interface that
// is named.
const JoinsAnyGroup = C.CSHIM_JOINS_ANY_GROUP == 1

// JoinGroup has the UDP endpoints join a group, which has no zone. There must be
// an endpoint. The interface is the system's choice where it is "".
//
// Implements:
//
//	int coap_join_mcast_group_intf(coap_context_t *ctx, const char *groupname, const char *ifname);
func (c *Context) JoinGroup(group netip.Addr, network string) error {
	name := C.CString(group.String())
	defer C.free(unsafe.Pointer(name))
	var on *C.char
	if network != "" {
		on = C.CString(network)
		defer C.free(unsafe.Pointer(on))
	}
	n, err := C.cshim_multicast_join(c.c, name, on)
	switch {
	case n == 0:
		return nil
	case err == nil:
		return errJoin
	}
	return err
}

// SetHops bounds how many hops messages take. The session is a client's with a group.
//
// Implements:
//
//	int coap_mcast_set_hops(coap_session_t *session, size_t hops);
func (s Session) SetHops(hops int) error {
	if n, err := C.cshim_multicast_hops(s.s, C.size_t(hops)); n != 0 {
		return err
	}
	return nil
}

var errJoin = errors.New("libcoap could not join the group")
