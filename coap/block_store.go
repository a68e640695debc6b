package coap

import (
	"container/list"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/block"
)

// A server keeps at most maxStored bodies for all its sessions together, and at most
// maxStoredTimes times Config.MaxBody bytes of them. When there are more, the address that has
// most loses the body that it used longest ago.
const (
	maxStored      = 4096
	maxStoredTimes = 8
)

// A blockStore holds the bodies of requests that are being put together, and those of responses
// that are being fetched, for all sessions. The loop guards it.
type blockStore struct {
	used   list.List // of *storedBody, the most recently used one at the end
	shares shares    // by bytes; each body counts as some by itself
	bytes  int
}

// A storedBody is one of these bodies.
type storedBody struct {
	c    *conn
	key  string
	at   time.Time // when it was used last
	elem *list.Element
	held holding
	size int // bytes

	// Of a request: its blocks, and who waits for the response.
	assembly block.Assembly
	waiting  []*serverRequest
	// Of a response, and of a request that has got one.
	response *response
}

// add adds an empty body. It replaces another one with the same key.
func (s *blockStore) add(c *conn, key string, most int) *storedBody {
	s.drop(c, key)
	if c.transfers.bodies == nil {
		c.transfers.bodies = make(map[string]*storedBody)
	}
	b := &storedBody{c: c, key: key, at: time.Now()}
	b.elem = s.used.PushBack(b)
	b.held.owner = b
	s.shares.add(&b.held, c.holder(), b.weight(most))
	c.transfers.bodies[key] = b
	s.limit(b, most)
	c.l.timer.arm(exchangeLifetime)
	return b
}

// find returns the body with a key, or nil.
func (s *blockStore) find(c *conn, key string) *storedBody {
	b := c.transfers.bodies[key]
	if b != nil {
		b.at = time.Now()
		s.used.MoveToBack(b.elem)
		s.shares.use(&b.held)
	}
	return b
}

// drop removes the body with a key, if there is one.
func (s *blockStore) drop(c *conn, key string) {
	if b := c.transfers.bodies[key]; b != nil {
		s.remove(b)
	}
}

func (s *blockStore) remove(b *storedBody) {
	if b.elem == nil {
		return
	}
	s.used.Remove(b.elem)
	s.shares.remove(&b.held)
	s.bytes -= b.size
	b.elem = nil
	delete(b.c.transfers.bodies, b.key)
}

// resize notes how many bytes of a body are kept.
func (s *blockStore) resize(b *storedBody, size, most int) {
	old := b.size
	b.size = size
	if b.elem != nil {
		s.bytes += size - old
		s.shares.weigh(&b.held, b.weight(most))
	}
	s.limit(b, most)
}

// weight is how much a body counts in the shares: its bytes, and a constant for the place that it
// takes. The constants of the largest number of bodies add up to the largest number of bytes.
func (b *storedBody) weight(most int) int {
	return b.size + 1 + int(min(int64(most), 1<<40)*maxStoredTimes/maxStored)
}

// limit removes bodies until there are few enough. It keeps the one that is in use.
func (s *blockStore) limit(inUse *storedBody, most int) {
	for s.used.Len() > 1 && (s.used.Len() > maxStored || s.bytes/maxStoredTimes > most) {
		b := s.shares.largest().(*storedBody)
		if b == inUse {
			if b = s.used.Front().Value.(*storedBody); b == inUse {
				return
			}
		}
		s.remove(b)
	}
}

// pressed reports whether more than half of the places are taken.
func (s *blockStore) pressed(most int) bool {
	return s.used.Len() > maxStored/2 || s.bytes/(maxStoredTimes/2) > most
}

// forget removes the bodies of a session.
func (s *blockStore) forget(c *conn) {
	for _, b := range c.transfers.bodies {
		s.remove(b)
	}
}

// release is called when a request with the body has been handled. If there was no response, the
// body is removed, and the requests that wait for the response get none either.
func (s *blockStore) release(b *storedBody) {
	if b.response != nil {
		return
	}
	s.remove(b)
	for _, in := range b.waiting {
		in.done()
		in.acknowledgeOnly()
	}
	b.waiting = nil
}

// sweep removes bodies that are too old. It returns after how long to call it again, or 0 for
// never.
func (s *blockStore) sweep() time.Duration {
	for s.used.Len() > 0 {
		b := s.used.Front().Value.(*storedBody)
		if wait := exchangeLifetime - time.Since(b.at); wait > 0 {
			return wait
		}
		s.remove(b)
	}
	return 0
}
