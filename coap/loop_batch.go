package coap

import (
	"slices"
	"sync/atomic"
	"time"
)

// A batch of requests came in one poll. The goroutine that has polled handles one
// after another, sends all responses, and polls again: for handlers that are fast
// that is much cheaper than a goroutine for each. When it takes longer than promptly,
// twice, the requests that are left get goroutines of their own, another goroutine
// polls, and for a while requests get goroutines at once.
type batch struct {
	l      *loop
	inline []job // those of handlers that are marked with Inline, which come first
	jobs   []job
	next   atomic.Int32 // of jobs
	begun  time.Time
	late   bool // it has taken longer than promptly
	leads  bool // the goroutine is the one of loop.run
}

const (
	promptly = time.Millisecond
	aWhile   = 20 * time.Millisecond
)

// runTogether leaves the response in the outbox.
func (j *job) runTogether() {
	j.together = true
	j.run()
}

// claim returns a job that nobody runs, or nil.
func (b *batch) claim() *job {
	if i := int(b.next.Add(1)) - 1; i < len(b.jobs) {
		return &b.jobs[i]
	}
	return nil
}

// run runs the jobs. It reports whether its caller is still the one that polls.
func (b *batch) run() (leads bool) {
	returned := false
	defer func() {
		b.l.enterAnyway()
		b.l.batches.remove(b)
		if !returned { // a handler has called runtime.Goexit
			for i := range b.inline {
				go b.inline[i].run()
			}
			b.spreadLocked()
		}
		leads = b.leads
		b.l.leave()
	}()
	for len(b.inline) > 0 {
		j := &b.inline[0]
		b.inline = b.inline[1:]
		j.runTogether()
	}
	for j := b.claim(); j != nil; j = b.claim() {
		j.runTogether()
	}
	returned = true
	return
}

// spreadLocked gives what nobody runs goroutines of their own, and what the goroutine does
// beside to another one.
func (b *batch) spreadLocked() {
	for j := b.claim(); j != nil; j = b.claim() {
		go j.run()
	}
	if b.leads {
		b.leads = false
		go b.l.driver.run()
	}
}

// The batches of a loop.
type batches struct {
	l         *loop
	coming    *batch    // of the requests that come in this poll, or nil
	running   []*batch  // the oldest first
	slowUntil time.Time // requests get goroutines at once
}

// add adds a request that came in this poll. inline says that its handler is marked so.
func (s *batches) add(j job, inline bool) {
	if s.coming == nil {
		s.coming = &batch{l: s.l}
	}
	if inline {
		s.coming.inline = append(s.coming.inline, j)
	} else {
		s.coming.jobs = append(s.coming.jobs, j)
	}
}

// take returns the requests that are to be handled by the goroutine that has polled, or nil.
// leads is for the batch.
func (s *batches) take(leads bool) *batch {
	b := s.coming
	if b == nil {
		return nil
	}
	s.coming = nil
	b.begun = time.Now()
	if b.begun.Before(s.slowUntil) {
		b.spreadLocked()
		if len(b.inline) == 0 {
			return nil
		}
	}
	b.leads = leads
	if len(b.jobs) > 0 {
		s.running = append(s.running, b)
		s.l.timer.arm(promptly)
	}
	return b
}

func (s *batches) remove(b *batch) {
	s.running = slices.DeleteFunc(s.running, func(other *batch) bool { return other == b })
}

// spread spreads the batches that take too long, and returns when to call it again;
// 0: it need not.
func (s *batches) spread() time.Duration {
	for len(s.running) > 0 {
		b := s.running[0]
		if wait := promptly - time.Since(b.begun); wait > 0 {
			return wait
		}
		s.running = slices.Delete(s.running, 0, 1)
		if !b.late { // it may be the whole process that was halted
			b.late, b.begun = true, time.Now()
			s.running = append(s.running, b)
			continue
		}
		s.slowUntil = time.Now().Add(aWhile)
		b.spreadLocked()
	}
	return 0
}
