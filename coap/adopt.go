package coap

import (
	"errors"
	"fmt"

	"github.com/gnucoap/gnucoap/coap/internal/access"
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
	errNotOurs    = errors.New(
		"the C program secures this context; another Node may have sessions with DTLS and TLS")
)

func init() {
	access.Register(&access.Functions[Node, Config, Session]{
		Take: takeContext, TakeOver: (*Node).takeOver, Use: (*Node).use, Wrap: wrapSession,
	})
}

// takeContext is native.Adopt, and native.Borrow.
func takeContext(native ccoap.NativeContext, config *Config, borrowed bool) (*Node, error) {
	if config == nil {
		config = &Config{}
	}
	err := need(FeatureAdoption, "contexts of C programs", true)
	if err == nil && native.IsNil() {
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
		l, err = newSharedLoop(native, *config, borrowed)
	}
	if err != nil {
		op := "adopt"
		if borrowed {
			op = "borrow"
		}
		return nil, &Error{Op: op, Err: err}
	}
	return &Node{l: l}, nil
}

// takeOver is native.TakeOver.
func (n *Node) takeOver() error {
	if err := n.l.driver.takeOver(); err != nil {
		return &Error{Op: "adopt", Err: err}
	}
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

// use is native.Use.
func (n *Node) use(f func(ccoap.NativeContext)) error {
	if err := n.l.enter(); err != nil {
		return &Error{Op: "native", Err: err}
	}
	defer n.l.leave()
	n.l.lending++
	defer func() { n.l.lending-- }()
	f(n.l.native.Native())
	return nil
}

// wrapSession is native.WrapSession.
func wrapSession(native ccoap.Session) (*Session, error) {
	s, err := wrap(native)
	if err != nil {
		return nil, &Error{Op: "wrap", Err: err}
	}
	return s, nil
}

func wrap(native ccoap.Session) (*Session, error) {
	if err := need(FeatureAdoption, "sessions of C programs", true); err != nil {
		return nil, err
	}
	if native.IsNil() {
		return nil, errNilPointer
	}
	l, ok := native.Owner().(*loop)
	if !ok {
		return nil, errSession
	}
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.leave()
	id, isNew := l.native.Wrap(native)
	if id == 0 {
		return nil, errLeaving
	}
	c := l.conns[id]
	if isNew {
		c = l.newConn(id, native, !native.IsClient(), true)
		if c.server {
			l.idle.add(c)
		}
		if c.proto == DTLS && !c.ready.isUp {
			l.handshakes.add(c)
		}
	}
	if !c.lent {
		return nil, errOwnSession
	}
	c.usage.references++
	return c.session, nil
}
