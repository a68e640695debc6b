// Package native is for programs that share libcoap objects between C and Go: Adopt and Borrow
// take over the context of a C program, which can then move to Go one resource after another
// (docs/migration.md); WrapSession makes a coap.Session of one of its sessions; and Use gives the
// coap_context_t of a coap.Node to code that calls libcoap itself, through cgo.
//
// C programs include gnucoap.h, which lies in this directory. All of it needs
// coap.FeatureAdoption, except Use.
package native

import (
	"unsafe"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/internal/access"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

var functions = access.Registered[coap.Node, coap.Config, coap.Session]()

// Adopt takes over a coap_context_t that a C program has made. From now on Go runs its loop: the
// program stops calling coap_io_process. Its resources stay: their handlers are called as before,
// by Go's loop. Node.Handle gets the requests for which the program has no resource. So a resource
// moves to Go when the program calls coap_delete_resource for it, and back with
// coap_add_resource.
//
// Threads: nobody may use the context while Adopt runs. Afterwards the program may use it, its
// sessions and its resources in libcoap's callbacks, between gnucoap_lock and gnucoap_unlock (see
// gnucoap.h in this directory), and in Use. libcoap's callbacks come on threads of the Go
// runtime, one at a time. Go functions that they call must not wait for the context: calls that
// would wait for the peer return an error there.
//
// Handlers: libcoap has room for one handler of each kind in a context, and Go takes it: for
// responses, messages that failed (nack), events, pings and pongs, and for unknown resources
// (coap_resource_unknown_init). The program's handlers are no longer called unless it names them
// with gnucoap_set_handlers: then they get what is not for Go. The program must not register
// others. Its resource for unknown paths is freed. A DELETE of a resource that does not exist is
// answered with 4.04, not 2.02. The app data of the context and of its sessions stays the
// program's.
//
// Security and limits: Go does not change what secures the context, and opens no sessions with DTLS
// or TLS in it; nor does it change the context's idle timeout, largest message, or block mode. A
// Config that asks for any of these is refused, except that credentials are ignored. With
// COAP_BLOCK_SINGLE_BODY libcoap puts the bodies of requests together, including those for Go,
// whatever Config.MaxBody says; libcoap 4.3.1 crashes in that mode, with or without Go, when the
// last block of a request without Size1 comes twice. /.well-known/core stays libcoap's, and lists
// only the program's resources. Config.IdleTimeout and Config.MaxSessions say how long Go keeps
// references to the sessions of peers; when it gives one back, the session is not disconnected.
//
// Ownership: the context is Go's. Close frees it, with the program's resources, endpoints and
// sessions: before that the program must have given back its references to sessions, and it must
// not use the context again. The garbage collector does not close it. While Go has the context no
// endpoint may be freed (coap_free_endpoint): libcoap aborts if Go has references to its sessions.
//
// libcoap's log stays the program's too, until Go makes a context of its own, which ends the log
// for the whole process.
//
// p must point to a context of the libcoap that this program is linked with. NULL, and a context
// that Go already has, are refused. A nil config means the zero Config. With libcoap 4.2.1 the
// error is coap.ErrNotSupported (coap.FeatureAdoption).
func Adopt(p unsafe.Pointer, config *coap.Config) (*coap.Node, error) {
	return functions.Take(ccoap.NativeContextAt(p), config, false)
}

// Borrow is Adopt for a program that continues to run the loop: it calls gnucoap_io_process in
// place of coap_io_process. Borrow must be called on the thread that does so, between two such
// calls, or before the first.
//
// Threads: from now on that thread has the context locked, and uses it as before. Calls from
// other goroutines wait until it is in gnucoap_io_process, which lets them use the context while
// it waits for the network. So that function must be called often, and gnucoap_unlock when the
// loop ends. A goroutine that calls Borrow keeps its thread, as after runtime.LockOSThread. Calls
// of Go on the thread of the loop, such as those of functions that C calls, take effect in the
// next gnucoap_io_process; those that would wait for the peer return an error.
//
// Handlers of requests run on goroutines, including those that are marked with coap.Inline.
// libcoap's callbacks come on the thread of the loop, except that those which a call from Go
// causes come on the thread of that call, while the loop waits.
//
// Ownership: the context stays the program's. Close gives it back: references to sessions are
// released, sessions that Go has opened are closed, and the handlers that gnucoap_set_handlers has
// named are registered. Close may be called on any thread, but not in a callback of libcoap. Then
// the program continues with the context as before, and frees it; it must not free it earlier. Go's
// resource for unknown paths stays in the context and answers 4.04: libcoap does not tell whether
// the program has replaced it. The context may also be borrowed or adopted again. TakeOver makes it
// an adopted one, and everything that Go has in the context stays.
func Borrow(p unsafe.Pointer, config *coap.Config) (*coap.Node, error) {
	return functions.Take(ccoap.NativeContextAt(p), config, true)
}

// TakeOver has Go run the loop of a context that is borrowed: from now on it is as after Adopt,
// and Go's to free. Sessions, requests, observations and the handlers that gnucoap_set_handlers
// has named stay. gnucoap_io_process returns -1, so the program's loop ends: at the latest after
// the time that it may wait, or with COAP_IO_WAIT at the next traffic. A thread that has the
// context locked unlocks it with gnucoap_unlock. Any goroutine may call TakeOver, but not in a
// callback of libcoap. The error for a closed Node is net.ErrClosed.
func TakeOver(n *coap.Node) error { return functions.TakeOver(n) }

// Use calls f with the coap_context_t of a Node while nobody else uses it: for calls of libcoap
// that package coap does not offer, made with cgo. f must not keep the pointer, wait, or use the
// Node. It must leave alone what package coap needs: the handlers and the app data of contexts
// and sessions that Go has made. The error for a closed Node is net.ErrClosed.
func Use(n *coap.Node, f func(context unsafe.Pointer)) error {
	return functions.Use(n, func(context ccoap.NativeContext) { f(context.Pointer()) })
}

// WrapSession returns the Session for a coap_session_t of a C program: one whose context is
// adopted or borrowed. It takes a reference, so that the session stays while Go uses it: each
// call must be matched by a Release. Calls with the same pointer return the same Session. The
// program keeps its own references.
//
// Session.Close, and the last Session.Release, give back Go's references: they do not disconnect
// the session, and the program may continue to use it. What the program sends over it is not
// visible to Go, and the other way round: a response goes to the side that sent the request.
//
// The session must exist: the caller has a reference, or is in a callback of libcoap for the
// session. NULL and sessions of other contexts are refused, and in callbacks also a session that
// libcoap may be about to free: during COAP_EVENT_SERVER_SESSION_DEL, and during nacks that come
// because the session has ended.
func WrapSession(p unsafe.Pointer) (*coap.Session, error) {
	return functions.Wrap(ccoap.SessionAt(p))
}
