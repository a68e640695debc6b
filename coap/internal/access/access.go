// Package access hands the functions that coap does not export to coap/native, which is a
// package of its own because its functions take unsafe pointers. coap registers them.
package access

import "github.com/gnucoap/gnucoap/internal/cshim/ccoap"

// Functions are what coap does for coap/native. Node, Config and Session are those of coap: they
// are parameters because coap imports this package.
type Functions[Node, Config, Session any] struct {
	// Take makes a Node of the coap_context_t of a C program, which goes on to run the loop if it
	// is borrowed.
	Take func(native ccoap.NativeContext, config *Config, borrowed bool) (*Node, error)
	// TakeOver has Go run the loop of a context that is borrowed.
	TakeOver func(*Node) error
	// Use calls f with the coap_context_t of a Node, with the context locked.
	Use func(n *Node, f func(ccoap.NativeContext)) error
	// Wrap returns the Session for a coap_session_t of a C program.
	Wrap func(native ccoap.Session) (*Session, error)
}

var registered any // *Functions

// Register keeps the functions. coap calls it once, when it is initialised.
func Register[Node, Config, Session any](f *Functions[Node, Config, Session]) { registered = f }

// Registered returns the functions that were registered. It panics if the types are not those of
// Register, so that a mistake is found when a program starts.
func Registered[Node, Config, Session any]() *Functions[Node, Config, Session] {
	return registered.(*Functions[Node, Config, Session])
}
