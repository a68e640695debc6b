package coap

import (
	"cmp"
	"errors"
	"net"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A loop drives one libcoap context, which is not safe for two threads: one mutex serialises
// all that uses it, and guards the state that Go has beside it.
//
// The lock contract. A goroutine locks the loop in one of two ways:
//
//   - enter and leave stand around calls of libcoap. leave deals with what libcoap told
//     meanwhile and sends what is in the outbox, before the mutex is free.
//   - look and endLook stand around uses of Go's own state.
//
// Which functions lock is told by their type. Those of Session, Node and Server, of driver,
// and of what runs on a user's goroutine (transfer, observation, batch, job, notification,
// Resource) lock by themselves, so they must not be called with the loop locked. All other
// methods, those of loop and conn and of what belongs to them, are called with the loop
// locked, and lock nothing; but they may read what does not change without it. Plain functions
// say it in their comments. No other file but that of the mutex names the mutex, and a test
// in internal/cshim holds all of this.
//
// Nothing that the user wrote runs while the loop is locked (but for the callbacks of
// handshakes), and nothing blocks. libcoap's callbacks run with it locked. They hand messages
// on and do not call libcoap: what needs it is appended to todo, which leave deals with.
type loop struct {
	config Config

	shared   bool // with the C program that has made the native context
	borrowed bool // and the program runs the loop

	mutex     mutex          // serialises libcoap; guards what follows
	native    *ccoap.Context // nil once closed
	endpoints endpoints
	conns     map[ccoap.SessionID]*conn
	idle      idleSessions // the sessions of servers among conns
	todo      todo
	batches   batches
	outbox    outbox // it has a mutex of its own

	service     service
	acks        ackQueue
	credentials credentials
	handshakes  handshakes
	observers   observers
	hearers     map[messageID]hearer // by what it has sent
	confirmed   map[messageID]*conn  // by what came last
	store       blockStore           // bodies that are not through
	validation  validation
	requests    requestLog

	lending int // calls of Node.Native that run

	timer  pollTimer
	driver driver
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
	if l.credentials.priority != nil {
		native.SetPriority(l.credentials.priority.refs())
	}
	l.registerCritical(native)
	if config.MaxMessage != 0 {
		native.SetMaxMessage(uint32(config.MaxMessage))
	}
	if err := l.driver.open(native); err != nil {
		native.Free()
		return nil, err
	}
	l.native = native
	go l.driver.run()
	return l, nil
}

func makeLoop(config Config) *loop {
	l := &loop{
		config:     config,
		conns:      make(map[ccoap.SessionID]*conn),
		hearers:    make(map[messageID]hearer),
		validation: validation{proofs: make(map[messageID]*conn)},
		requests:   requestLog{most: loggedBytes},
	}
	l.driver.l = l
	l.batches.l = l
	l.idle.config, l.observers.config = &l.config, &l.config
	l.timer.init(l.driver.tick)
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

		Program: program{l}.functions(),
	}
}

// turn does the work that follows I/O, and the work whose time has come. It returns the requests
// to handle, if any came, and the time until the next turn, which is at most next.
func (l *loop) turn(next time.Duration, leads bool) (*batch, time.Duration) {
	l.settle() // what is refused at once is answered before its session may go
	sweeps := []func() time.Duration{
		l.handshakes.sweep,
		l.idle.sweep,
		l.store.sweep,
		l.batches.spread,
		l.acks.send,
	}
	for _, sweep := range sweeps {
		if wait := sweep(); wait > 0 && (next < 0 || wait < next) {
			next = wait
		}
	}
	l.timer.arm(next)
	l.settle()
	return l.batches.take(leads), next
}

// enter locks the loop for the use of libcoap, or returns net.ErrClosed.
func (l *loop) enter() error {
	l.mutex.Lock()
	if l.native == nil {
		l.mutex.Unlock()
		return net.ErrClosed
	}
	return nil
}

// settle deals with what libcoap has told.
func (l *loop) settle() {
	if !l.mutex.nested() {
		l.todo.run()
	}
}

// leave ends every use of libcoap. Where the thread has locked the loop more than once,
// the rest is left to the last leave: libcoap may be in a callback.
func (l *loop) leave() {
	if l.mutex.nested() {
		l.mutex.Unlock()
		return
	}
	for {
		l.settle()
		l.flush()
		late := l.todo.takeUnlocked()
		l.mutex.Unlock()
		if len(late) == 0 {
			return
		}
		for _, f := range late {
			f()
		}
		l.mutex.Lock()
	}
}

// nested reports whether the thread that has the loop locked has locked it more than once, and
// unnest makes that once. Only that of a C program can have.
func (l *loop) nested() bool { return l.mutex.nested() }

func (l *loop) unnest() { l.mutex.depth = 0 }

// look locks the loop for a use of Go's own state, also where it is closed.
func (l *loop) look() { l.mutex.Lock() }

func (l *loop) endLook() { l.mutex.Unlock() }

// mayWait returns an error where the calling thread has the loop locked, which only that of a
// C program can have. It is called without the lock.
func (l *loop) mayWait() error {
	if l.mutex.mine() {
		return errOwnThread
	}
	return nil
}

// enterAnyway is enter, also where the loop is closed: leave tells those that have left
// something in the outbox.
func (l *loop) enterAnyway() { l.mutex.Lock() }
