package coap

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

var (
	errNilPointer = errors.New("the pointer is NULL")
	errSession    = errors.New("the session's context is neither adopted nor borrowed")
	errOwnSession = errors.New("the session was opened by Go")
	errLeaving    = errors.New("libcoap is about to free the session")
	errOwnThread  = errors.New("the call would wait for itself: its thread has the context locked")
	errInCallback = errors.New("libcoap, or the C program, uses the context on this thread")
	errNotLent    = errors.New("the context is not borrowed")
	errNotOurs    = errors.New("the C program secures this context; another Node may have sessions with DTLS and TLS")
)

// AdoptContext takes over a coap_context_t that a C program has made. From now on Go
// runs its loop: the program stops calling coap_io_process. Its resources stay: their
// handlers are called as before, by Go's loop. A request that none of them is for goes
// to Handle; so a resource moves to Go when the program calls coap_delete_resource for
// it, and back with coap_add_resource.
//
// Threads: while AdoptContext runs, nobody uses the context. Afterwards the program
// uses it, its sessions and resources in libcoap's callbacks, and else between
// gnucoap_lock and gnucoap_unlock (see gnucoap.h in this directory) or in Native.
// libcoap's callbacks come on threads of Go's, one at a time. What they call of Go
// must not wait for the context: calls that would wait for the peer return an
// error there.
//
// Handlers: libcoap has room for one handler of each kind in a context, and Go takes it:
// for responses, messages that were not taken, events, pings and pongs, and for unknown
// resources (coap_resource_unknown_init). The program's are no longer called, unless it
// names them with gnucoap_set_handlers: then they get what is not for Go. It must not
// register others. Its resource for unknown paths is freed. A DELETE of a resource that
// there is none for is 4.04, not 2.02. The app data of the context and of its sessions
// stays the program's.
//
// Go neither changes nor adds to what secures the context, and opens no sessions with DTLS
// or TLS in it; nor does it change its idle timeout, its largest message, or its block
// mode. A Config that asks for it is refused, but for credentials, which are not used. With
// COAP_BLOCK_SINGLE_BODY it is libcoap that puts the bodies of requests together, also
// those for Go, whatever Config.MaxBody says. /.well-known/core stays libcoap's, which
// lists the program's resources alone. Config.IdleTimeout and Config.MaxSessions say how
// long Go keeps references to sessions of peers: when it gives one back, the session is not
// disconnected.
//
// Ownership: the context is Go's. Close frees it, with the program's resources,
// endpoints and sessions: the program must have given its references to sessions
// back, and not use the context again. The garbage collector does not close it.
// While Go has the context no endpoint must be freed (coap_free_endpoint): libcoap aborts
// where Go has references to its sessions.
//
// libcoap's log stays the program's too, until Go makes a context of its own, which
// ends it for the process.
//
// p must point to a context of the libcoap that this program is linked with. NULL, and
// a context that Go has already, are refused. A nil config means the zero Config. With
// libcoap 4.2.1 the error is ErrNotSupported, see FeatureAdoption.
func AdoptContext(p unsafe.Pointer, config *Config) (*Node, error) {
	return newAdopted(p, config, "adopt", false)
}

// BorrowContext is AdoptContext for a program that goes on to run the loop: it calls
// gnucoap_io_process in place of coap_io_process. It must be called on the thread
// that does so, between two such calls, or before the first.
//
// Threads: that thread has the context locked from now on: it uses it as before. Calls
// from other goroutines wait until it is in gnucoap_io_process, which lets them
// use the context while it waits for the network. So it must be called often, and
// gnucoap_unlock when the loop ends. A goroutine that calls BorrowContext keeps
// its thread, as after runtime.LockOSThread. Go's calls on the thread of the loop, such
// as those of functions that C calls, take effect in the next gnucoap_io_process;
// those that would wait for the peer return an error.
//
// Handlers of requests run on goroutines, also those that are marked with Inline.
// libcoap's callbacks come on the thread of the loop, but those that a call of Go's
// brings about come on that of the call, while the loop waits.
//
// Ownership: the context stays the program's. Close gives it back: references
// to sessions are released, sessions that Go has opened are closed, and the handlers
// that gnucoap_set_handlers has named are registered. It may be called on any thread
// but in a callback of libcoap. Then the program goes on with it as before, and frees
// it; it must not free it earlier. It may also be borrowed or adopted again. Adopt
// takes the loop over, too, and all that Go has in the context stays.
func BorrowContext(p unsafe.Pointer, config *Config) (*Node, error) {
	return newAdopted(p, config, "borrow", true)
}

func newAdopted(p unsafe.Pointer, config *Config, op string, borrowed bool) (*Node, error) {
	if config == nil {
		config = &Config{}
	}
	err := need(FeatureAdoption, "contexts of C programs", true)
	if err == nil && p == nil {
		err = errNilPointer
	}
	if err == nil {
		err = checkLibrary()
	}
	if err == nil {
		err = config.check()
	}
	if err == nil {
		err = config.checkShared()
	}
	var l *loop
	if err == nil {
		l, err = newSharedLoop(p, *config, borrowed)
	}
	if err != nil {
		return nil, &Error{Op: op, Err: err}
	}
	return &Node{l: l}, nil
}

