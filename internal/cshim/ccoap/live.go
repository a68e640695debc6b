package ccoap

import (
	"sync/atomic"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

var liveContexts, liveSessions atomic.Int64

// Live is the number of native objects that exist, by kind.
type Live struct {
	Contexts int64 // coap_context_t
	Sessions int64 // references to a coap_session_t
	Handles  int64 // Go values that C refers to
}

// LiveObjects returns the current counts. It may be called from any
// goroutine.
func LiveObjects() Live {
	return Live{
		Contexts: liveContexts.Load(),
		Sessions: liveSessions.Load(),
		Handles:  handle.Live(),
	}
}
