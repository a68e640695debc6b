package coap

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
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

	shared   bool // with the C program that has made the native context
	borrowed bool // and the program runs the loop

	mu        mutex          // serialises libcoap; guards what follows
	native    *ccoap.Context // nil once closed
	conns     map[ccoap.SessionID]*conn
	servers   idleList // the server sessions among conns whose peers are verified
	strangers idleList // the other server sessions
	events    []func() // what libcoap told, to be dealt with before mu is free
	late      []func() // to be called when mu is free
	batch     *batch   // of requests, to be handled when mu is free
	batches   []*batch // that run, the oldest first

	slowUntil time.Time // requests get goroutines at once
	outbox    outbox    // what is to be sent; it has a mutex of its own

	handler   Handler       // nil: there is no server
	proxy     Handler       // nil: there is none
	handling  int           // requests that wait for their answer
	unacked   []*incoming   // confirmable requests, the oldest first; some are answered
	drained   chan struct{} // not nil: new ones are refused; closed when the old are answered
	secured   secured
	priority  *priority    // of sessions over DTLS and TLS; nil: libcoap's; does not change
	greeting  []*conn      // over DTLS, whose handshakes are not over
	listening bool         // over DTLS or TLS
	udp       []netip.Addr // of the endpoints for UDP
	opening   *security
	fresh     bool // client sessions offer no session to resume; does not change
	tickets   serverTickets
	observers int
	observing shares               // of the observers
	asked     int                  // whether they are there
	hearers   map[messageID]hearer // by what it has sent
	confirmed map[messageID]*conn  // by what came last
	store     blockStore           // bodies that are not through
	proofs    map[messageID]*conn  // whose address an acknowledgement proves
	credit    credit
	requests  requestLog

	lending int // calls of Node.Native that run

	timer *time.Timer
	due   time.Time // of timer; zero: it is not set

	epoll *os.File
	ready syscall.RawConn // of epoll
}

var errNoContext = errors.New("libcoap could not make a context")

func newLoop(config Config) (*loop, error) {
	l := makeLoop(config)
	if err := cmp.Or(l.prepareTickets(), l.preparePriority()); err != nil {
		return nil, err
	}
	native := ccoap.NewContext(l.callbacks())
	if native == nil {
		return nil, errNoContext
	}
	idle := orDefault(config.IdleTimeout, defaultIdleTimeout)
	native.SetIdleTimeout(uint((idle + time.Second - 1) / time.Second))
	native.SetMaxIdle(uint(config.maxStrangers()))
	native.HearOfTLS(l.config.resumesServers())
	native.LimitStreams(l.config.streamLimits())
	native.SetMTU(l.config.MTU)
	if l.priority != nil {
		native.SetPriority(l.priority.pointers())
	}
	l.registerCritical(native)
	if config.MaxMessage != 0 {
		native.SetMaxMessage(uint32(config.MaxMessage))
	}
	if err := l.open(native); err != nil {
		native.Free()
		return nil, err
	}
	l.native = native
	go l.run()
	return l, nil
}

func makeLoop(config Config) *loop {
	l := &loop{
		config:   config,
		conns:    make(map[ccoap.SessionID]*conn),
		hearers:  make(map[messageID]hearer),
		proofs:   make(map[messageID]*conn),
		requests: requestLog{most: loggedBytes},
	}
	l.timer = time.AfterFunc(time.Hour, func() {
		if b, _ := l.poll(false); b != nil {
			b.run()
		}
	})
	l.timer.Stop()
	return l
}

func (l *loop) callbacks() *ccoap.Callbacks {
	return &ccoap.Callbacks{
		Request:  l.onRequest,
		Session:  l.onSession,
		Response: l.onResponse,
		Nack:     l.onNack,
		Heard:    l.onHeard,
		Pong:     l.onPong,
		Event:    l.onEvent,

		Unfinished: l.onUnfinished,
		Exhausted:  l.onExhausted,

		Verify:     l.onVerify,
		PSK:        l.onPSK,
		Hint:       l.onHint,
		ServerName: l.onServerName,
		Accepted:   l.onAccepted,
		TLS:        l.onTLS,
		Secured:    l.onSecured,
		Handshake:  l.onHandshake,

		Program: l.program(),
	}
}

// open opens the file that tells when the context has something to do.
func (l *loop) open(native *ccoap.Context) error {
	fd, err := native.FD()
	if err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return err
	}
	l.epoll = os.NewFile(uintptr(fd), "coap")
	if l.ready, err = l.epoll.SyscallConn(); err != nil {
		l.epoll.Close()
	}
	return err
}

// run polls whenever there is something to do, until the loop is closed or another
// goroutine has taken over.
func (l *loop) run() {
	for open := true; open; {
		var b *batch
		// Read calls the function at first and whenever the file is readable, until
		// it returns true or the file is closed.
		err := l.ready.Read(func(uintptr) bool {
			b, open = l.poll(true)
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

// poll lets libcoap do what there is to do. It returns requests to be handled, if
// any came, and false when the loop is closed. leads is for the batch.
func (l *loop) poll(leads bool) (b *batch, open bool) {
	for {
		keys := l.reloadTicketKeys()
		l.mu.Lock()
		if l.native == nil {
			l.mu.Unlock()
			return nil, false
		}
		if keys != nil {
			l.tickets.keys = keys
		}
		next := time.Duration(-1)
		if !l.borrowed {
			next = l.native.Poll()
		}
		b, next = l.turn(next, leads)
		l.unlock()
		if b != nil || next != 0 {
			return b, true
		}
	}
}

// turn does what follows I/O, and is due at other times. It returns requests to be
// handled, if any came, and when the next turn is due, which is next at the latest.
func (l *loop) turn(next time.Duration, leads bool) (*batch, time.Duration) {
	l.settle() // what is refused at once is answered before its session may go
	for _, sweep := range []func() time.Duration{l.greet, l.sweep, l.store.sweep, l.spread, l.acknowledge} {
		if wait := sweep(); wait > 0 && (next < 0 || wait < next) {
			next = wait
		}
	}
	l.arm(next)
	l.settle()
	return l.takeBatch(leads), next
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
	for len(l.events) > 0 && !l.mu.nested() {
		events := l.events
		l.events = nil
		for _, f := range events {
			f()
		}
	}
}

// unlock ends every use of libcoap. Where the thread has locked the loop more than once,
// the rest is left to the last unlock: libcoap may be in a callback.
func (l *loop) unlock() {
	if l.mu.nested() {
		l.mu.Unlock()
		return
	}
	for {
		l.settle()
		l.flush()
		late := l.late
		l.late = nil
		l.mu.Unlock()
		if len(late) == 0 {
			return
		}
		for _, f := range late {
			f()
		}
		l.mu.Lock()
	}
}

// close ends all sessions and endpoints, and frees the context.
func (l *loop) close() error {
	if err := l.lock(); err != nil {
		return nil
	}
	if l.mu.nested() {
		if !l.borrowed || l.lending > 0 || l.native.Processing() {
			l.unlock()
			return errInCallback
		}
		l.mu.depth = 0 // the program's thread lets go too
	}
	for _, c := range l.conns {
		c.end(net.ErrClosed)
	}
	l.events = nil // of sessions that are no more
	native := l.native
	l.native = nil
	l.timer.Stop()
	l.endDrain()
	if l.borrowed {
		native.GiveBack()
		l.unlock()
		return nil
	}
	native.Free()
	l.unlock()
	return l.epoll.Close()
}
