package coap

import (
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A driver polls a loop: a goroutine of its own waits, on Go's network poller, for the context's
// epoll file descriptor, and the loop's timer calls for retransmissions. Its methods lock the
// loop by themselves.
type driver struct {
	l     *loop
	epoll *os.File        // does not change once the goroutine runs
	ready syscall.RawConn // of epoll
}

// open opens the file that tells when the context has something to do. It locks nothing.
func (d *driver) open(native *ccoap.Context) error {
	fd, err := native.FD()
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return err
	}
	d.epoll = os.NewFile(uintptr(fd), "coap")
	if d.ready, err = d.epoll.SyscallConn(); err != nil {
		d.epoll.Close()
	}
	return err
}

// run polls whenever there is something to do, until the loop is closed or another
// goroutine has taken over.
func (d *driver) run() {
	for open := true; open; {
		var b *batch
		// Read calls the function at first and whenever the file is readable, until
		// it returns true or the file is closed.
		err := d.ready.Read(func(uintptr) bool {
			b, open = d.poll(true)
			return b != nil || !open
		})
		if err != nil {
			return
		}
		if b != nil {
			open = b.run()
		}
	}
}

// tick polls when the timer says so.
func (d *driver) tick() {
	if b, _ := d.poll(false); b != nil {
		b.run()
	}
}

// poll lets libcoap do what there is to do. It returns requests to be handled, if
// any came, and false when the loop is closed. leads is for the batch.
func (d *driver) poll(leads bool) (b *batch, open bool) {
	l := d.l
	for {
		keys := l.config.reloadTicketKeys()
		if l.enter() != nil {
			return nil, false
		}
		if keys != nil {
			l.credentials.tickets.keys = keys
		}
		next := time.Duration(-1)
		if !l.borrowed {
			next = l.native.Poll()
		}
		b, next = l.turn(next, leads)
		l.leave()
		if b != nil || next != 0 {
			return b, true
		}
	}
}

// submit has something sent, at once or by another goroutine.
func (d *driver) submit(s sender) {
	l := d.l
	if l.outbox.put(s) {
		return
	}
	if l.outbox.users.Load() > 1 {
		runtime.Gosched() // those that are ready come along
	}
	l.enterAnyway()
	l.leave()
}

// takeOver has Go run the loop of a context that is borrowed.
func (d *driver) takeOver() error {
	l := d.l
	if err := l.enter(); err != nil {
		return err
	}
	defer l.leave()
	switch {
	case !l.borrowed:
		return errNotLent
	case l.native.Processing():
		return errInCallback
	}
	if err := d.open(l.native); err != nil {
		return err
	}
	l.native.Keep()
	l.borrowed = false
	go d.run()
	return nil
}

// close ends all sessions and endpoints, and frees the context.
func (d *driver) close() error {
	l := d.l
	if err := l.enter(); err != nil {
		return nil
	}
	if l.nested() {
		if !l.borrowed || l.lending > 0 || l.native.Processing() {
			l.leave()
			return errInCallback
		}
		l.unnest() // the program's thread lets go too
	}
	for _, c := range l.conns {
		c.end(net.ErrClosed)
	}
	l.todo.drop() // it is about sessions that are over
	native := l.native
	l.native = nil
	l.timer.stop()
	l.service.stop()
	if l.borrowed {
		native.GiveBack()
		l.leave()
		return nil
	}
	native.Free()
	l.leave()
	return d.epoll.Close()
}