// Adopt has Go run the loop of a context that is borrowed: from now on it is as after
// AdoptContext, and Go's to free. Sessions, requests, observations and the handlers that
// gnucoap_set_handlers has named stay. gnucoap_io_process returns -1, so the program's loop
// ends: at the latest after the time that it may wait, with COAP_IO_WAIT when there is
// traffic. A thread that has the context locked unlocks it with gnucoap_unlock. Any
// goroutine may call Adopt, but not in a callback of libcoap. The error of a closed context
// is net.ErrClosed.
func (c *Node) Adopt() error {
	if err := c.l.adopt(); err != nil {
		return &Error{Op: "adopt", Err: err}
	}
	return nil
}

func (l *loop) adopt() error {
	if err := l.lock(); err != nil {
		return err
	}
	defer l.unlock()
	switch {
	case !l.borrowed:
		return errNotLent
	case l.native.Processing():
		return errInCallback
	}
	if err := l.open(l.native); err != nil {
		return err
	}
	l.native.Keep()
	l.borrowed = false
	go l.run()
	return nil
}

// checkShared finds what a context of a C program cannot have.
func (c *Config) checkShared() error {
	switch {
	case c.resumesClients() || c.resumesServers():
		return fmt.Errorf("sessions that resume: %w", errNotOurs)
	case c.MaxMessage != 0:
		return errors.New("Config.MaxMessage: it is the C program that sets it")
	}
	return nil
}

// newSharedLoop is newLoop for a context of a C program.
func newSharedLoop(p unsafe.Pointer, config Config, borrowed bool) (*loop, error) {
	l := makeLoop(config)
	l.shared, l.borrowed, l.mu.shared = true, borrowed, true
	if ccoap.ForgetsBodies {
		l.requests.shared = make(map[messageID]*incoming)
	}
	// A program's thread may find the loop as soon as there is the native context.
	l.mu.Lock()
	native, err := ccoap.AdoptContext(p, borrowed, l.callbacks())
	if err == nil && !borrowed {
		if err = l.open(native); err != nil {
			native.GiveBack()
		}
	}
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	for _, id := range config.CriticalOptions {
		native.RegisterOption(uint16(id))
	}
	l.native = native
	if borrowed { // it stays locked
		return l, nil
	}
	l.mu.Unlock()
	go l.run()
	return l, nil
}

// program is what the C program calls.
func (l *loop) program() ccoap.Program {
	return ccoap.Program{
		Owner: l,
		Take:  l.mu.take,
		LetGo: l.letGo,
		Wait: func() {
			l.mu.depth = 0
			l.letGo()
		},
		Resume: l.resume,
		Processed: func() {
			b, _ := l.turn(-1, false)
			if b != nil {
				go b.run()
			}
			l.letGo()
			l.resume()
		},
	}
}

// letGo is unlock for the C program, whose thread is kept anyway.
func (l *loop) letGo() {
	if !l.mu.mine() {
		return
	}
	runtime.LockOSThread()
	l.unlock()
}

// resume locks the loop for the C program. It reports whether Go has the context.
func (l *loop) resume() bool {
	l.mu.take()
	if l.native == nil {
		l.mu.letGo()
		return false
	}
	return true
}

// mayWait returns an error where the calling thread has the loop locked.
func (l *loop) mayWait() error {
	if l.mu.mine() {
		return errOwnThread
	}
	return nil
}

// Native calls f with the coap_context_t while nobody else uses it: for calls of
// libcoap that this package has no counterpart for, made with cgo. f must not keep the
// pointer, wait, or use the Node. It must leave alone what this package needs: the
// handlers and the app data of a context, and of its sessions, that Go has made.
func (c *Node) Native(f func(context unsafe.Pointer)) error {
	if err := c.l.lock(); err != nil {
		return &Error{Op: "native", Err: err}
	}
	defer c.l.unlock()
	c.l.lending++
	defer func() { c.l.lending-- }()
	f(c.l.native.Native())
	return nil
}

// WrapSession returns the session for a coap_session_t of a C program: one of a context
// that is adopted or borrowed. It takes a reference, so that the session stays while Go
// uses it: each call must have its Release. Calls with the same pointer return the same
// Session. The program keeps its own references.
//
// Close, and the last Release, give back what Go has: they do not disconnect the
// session, and the program may go on with it. What the program sends over it is not
// Go's business, and the other way round: responses go to who has sent the request.
//
// The session must exist: the caller has a reference, or is in a callback of
// libcoap for the session. NULL, and sessions of other contexts, are refused; and in
// callbacks for a session that libcoap may be about to free: of
// COAP_EVENT_SERVER_SESSION_DEL, and of nacks because the session is over.
func WrapSession(p unsafe.Pointer) (*Session, error) {
	s, err := wrapSession(p)
	if err != nil {
		return nil, &Error{Op: "wrap", Err: err}
	}
	return s, nil
}

func wrapSession(p unsafe.Pointer) (*Session, error) {
	if err := need(FeatureAdoption, "sessions of C programs", true); err != nil {
		return nil, err
	}
	if p == nil {
		return nil, errNilPointer
	}
	l, ok := ccoap.OwnerOf(p).(*loop)
	if !ok {
		return nil, errSession
	}
	if err := l.lock(); err != nil {
		return nil, err
	}
	defer l.unlock()
	native, id, isNew := l.native.Wrap(p)
	if id == 0 {
		return nil, errLeaving
	}
	c := l.conns[id]
	if isNew {
		c = l.newConn(id, native, !native.IsClient(), true)
		if c.server {
			l.list(c).add(c)
		}
		if c.proto == DTLS && !c.isUp {
			l.greeting = append(l.greeting, c)
		}
	}
	if !c.lent {
		return nil, errOwnSession
	}
	c.references++
	return c.session, nil
}
