package coap

import (
	"fmt"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Resource is a Handler for something that clients may observe (RFC 7641). It
// hands requests on to the handler that it was made of. A GET or FETCH that asks
// for observation and is answered with success makes its client an observer: until
// the client wants no more, rejects a notification, does not acknowledge one, or
// its session is over.
//
// Its methods may be called from any goroutine, also by its handler.
type Resource struct {
	// NonConfirmable has notifications sent without asking for an acknowledgement.
	// Every fifth one is confirmable nevertheless, and so is one after a day, to
	// find clients that are gone (RFC 7641, section 4.5). Over TCP and TLS it has
	// no meaning. It must not be changed once requests come.
	NonConfirmable bool

	handler Handler

	mu        sync.Mutex // guards what follows; nothing else is locked under it
	observers map[*observer]struct{}
	number    uint64 // of its state
}

// NewResource returns a resource that h answers for.
func NewResource(h Handler) *Resource {
	return &Resource{handler: h, observers: make(map[*observer]struct{}), number: clockNumber()}
}

// ServeCoAP has the request handled, and notes who wants to observe.
func (res *Resource) ServeCoAP(w ResponseWriter, r *Request) {
	res.observe(r)
	res.handler.ServeCoAP(w, r)
}

// Notify tells the observers that the resource has changed. It returns at once: the
// handler is called for each observer, with the request that it has sent, on a
// goroutine of its own, and what it answers goes to the observer. An answer without
// a success code ends the observation. An observer that has not acknowledged the last
// notification gets the next one when it has, with the state at that time: so it may not
// see every change, but it sees the last one (RFC 7641, section 4.5).
func (res *Resource) Notify() {
	res.mu.Lock()
	res.number = max(res.number+1, clockNumber())
	res.mu.Unlock()
	for _, o := range res.list() {
		res.changed(o)
	}
}

// Cancel ends all observations with a last notification of a code: 4.04 for a
// resource that was deleted. It returns when they are sent. It panics if the code is not an
// error.
func (res *Resource) Cancel(code Code) {
	if !code.IsResponse() || code.IsSuccess() {
		panic(fmt.Sprintf("coap: an observation cannot be cancelled with %v", code))
	}
	for _, o := range res.list() {
		res.cancel(o, &response{code: code})
	}
}

// Observers returns how many clients observe the resource.
func (res *Resource) Observers() int {
	res.mu.Lock()
	defer res.mu.Unlock()
	return len(res.observers)
}

func (res *Resource) list() []*observer {
	res.mu.Lock()
	defer res.mu.Unlock()
	observers := make([]*observer, 0, len(res.observers))
	for o := range res.observers {
		observers = append(observers, o)
	}
	return observers
}

// sequence is the number of the state that a handler is about to be asked for.
func (res *Resource) sequence() uint64 {
	res.mu.Lock()
	defer res.mu.Unlock()
	return res.number
}

// clockNumber is the number of a state of now. A client takes one number for newer than
// another that is less than half of 24 bits ahead, and any after 128 s (RFC 7641, section
// 3.4): at 2^15 a second, half of them are gone after 256 s.
func clockNumber() uint64 {
	const second = 1 << 15
	now := time.Now()
	return uint64(now.Unix())*second + uint64(now.Nanosecond())*second/1e9
}

// numberOf is what the Observe option says of a state.
func numberOf(sequence uint64) uint32 { return uint32(sequence & maxSequence) }

// observe does what the request's Observe option asks for (RFC 7641, section 4.1).
func (res *Resource) observe(r *Request) {
	in := r.origin
	if in == nil {
		return
	}
	value, ok := r.Options.Uint(OptionObserve)
	if !ok || value > observeDeregister || in.multicast || r.Method != MethodGet &&
		r.Method != MethodFetch {
		return
	}
	c, l := in.c, in.c.l
	if l.enter() != nil {
		return
	}
	defer l.leave()
	token := string(in.m.Token)
	if old := c.observers.byToken[token]; old != nil {
		old.remove()
	}
	if c.ended != nil || value == observeDeregister || !l.observers.makeRoom(c) {
		return
	}
	o := &observer{
		res:        res,
		c:          c,
		token:      token,
		key:        block.RequestKey(uint8(in.m.Code), in.m.Options),
		request:    *r,
		waiting:    true,
		sequence:   res.sequence(),
		acceptedAt: time.Now(),
	}
	o.request.Options = r.Options.Clone()
	o.request.origin, o.request.ctx = nil, nil
	if in.blocks != nil && in.blocks.has2 {
		o.block = &in.blocks.two
	}
	l.observers.add(o)
	in.observer = o
	res.mu.Lock()
	res.observers[o] = struct{}{}
	res.mu.Unlock()
}

// changed notes that the observer has not seen the last state.
func (res *Resource) changed(o *observer) {
	if o.c.l.enter() != nil {
		return
	}
	defer o.c.l.leave()
	o.dirty = true
	o.proceed()
}

// notify has the handler called for an observer, and its answer sent.
func (res *Resource) notify(o *observer) {
	n := &notification{o: o, sequence: res.sequence()}
	r := o.request
	r.Options = r.Options.Clone()
	o.c.session.handle(res.handler, &r, n)
}

// cancel ends an observation with a last notification.
func (res *Resource) cancel(o *observer, w *response) {
	if o.c.l.enter() != nil {
		return
	}
	defer o.c.l.leave()
	if o.ended {
		return
	}
	m := o.c.publish(o.key, w, o.block)
	m.Token, m.ID, m.Type = []byte(o.token), ccoap.NewID, ccoap.Confirmable
	o.remove()
	_, _ = o.c.transmit(m)
}

// An observer is a client that observes a resource.
type observer struct {
	res     *Resource
	c       *conn
	token   string
	key     string // of the request: see block.RequestKey
	request Request
	block   *block.Value // which size of blocks it asks for

	// Guarded by the loop.
	held       holding
	ended      bool
	waiting    bool   // for the response to the request, a handler, or an acknowledgement
	dirty      bool   // the resource has changed since its handler was called last
	sequence   uint64 // of the last notification
	id         messageID
	unchecked  int       // notifications since the last confirmable one
	acceptedAt time.Time // of that one, or of the request
}

const (
	maxSequence  = 1<<24 - 1
	maxUnchecked = 4
	uncheckedAge = 24 * time.Hour

	observeRegister   = 0
	observeDeregister = 1
)

// begin starts the observation when the response to its request is sent.
func (in *serverRequest) begin() {
	o := in.observer
	if o == nil {
		return
	}
	in.observer = nil // the request stays in the log
	o.ready()
}

// remove removes the observer.
func (o *observer) remove() {
	if o.ended {
		return
	}
	o.ended = true
	delete(o.c.l.hearers, o.id)
	o.c.l.observers.remove(o)
	o.res.mu.Lock()
	delete(o.res.observers, o)
	o.res.mu.Unlock()
}

// ready notes that what the observer waited for is there.
func (o *observer) ready() {
	o.waiting = false
	o.proceed()
}

func (o *observer) proceed() {
	if o.dirty && !o.waiting && !o.ended {
		o.dirty, o.waiting = false, true
		go o.res.notify(o)
	}
}

// A notification is on its way. Its reply runs on the goroutine of the handler, and locks the
// loop by itself.
type notification struct {
	o        *observer
	sequence uint64 // of before the handler was called
}

func (n *notification) reply(_ *Request, w *response) {
	o := n.o
	if !w.code.IsSuccess() {
		o.res.cancel(o, w)
		return
	}
	w.options.SetUint(OptionObserve, uint64(numberOf(n.sequence)))
	if !o.c.proto.Reliable() && len(w.body) > 16<<o.c.blockSZX() {
		w.tag() // before the loop is locked: it takes long
	}
	if o.c.l.enter() != nil {
		return
	}
	defer o.c.l.leave()
	switch {
	case o.ended:
	case n.sequence == o.sequence: // the handler has seen this change before
		o.ready()
	default:
		o.sequence = n.sequence
		o.tell(w)
	}
}

// tell sends a notification.
func (o *observer) tell(w *response) {
	m := o.c.publish(o.key, w, o.block)
	m.Token, m.ID, m.Type = []byte(o.token), ccoap.NewID, ccoap.Confirmable
	switch {
	case o.c.proto.Reliable():
	case o.c.address.overdrawn(creditBytes): // and the last ones have not been acknowledged
		o.remove()
		return
	case o.res.NonConfirmable && !o.c.address.overdrawn(creditProof) && o.unchecked < maxUnchecked &&
		time.Since(o.acceptedAt) < uncheckedAge:
		m.Type = ccoap.NonConfirmable
		o.unchecked++
	default:
		o.unchecked = 0
	}
	mid, err := o.c.transmit(m)
	if err != nil {
		o.remove()
		return
	}
	if o.c.proto.Reliable() {
		o.ready()
		return
	}
	delete(o.c.l.hearers, o.id)
	o.id = messageID{o.c.remote, uint16(mid)}
	o.c.l.hearers[o.id] = o
	if m.Type == ccoap.NonConfirmable || !ccoap.TellsEmpty() { // libcoap holds what waits for NSTART
		o.ready()
	}
}

// acknowledged is called when the last notification is.
func (o *observer) acknowledged() {
	if o.unchecked > 0 { // it was not confirmable
		return
	}
	delete(o.c.l.hearers, o.id)
	o.acceptedAt = time.Now()
	o.ready()
}

func (o *observer) rejected() { o.remove() }
