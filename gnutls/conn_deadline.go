package gnutls

import (
	"errors"
	"net"
	"sync"
	"time"
)

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time after which Read, a handshake and SessionData
// fail with os.ErrDeadlineExceeded; zero means never. It wakes those that wait.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.deadlines.setRead(t) }

// SetWriteDeadline sets the time after which Write and a handshake fail with
// os.ErrDeadlineExceeded; zero means never. It wakes those that wait. Data that
// a Write has reported as written and that could not be sent in time are sent by
// the next Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.deadlines.setWrite(t) }

// deadlines are what the program has set, in place of which the transport may have an earlier one
// for a while. The methods may be called from any goroutine.
type deadlines struct {
	conn net.Conn // the transport

	mu          sync.Mutex // guards what follows
	closed      bool
	read, write time.Time
	interrupted bool          // the transport's read deadline is in the past
	changed     chan struct{} // closed when read changes; nil while nobody waits for that
}

func (d *deadlines) setRead(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.read = t
	d.wakeLocked()
	if d.interrupted {
		return nil
	}
	return d.conn.SetReadDeadline(t)
}

func (d *deadlines) setWrite(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.write = t
	return d.conn.SetWriteDeadline(t)
}

// close makes later deadlines fail, and ends waiting for a change.
func (d *deadlines) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.wakeLocked()
}

// watchRead returns the read deadline, and a channel that is closed when it
// changes or the connection is closed.
func (d *deadlines) watchRead() (changed <-chan struct{}, deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed, d.read
}

func (d *deadlines) wakeLocked() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

var longAgo = time.Unix(1, 0)

// interruptRead ends the waiting of a read of the transport, until resumeRead.
func (d *deadlines) interruptRead() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupted = true
	d.conn.SetReadDeadline(longAgo)
}

func (d *deadlines) resumeRead() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interrupted = false
	d.conn.SetReadDeadline(d.read)
}

// writeExpired reports whether the write deadline has passed.
func (d *deadlines) writeExpired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.write.IsZero() && !time.Now().Before(d.write)
}

// boundWrite gives the transport at most a time to write, until restore is called.
func (d *deadlines) boundWrite(most time.Duration) (restore func()) {
	limit := time.Now().Add(most)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.laterLocked(limit) {
		return func() {}
	}
	d.conn.SetWriteDeadline(limit)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.conn.SetWriteDeadline(d.write)
	}
}

// shortenWrite brings the write deadline forward, where it is later than a time from now.
func (d *deadlines) shortenWrite(most time.Duration) {
	limit := time.Now().Add(most)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.laterLocked(limit) {
		d.write = limit
		d.conn.SetWriteDeadline(limit)
	}
}

func (d *deadlines) laterLocked(limit time.Time) bool {
	return d.write.IsZero() || d.write.After(limit)
}
