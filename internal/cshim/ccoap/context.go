package ccoap

/*
#include <stdlib.h>
#include "context.h"
#include "fix_stream_send.h"
#include "polling.h"
*/
import "C"

import (
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// A Context holds endpoints and sessions.
type Context struct {
	c *C.cshim_context
	h handle.Handle[*Callbacks]
}

// NewContext returns a context whose events go to cb, or nil where libcoap cannot
// make one.
//
// Implements:
//
//	coap_context_t *coap_new_context(const coap_address_t *listen_addr);
//	void coap_register_response_handler(coap_context_t *context, coap_response_handler_t handler);
//	void coap_register_nack_handler(coap_context_t *context, coap_nack_handler_t handler);
//	void coap_register_ping_handler(coap_context_t *context, coap_ping_handler_t handler);
//	void coap_register_pong_handler(coap_context_t *context, coap_pong_handler_t handler);
//	void coap_register_event_handler(coap_context_t *context, coap_event_handler_t hnd);
//	coap_resource_t *coap_resource_unknown_init(coap_method_handler_t put_handler);
func NewContext(cb *Callbacks) *Context {
	initLibrary()
	h := handle.New(cb)
	c := C.cshim_context_new(h.Pointer())
	if c == nil {
		h.Delete()
		return nil
	}
	liveContexts.Add(1)
	known.add(c.ctx, nil)
	return &Context{c, h}
}

// Free frees the context with its endpoints. All references to its sessions must
// have been given back.
//
// Implements:
//
//	void coap_free_context(coap_context_t *context);
func (c *Context) Free() {
	known.remove(c.c.ctx)
	C.cshim_context_free(c.c)
	c.h.Delete()
	liveContexts.Add(-1)
}

// SetsMaxMessage says that SetMaxMessage does something.
const SetsMaxMessage = C.CSHIM_SETS_MAX_MESSAGE == 1

// SetMaxMessage says how many bytes a message may have that is received over TCP and TLS,
// which peers are told: 64 at least. It comes before the first session.
//
// Implements:
//
//	void coap_context_set_csm_max_message_size(coap_context_t *context, uint32_t csm_max_message_size);
func (c *Context) SetMaxMessage(bytes uint32) {
	C.cshim_context_set_max_message(c.c, C.uint32_t(bytes))
}

// FD returns a duplicate of the file descriptor that is readable when Poll has
// something to do.
//
// Implements:
//
//	int coap_context_get_coap_fd(const coap_context_t *context);
func (c *Context) FD() (int, error) {
	fd, _, err := syscall.Syscall(syscall.SYS_FCNTL, uintptr(C.coap_context_get_coap_fd(c.c.ctx)),
		syscall.F_DUPFD_CLOEXEC, 0)
	if err != 0 {
		return 0, err
	}
	return int(fd), nil
}

// Poll does the I/O that is possible without waiting, but only so much of it. It
// must be called again after next: 0 says that there is more to do, and a
// negative value that only I/O can bring news.
//
// Implements:
//
//	void coap_io_do_epoll(coap_context_t *ctx, struct epoll_event *events, size_t nevents);
//	unsigned int coap_io_prepare_epoll(coap_context_t *ctx, coap_tick_t now);
func (c *Context) Poll() (next time.Duration) {
	return time.Duration(C.cshim_context_poll(c.c)) * time.Millisecond
}

// Push sends what waits for more.
func (c *Context) Push() { C.cshim_fix_streams_push(&c.c.streams) }

// SetIdleTimeout says after how many seconds without traffic a server session
// that nobody refers to is freed; 0 means 300.
//
// Implements:
//
//	void coap_context_set_session_timeout(coap_context_t *context, unsigned int session_timeout);
func (c *Context) SetIdleTimeout(seconds uint) {
	C.cshim_context_set_idle_timeout(c.c, C.uint(seconds))
}

// SetMaxIdle says how many server sessions that nobody refers to an endpoint for
// datagrams keeps: the one that was used longest ago makes room.
//
// Implements:
//
//	void coap_context_set_max_idle_sessions(coap_context_t *context, unsigned int max_idle_sessions);
func (c *Context) SetMaxIdle(most uint) { C.cshim_context_set_max_idle(c.c, C.uint(most)) }

// RegisterOption makes a critical option known, so that messages that have it
// are not refused.
//
// Implements:
//
//	void coap_register_option(coap_context_t *ctx, uint16_t type);
func (c *Context) RegisterOption(number uint16) {
	C.coap_register_option(c.c.ctx, C.uint16_t(number))
}

// A Protocol is a transport with its security.
type Protocol int

const (
	UDP  = Protocol(C.COAP_PROTO_UDP)
	DTLS = Protocol(C.COAP_PROTO_DTLS)
	TCP  = Protocol(C.COAP_PROTO_TCP)
	TLS  = Protocol(C.COAP_PROTO_TLS)
)

// SetMTU bounds what goes in a datagram of a DTLS handshake, and what may come in the first
// message of a server's session over UDP and DTLS, if it is above what libcoap has. It comes
// before the first session.
func (c *Context) SetMTU(bytes int) { c.c.mtu = C.uint(bytes) }

// Listen makes an endpoint, which lives as long as the context, and returns its
// address. Port 0 is chosen by the system. Calls for any context of the process
// must be serialised.
//
// Implements:
//
//	coap_endpoint_t *coap_new_endpoint(coap_context_t *context,
//		const coap_address_t *listen_addr, coap_proto_t proto);
//	void coap_endpoint_set_default_mtu(coap_endpoint_t *endpoint, unsigned mtu);
//	const char *coap_endpoint_str(const coap_endpoint_t *endpoint);
func (c *Context) Listen(addr netip.AddrPort, proto Protocol) (netip.AddrPort, error) {
	a := toC(addr)
	e, err := C.cshim_endpoint_new(c.c, &a, C.coap_proto_t(proto))
	if e == nil {
		return netip.AddrPort{}, err
	}
	bound, _, _ := strings.Cut(C.GoString(C.coap_endpoint_str(e)), " ")
	return netip.ParseAddrPort(bound)
}
