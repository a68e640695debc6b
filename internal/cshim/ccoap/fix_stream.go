package ccoap

// #cgo LDFLAGS: -ldl
// #include "context.h"
// #include "fix_stream_table.h"
// #include "receive.h"
import "C"

import (
	"time"
	"unsafe"
)

// The most options, and bytes of them, that a message over TCP and TLS may have. With more
// the connection is aborted.
const (
	MaxOptions     = int(C.CSHIM_WIRE_OPTIONS)
	MaxOptionBytes = int(C.CSHIM_WIRE_OPTION_BYTES)
)

// StreamLimits bound the connections over TCP and TLS that peers make. One that exceeds
// Requests or Answers is not read from for a while; other limits end it. Those that are 0
// bound nothing. In contexts of a C program they have no meaning.
type StreamLimits struct {
	Requests   int // of a connection that are handled at once
	Answers    int // bytes that the answers to them have, as far as that can be told before
	Waiting    int // bytes that wait to be taken by the peer, of a connection
	AllWaiting int // and of all of a context: the one with most of them is ended
	// connections whose peer has not sent its capabilities: the oldest is ended
	Greeting   int
	GreetingIn time.Duration // in which they must come
	TakesIn    time.Duration // in which something that waits must be taken
}

// LimitStreams sets the limits. It comes before the first endpoint.
func (c *Context) LimitStreams(limits StreamLimits) {
	c.c.streams.limits = C.struct_cshim_stream_limits{
		requests:    C.unsigned(limits.Requests),
		answers:     C.size_t(limits.Answers),
		waiting:     C.size_t(limits.Waiting),
		all_waiting: C.size_t(limits.AllWaiting),
		greeting:    C.unsigned(limits.Greeting),
		greeting_ms: C.int64_t(limits.GreetingIn.Milliseconds()),
		stuck_ms:    C.int64_t(limits.TakesIn.Milliseconds()),
	}
}

// StreamBytes returns how many bytes are taken for what is known of the context's
// connections.
func (c *Context) StreamBytes() int { return int(C.cshim_fix_streams_size(&c.c.streams)) }

// StreamWaiting returns about how many bytes wait to be taken by peers.
func (c *Context) StreamWaiting() int { return int(c.c.streams.waiting) }

// A Wire knows what of a connection libcoap may have.
type Wire struct{ w C.struct_cshim_wire }

// Take takes what has come over the connection, what was kept first, and returns
// how many bytes of it are ready.
func (w *Wire) Take(bytes []byte) (ready int) {
	const any = ^C.unsigned(0)
	p, n := (*C.uint8_t)(unsafe.SliceData(bytes)), C.size_t(len(bytes))
	return int(C.cshim_fix_wire_take(&w.w, p, n, any))
}

// StreamCalls returns how many times libcoap has read from a connection. It may be
// called from any goroutine.
func StreamCalls() uint64 { return uint64(C.cshim_receive_calls()) }
