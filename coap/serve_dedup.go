package coap

import (
	"hash/maphash"
	"time"
	"unsafe"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// How long a message ID stands for one message (RFC 7252, section 4.8.2, with the
// default transmission parameters).
const (
	exchangeLifetime = 247 * time.Second // of a confirmable message
	nonLifetime      = 145 * time.Second // of a non-confirmable one
)

// What a server remembers. A peer sends a request again while it waits for the answer, and it
// waits for few at a time.
const (
	recentRequests = 128      // of a session
	recentBytes    = 32 << 10 // of a session, with their responses
	loggedBytes    = 64 << 20 // of all sessions
)

// entryBytes is what a request takes in a log, without its token and its response.
const entryBytes = int(unsafe.Sizeof(serverRequest{})) + 64

// An exchangeLog remembers the last requests of a session, so that one that comes
// twice is handled once. The zero value is ready for use.
type exchangeLog struct {
	byID  map[uint16]*serverRequest
	queue []*serverRequest // the oldest first
	bytes int
}

// A requestLog is what the logs of all sessions have together. Its oldest entry is also the
// oldest one of its session. The loop guards it.
type requestLog struct {
	queue[*serverRequest]
	shared map[messageID]*serverRequest // where libcoap does not ask for each request
	bytes  int
	most   int // bytes
}

// add notes a request, unless it is there: then the first is returned.
func (l *requestLog) add(in *serverRequest) (first *serverRequest) {
	e := &in.c.recent
	if known := e.byID[in.mid]; known != nil && known.sum == in.sum && in.at.Before(known.expires()) {
		return known
	}
	if e.byID == nil {
		e.byID = make(map[uint16]*serverRequest)
	}
	e.byID[in.mid] = in
	e.queue = append(e.queue, in)
	if l.shared != nil {
		l.shared[in.messageID()] = in
	}
	l.queue.add(in)
	in.logged = true
	l.resize(in)
	return nil
}

// overlook has a request that comes again taken for a new one.
func (l *requestLog) overlook(in *serverRequest) {
	if e := &in.c.recent; e.byID[in.mid] == in {
		delete(e.byID, in.mid)
	}
}

// resize counts what an entry takes anew, and removes the oldest ones that are too many.
func (l *requestLog) resize(in *serverRequest) {
	if !in.logged {
		return
	}
	e := &in.c.recent
	size := entryBytes + cap(in.m.Token) + cap(in.m.Options) + cap(in.m.Body)
	if in.sent != nil {
		size += int(unsafe.Sizeof(*in.sent)) + cap(in.sent.Options) + cap(in.sent.Body)
	}
	e.bytes += size - in.size
	l.bytes += size - in.size
	in.size = size
	for len(e.queue) > 1 && (len(e.queue) > recentRequests || e.bytes > recentBytes) {
		l.remove(e.queue[0])
	}
	for l.oldest != in && (l.bytes > l.most || in.at.After(l.oldest.expires())) {
		l.remove(l.oldest)
	}
}

// remove removes the oldest entry of a session.
func (l *requestLog) remove(in *serverRequest) {
	e := &in.c.recent
	if e.byID[in.mid] == in {
		delete(e.byID, in.mid)
	}
	if id := in.messageID(); l.shared[id] == in {
		delete(l.shared, id)
	}
	e.queue[0] = nil
	e.queue = e.queue[1:]
	e.bytes -= in.size
	l.bytes -= in.size
	l.queue.remove(in)
	in.logged, in.size = false, 0
}

// forget removes the entries of a session.
func (l *requestLog) forget(c *conn) {
	for len(c.recent.queue) > 0 {
		l.remove(c.recent.queue[0])
	}
}

func (in *serverRequest) messageID() messageID { return messageID{in.c.remote, in.mid} }

func (in *serverRequest) expires() time.Time {
	if in.confirmable {
		return in.at.Add(exchangeLifetime)
	}
	return in.at.Add(nonLifetime)
}

var messageSeed = maphash.MakeSeed()

// sum tells messages apart that have the same ID because it is used again.
func sum(m *ccoap.Message) uint64 {
	var h maphash.Hash
	h.SetSeed(messageSeed)
	h.WriteByte(byte(m.Type))
	h.WriteByte(byte(m.Code))
	h.Write(m.Token)
	h.Write(m.Options)
	h.Write(m.Body)
	return h.Sum64()
}
