package cgnutls

import (
	"sync/atomic"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

var liveSessions, liveCredentials, livePriorities, liveAntiReplays, liveBuffers atomic.Int64

// Live is the number of native objects that exist, by kind.
type Live struct {
	Sessions    int64 // gnutls_session_t
	Credentials int64 // gnutls_certificate_credentials_t and the PSK ones
	Priorities  int64 // gnutls_priority_t
	AntiReplays int64 // gnutls_anti_replay_t
	Buffers     int64 // memory that GnuTLS or a shim allocated and Go has yet to free
	Handles     int64 // Go values that C refers to
}

// LiveObjects returns the current counts. It may be called from any
// goroutine.
func LiveObjects() Live {
	return Live{
		Sessions:    liveSessions.Load(),
		Credentials: liveCredentials.Load(),
		Priorities:  livePriorities.Load(),
		AntiReplays: liveAntiReplays.Load(),
		Buffers:     liveBuffers.Load() + nativeBuffers(),
		Handles:     handle.Live(),
	}
}
