package gnutls

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A session is a native session together with what it refers to. It is freed
// once, by Close or by the cleanup of a Conn that was dropped.
type session struct {
	s      *cgnutls.Session
	native *native
}

func (s *session) free() { s.s.Free() }

// A tlsSession is the native session of a connection, which one goroutine at a time may use. Close
// does not wait for a call into C, where a callback may be calling it: the goroutine that leaves C
// after it frees the session.
type tlsSession struct {
	closed atomic.Bool // Close was called

	mu      sync.Mutex // guards what follows and all calls into GnuTLS; never held while waiting
	session *session   // nil before the handshake and after Close
	cleanup runtime.Cleanup
}

// lock takes mu. It reports false, and holds nothing, when the session is gone.
func (t *tlsSession) lock() bool {
	t.mu.Lock()
	if t.session == nil || t.closed.Load() {
		t.unlock()
		return false
	}
	return true
}

// unlock gives mu back.
func (t *tlsSession) unlock() {
	t.mu.Unlock()
	t.release()
}

// release frees the session of a closed connection, unless another goroutine is using it, which
// then does.
func (t *tlsSession) release() {
	if t.closed.Load() && t.mu.TryLock() {
		t.free()
		t.mu.Unlock()
	}
}

// free frees the session. The caller holds mu.
func (t *tlsSession) free() {
	if t.session != nil {
		t.cleanup.Stop()
		t.session.free()
		t.session = nil
	}
}

// replace frees the session and puts s in its place, which is freed when owner is dropped.
func (t *tlsSession) replace(s *session, owner *Conn) {
	t.mu.Lock()
	t.free()
	t.session = s
	t.cleanup = runtime.AddCleanup(owner, (*session).free, s)
	t.unlock() // frees it if Close was called meanwhile
}

// withSession calls f with the native session locked.
func (c *Conn) withSession(f func(*cgnutls.Session)) error {
	if !c.tls.lock() {
		return net.ErrClosed
	}
	defer c.tls.unlock()
	f(c.tls.session.s)
	return nil
}

// queued takes what a call into GnuTLS has queued. The caller holds mu.
func (t *tlsSession) queued(r cgnutls.Result) (tickets []cgnutls.Ticket, keys [][]byte) {
	if r.Tickets {
		tickets = t.session.s.TakeTickets()
	}
	if r.KeyLog {
		keys = t.session.s.TakeKeyLog()
	}
	return tickets, keys
}
