package coap

import (
	"sync"
	"sync/atomic"
)

// An outbox collects what goroutines want to have sent: the one that is first sends
// for all that come meanwhile, so that they do not queue for the loop's mutex, and
// what goes over one connection leaves together.
type outbox struct {
	users atomic.Int32 // goroutines that have something to send, or may have soon

	mu     sync.Mutex // guards what follows
	queued []sender
	called bool     // somebody is about to flush it
	spare  []sender // for reuse
}

// A sender has something to send. Its deliver is called once, with the loop locked, also
// when the session or the loop is over.
type sender interface {
	deliver()
	over() *conn
}

// put adds something that is to be sent now. It reports whether somebody is about to flush the
// outbox; otherwise the caller must.
func (o *outbox) put(s sender) (called bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queued = append(o.queued, s)
	called = o.called
	o.called = true
	return called
}

// add adds something that is sent when a goroutine next leaves the loop.
func (o *outbox) add(s sender) {
	o.mu.Lock()
	o.queued = append(o.queued, s)
	o.mu.Unlock()
}

func (o *outbox) take() []sender {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.queued
	o.queued, o.spare = o.spare[:0], nil
	o.called = false
	return taken
}

func (o *outbox) reuse(taken []sender) {
	clear(taken)
	o.mu.Lock()
	o.spare = taken
	o.mu.Unlock()
}

// flush sends what is in the outbox.
func (l *loop) flush() {
	for {
		taken := l.outbox.take()
		if len(taken) == 0 {
			return
		}
		for _, s := range taken {
			s.over().cork.queued++
		}
		corked := false
		for _, s := range taken {
			c := s.over()
			c.cork.queued--
			s.deliver() // the last use of s
			corked = corked || c.cork.isStuck()
		}
		if corked && l.native != nil {
			l.native.Push()
		}
		if l.native != nil && l.native.StreamWaiting() > 0 {
			l.timer.arm(streamLimits.TakesIn)
		}
		l.settle()
		l.outbox.reuse(taken)
	}
}

// A cork keeps back what goes over a connection while more for it is in the outbox, so that it
// leaves in few segments.
type cork struct {
	queued int  // senders in the outbox that are still to be called
	in     bool // what was sent last waits for more
}

// push reports whether what is sent now may wait for more, and notes that.
func (k *cork) push() bool {
	k.in = k.queued > 0
	return k.in
}

// isStuck reports whether something waits although no more comes.
func (k *cork) isStuck() bool { return k.in && k.queued == 0 }
