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
		b.l.batches = slices.DeleteFunc(b.l.batches, func(other *batch) bool { return other == b })
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

// takeBatch returns the requests that are to be handled by the goroutine that has
// polled, or nil.
func (l *loop) takeBatch(leads bool) *batch {
	b := l.batch
	if b == nil {
		return nil
	}
	l.batch = nil
	b.begun = time.Now()
	if b.begun.Before(l.slowUntil) {
		b.spreadLocked()
		if len(b.inline) == 0 {
			return nil
		}
	}
	b.leads = leads
	if len(b.jobs) > 0 {
		l.batches = append(l.batches, b)
		l.arm(promptly)
	}
	return b
}

// spread spreads the batches that take too long, and returns when to call it again;
// 0: it need not.
func (l *loop) spread() time.Duration {
	for len(l.batches) > 0 {
		b := l.batches[0]
		if wait := promptly - time.Since(b.begun); wait > 0 {
			return wait
		}
		l.batches = slices.Delete(l.batches, 0, 1)
		if !b.late { // it may be the whole process that was halted
			b.late, b.begun = true, time.Now()
			l.batches = append(l.batches, b)
			continue
		}
		l.slowUntil = time.Now().Add(aWhile)
		b.spreadLocked()
	}
	return 0
}
