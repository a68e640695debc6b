package coap

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A loop is what drives one libcoap context. Any goroutine may lock it and use
// the context. Nothing that the user wrote runs while it is locked, and nothing
// blocks.
//
// A goroutine of its own waits, on Go's network poller, for the context's epoll
// file descriptor; a timer calls for retransmissions. libcoap's callbacks hand
// messages on and make no calls of libcoap: what needs them is appended to
// events, which unlock deals with.
type loop struct {
	config Config

	mu      sync.Mutex     // serialises libcoap; guards what follows
	native  *ccoap.Context // nil once closed
	conns   map[ccoap.SessionID]*conn
	servers idleList // the server sessions among conns
	events  []func() // what libcoap told, to be dealt with before mu is free
	late    []func() // to be called when mu is free

	handler   Handler       // nil: there is no server
	handling  int           // requests that wait for their answer
	drained   chan struct{} // not nil: new ones are refused; closed when the old are answered
	secured   secured
	greeting  []*conn      // clients over DTLS whose handshakes are not over
	listening bool         // over DTLS or TLS
	udp       []netip.Addr // of the endpoints for UDP
	observers int
	notified  map[notificationID]*observer
	store     blockStore // bodies that are not through

	timer *time.Timer
	due   time.Time // of timer; zero: it is not set

	epoll *os.File
}

var errNoContext = errors.New("libcoap could not make a context")

func newLoop(config Config) (*loop, error) {
	l := &loop{
		config:   config,
		conns:    make(map[ccoap.SessionID]*conn),
		notified: make(map[notificationID]*observer),
	}
	native := ccoap.NewContext(&ccoap.Callbacks{
		Request:  l.onRequest,
		Response: l.onResponse,
		Nack:     l.onNack,
		Empty:    l.onEmpty,
		Pong:     l.onPong,
		Event:    l.onEvent,

		Verify:     l.onVerify,
		PSK:        l.onPSK,
		Hint:       l.onHint,
		ServerName: l.onServerName,
		Accepted:   l.onAccepted,
	})
	if native == nil {
		return nil, errNoContext
	}
	idle := orDefault(config.IdleTimeout, defaultIdleTimeout)
	native.SetIdleTimeout(uint((idle + time.Second - 1) / time.Second))
	raw, err := l.watch(native)
	if err != nil {
		native.Free()
		return nil, err
	}
	l.native = native
	l.timer = time.AfterFunc(time.Hour, func() { l.poll() })
	l.timer.Stop()
	go l.run(raw)
	return l, nil
}

// watch opens the file that tells when the context has something to do.
func (l *loop) watch(native *ccoap.Context) (syscall.RawConn, error) {
	fd, err := native.FD()
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	l.epoll = os.NewFile(uintptr(fd), "coap")
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		l.epoll.Close()
		return nil, err
	}
	return raw, nil
}

func (l *loop) run(raw syscall.RawConn) {
	// Read calls the function at first and whenever the file is readable, until
	// it returns true or the file is closed.
	_ = raw.Read(func(uintptr) bool { return !l.poll() })
}

// poll lets libcoap do what there is to do. It reports false when the loop is
// closed.
func (l *loop) poll() bool {
	for {
		l.mu.Lock()
		if l.native == nil {
			l.mu.Unlock()
			return false
		}
		next := l.native.Poll()
		l.greet()
		if wait := l.sweep(); wait > 0 && (next < 0 || wait < next) {
			next = wait
		}
		if wait := l.store.sweep(); wait > 0 && (next < 0 || wait < next) {
			next = wait
		}
		l.arm(next)
		l.unlock()
		if next != 0 {
			return true
		}
	}
}

// arm sets the timer, unless it is set for an earlier time: then the poll that
// it brings sets it again.
func (l *loop) arm(next time.Duration) {
	if next <= 0 {
		return
	}
	now := time.Now()
	due := now.Add(next)
	if l.due.After(now) && !due.Before(l.due) {
		return
	}
	l.due = due
	l.timer.Reset(next)
}

// lock locks the loop for the use of libcoap, or returns net.ErrClosed.
func (l *loop) lock() error {
	l.mu.Lock()
	if l.native == nil {
		l.mu.Unlock()
		return net.ErrClosed
	}
	return nil
}

// settle deals with what libcoap has told.
func (l *loop) settle() {
	for len(l.events) > 0 {
		events := l.events
		l.events = nil
		for _, f := range events {
			f()
		}
	}
}

// unlock ends every use of libcoap.
func (l *loop) unlock() {
	l.settle()
	late := l.late
	l.late = nil
	l.mu.Unlock()
	for _, f := range late {
		f()
	}
}

// close ends all sessions and endpoints, and frees the context.
func (l *loop) close() error {
	if err := l.lock(); err != nil {
		return nil
	}
	for _, c := range l.conns {
		c.end(net.ErrClosed)
	}
	l.events = nil // of sessions that are no more
	native := l.native
	l.native = nil
	native.Free()
	l.timer.Stop()
	l.unlock()
	return l.epoll.Close()
}
