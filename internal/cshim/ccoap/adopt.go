package ccoap

/*
#include <stdlib.h>
#include "adopt.h"
#include "context.h"
#include "session.h"
*/
import "C"

import (
	"errors"
	"sync"
	"syscall"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// Adopts says that contexts that a C program has made can be adopted.
const Adopts = bool(C.CSHIM_ADOPTS != 0)

// Program are what a C program calls, through the functions of gnucoap.h, on its
// threads.
type Program struct {
	Owner any // whose functions these are
	// Take locks the context for the calling thread, and LetGo undoes it.
	Take, LetGo func()
	// Wait unlocks the context, and Resume locks it again. That reports whether
	// Go still has it.
	Wait   func()
	Resume func() bool
	// Processed is called after I/O, with the context locked.
	Processed func()
}

// contexts are the contexts that Go has, and the functions that C programs may call for theirs.
// A program may call them after the context is gone, so they are not found by a handle.
type contexts struct {
	mu       sync.Mutex
	programs map[*C.coap_context_t]*Program
}

var known = contexts{programs: make(map[*C.coap_context_t]*Program)}

func (c *contexts) add(ctx *C.coap_context_t, p *Program) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.programs[ctx]; ok {
		return false
	}
	c.programs[ctx] = p
	return true
}

func (c *contexts) remove(ctx *C.coap_context_t) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.programs, ctx)
}

func (c *contexts) find(ctx *C.coap_context_t) *Program {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.programs[ctx]
}

// ErrAdopted says that Go has a context already.
var ErrAdopted = errors.New("the context is adopted or borrowed already, or Go has made it")

// A NativeContext refers to a coap_context_t. The zero value refers to none.
type NativeContext struct{ ctx *C.coap_context_t }

// NativeContextAt returns the context that p, a coap_context_t, is.
func NativeContextAt(p unsafe.Pointer) NativeContext {
	return NativeContext{(*C.coap_context_t)(p)}
}

// IsNil reports whether c refers to none.
func (c NativeContext) IsNil() bool { return c.ctx == nil }

// Pointer returns the coap_context_t.
func (c NativeContext) Pointer() unsafe.Pointer { return unsafe.Pointer(c.ctx) }

// SessionAt returns the session that p, a coap_session_t, is. It takes no reference.
func SessionAt(p unsafe.Pointer) Session { return Session{(*C.coap_session_t)(p)} }

// IsNil reports whether s refers to no session.
func (s Session) IsNil() bool { return s.s == nil }

// AdoptContext takes a context that a C program has made. borrowed
// says that the program goes on to run its loop. It is nil where memory is short.
//
// Implements:
//
//	void coap_register_response_handler(coap_context_t *context, coap_response_handler_t handler);
//	void coap_register_nack_handler(coap_context_t *context, coap_nack_handler_t handler);
//	void coap_register_ping_handler(coap_context_t *context, coap_ping_handler_t handler);
//	void coap_register_pong_handler(coap_context_t *context, coap_pong_handler_t handler);
//	void coap_register_event_handler(coap_context_t *context, coap_event_handler_t hnd);
//	coap_resource_t *coap_resource_unknown_init(coap_method_handler_t put_handler);
//	void coap_add_resource(coap_context_t *context, coap_resource_t *resource);
func AdoptContext(native NativeContext, borrowed bool, cb *Callbacks) (*Context, error) {
	ctx := native.ctx
	if !known.add(ctx, &cb.Program) {
		return nil, ErrAdopted
	}
	h := handle.New(cb)
	interpose()
	c := C.cshim_context_adopt(ctx, h.Pointer(), C.bool(borrowed))
	if c == nil {
		h.Delete()
		known.remove(ctx)
		return nil, syscall.ENOMEM
	}
	liveContexts.Add(1)
	return &Context{c, h}, nil
}

// GiveBack gives a context that AdoptContext has returned back to the program. All
// references to its sessions must have been given back.
func (c *Context) GiveBack() {
	known.remove(c.c.ctx)
	C.cshim_context_give_back(c.c)
	c.h.Delete()
	liveContexts.Add(-1)
}

// Keep ends the program's loop for a context that was borrowed.
func (c *Context) Keep() { C.cshim_adoption_keep(c.c) }

// Native returns the coap_context_t.
func (c *Context) Native() NativeContext { return NativeContext{c.c.ctx} }

// Processing reports whether libcoap is at work in gnucoap_io_process.
func (c *Context) Processing() bool { return bool(C.cshim_adoption_processing(c.c)) }

// Owner returns the Program.Owner of the session's context, or nil where the context is not
// adopted.
//
// Implements:
//
//	coap_context_t *coap_session_get_context(const coap_session_t *session);
func (s Session) Owner() any {
	program := known.find(C.cshim_session_context(s.s))
	if program == nil {
		return nil
	}
	return program.Owner
}

// Wrap takes a reference to a session of the context, unless Go has one: isNew tells. The
// id is 0 for a session that libcoap is about to free.
//
// Implements:
//
//	coap_session_t *coap_session_reference(coap_session_t *session);
func (c *Context) Wrap(s Session) (id SessionID, isNew bool) {
	var first C.bool
	id = SessionID(C.cshim_adoption_wrap(c.c, s.s, &first))
	if first {
		liveSessions.Add(1)
	}
	return id, bool(first)
}

// CancelObserve ends the observation that a request with the token has begun, confirmably.
// It does so in the block mode of libcoap, which is a C program's choice, and reports
// false elsewhere, and where libcoap does not know the observation.
//
// Implements:
//
//	int coap_cancel_observe(coap_session_t *session, coap_binary_t *token, coap_pdu_type_t message_type);
func (s Session) CancelObserve(token []byte) bool {
	return bool(C.cshim_adoption_cancel_observe(s.s, (*C.uint8_t)(unsafe.SliceData(token)),
		C.size_t(len(token))))
}

// IsClient reports whether this side has opened the session.
//
// Implements:
//
//	coap_session_type_t coap_session_get_type(const coap_session_t *session);
func (s Session) IsClient() bool { return bool(C.cshim_session_is_client(s.s)) }

//export goCoapTake
func goCoapTake(ctx *C.coap_context_t) C.int {
	p := known.find(ctx)
	if p == nil {
		return 0
	}
	p.Take()
	if known.find(ctx) == p {
		return 1
	}
	p.LetGo() // it was given back meanwhile
	return 0
}

//export goCoapLetGo
func goCoapLetGo(ctx *C.coap_context_t) {
	if p := known.find(ctx); p != nil {
		p.LetGo()
	}
}

//export goCoapWait
func goCoapWait(ctx *C.coap_context_t) { known.find(ctx).Wait() }

//export goCoapResume
func goCoapResume(ctx *C.coap_context_t) C.int {
	p := known.find(ctx)
	return cBool(p != nil && p.Resume())
}

//export goCoapProcessed
func goCoapProcessed(ctx *C.coap_context_t) { known.find(ctx).Processed() }
