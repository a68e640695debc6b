package coap

import (
	"hash/maphash"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// How long a message ID stands for one message (RFC 7252, section 4.8.2, with the
// default transmission parameters).
const (
	exchangeLifetime = 247 * time.Second // of a confirmable message
	nonLifetime      = 145 * time.Second // of a non-confirmable one
)

// recentRequests is how many requests a session remembers. A peer sends a request
// again while it waits for the answer, and it waits for few at a time.
const recentRequests = 128

// An exchangeLog remembers the last requests of a session, so that one that comes
// twice is handled once. The zero value is ready for use.
type exchangeLog struct {
	byID map[uint16]*incoming
	ring []*incoming
	next int // in ring
}

// add notes a request, unless it is there: then the first is returned.
func (e *exchangeLog) add(in *incoming) (first *incoming) {
	if known := e.byID[in.mid]; known != nil && known.sum == in.sum && in.at.Before(known.expires()) {
		return known
	}
	if e.byID == nil {
		e.byID = make(map[uint16]*incoming)
	}
	if len(e.ring) < recentRequests {
		e.ring = append(e.ring, in)
	} else {
		old := e.ring[e.next]
		if e.byID[old.mid] == old {
			delete(e.byID, old.mid)
		}
		e.ring[e.next] = in
		e.next = (e.next + 1) % recentRequests
	}
	e.byID[in.mid] = in
	return nil
}

func (in *incoming) expires() time.Time {
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
