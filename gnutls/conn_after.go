package gnutls

import "time"

// A followUp is what a connection sends in the background when its handshake is over: tickets, or
// early data that the server did not take.
type followUp struct {
	send func()        // until it begins; it gets the turn of writing
	done chan struct{} // closed when it has ended; nil where there is none
}

// sendAfter has the pending output sent in the background when the handshake is over, and then
// calls send, which may be nil. The turn of writing is handed over, so that all of it precedes
// data. The next call that writes returns its error.
func (c *Conn) sendAfter(send func() error) {
	done := make(chan struct{})
	c.after = followUp{
		send: func() {
			defer close(done)
			defer c.giveWriter()
			if c.flush() == nil && send != nil {
				send()
			}
		},
		done: done,
	}
}

// begin starts it, and reports whether there was anything to start.
func (f *followUp) begin() bool {
	send := f.send
	if send == nil {
		return false
	}
	f.send = nil
	go send()
	return true
}

// wait waits until it has ended, for some time at most.
func (f *followUp) wait(most time.Duration) {
	if f.done == nil {
		return
	}
	select {
	case <-f.done:
	case <-time.After(most):
	}
}
