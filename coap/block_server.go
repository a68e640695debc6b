package coap

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A response of so many bytes goes in one message whatever the MTU is.
const smallResponse = 64 - 4 - wire.TokenSize - 1

// A server remembers so many bodies at most, of all its sessions, and so many
// times Config.MaxBody bytes of them. The address that has most loses what it used longest
// ago.
const (
	maxStored      = 4096
	maxStoredTimes = 8
)

// A blockStore holds the bodies of requests that are being put together, and those
// of responses that are being fetched, of all sessions. The loop guards it.
type blockStore struct {
	used   list.List // of *stored, the one that was used last at the end
	shares shares    // by bytes, and each body counts as some
	bytes  int
}

// A stored is one of these bodies.
type stored struct {
	c    *conn
	key  string
	at   time.Time // it was used last
	elem *list.Element
	held holding
	body []byte

	// Of a request: the block that was received last, and, when that was the
	// last one of the body, its response.
	last     blockValue
	lastSum  uint64
	received int // bytes
	again    int // up to where blocks before the last one were answered again
	complete bool
	waiting  []*incoming // for the response
	// Of a response, once there is one.
	response *response
}

// A blockRequest is what a request says about blocks.
type blockRequest struct {
	key        string // tells the bodies of a session apart
	has1, has2 bool
	one, two   blockValue
	upload     *stored // whose last block this is
}

// Which of two bodies with the same key it is.
const (
	requestBody  = 0
	responseBody = 1
)

func (s *blockStore) add(c *conn, key string, most int) *stored {
	if old := c.blocks[key]; old != nil {
		s.remove(old)
	}
	if c.blocks == nil {
		c.blocks = make(map[string]*stored)
	}
	b := &stored{c: c, key: key, at: time.Now()}
	b.elem = s.used.PushBack(b)
	b.held.owner = b
	s.shares.add(&b.held, c.holder(), b.weight(most))
	c.blocks[key] = b
	s.limit(b, most)
	c.l.timer.arm(exchangeLifetime)
	return b
}

// find returns a body, where there is one.
func (s *blockStore) find(c *conn, key string) *stored {
	b := c.blocks[key]
	if b != nil {
		b.at = time.Now()
		s.used.MoveToBack(b.elem)
		s.shares.use(&b.held)
	}
	return b
}

func (s *blockStore) remove(b *stored) {
	if b.elem == nil {
		return
	}
	s.used.Remove(b.elem)
	s.shares.remove(&b.held)
	s.bytes -= len(b.body)
	b.elem = nil
	delete(b.c.blocks, b.key)
}

// resize sets the body.
func (s *blockStore) resize(b *stored, body []byte, most int) {
	old := len(b.body)
	b.body = body
	if b.elem != nil {
		s.bytes += len(body) - old
		s.shares.weigh(&b.held, b.weight(most))
	}
	s.limit(b, most)
}

// weight is what a body counts for: when there are as many as there may be, they count as
// much as all bytes may.
func (b *stored) weight(most int) int {
	return len(b.body) + 1 + int(min(int64(most), 1<<40)*maxStoredTimes/maxStored)
}

// limit removes bodies until there are few enough, but the one that is in use stays.
func (s *blockStore) limit(inUse *stored, most int) {
	for s.used.Len() > 1 && (s.used.Len() > maxStored || s.bytes/maxStoredTimes > most) {
		b := s.shares.largest().(*stored)
		if b == inUse {
			if b = s.used.Front().Value.(*stored); b == inUse {
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

// forget removes what belongs to a session.
func (s *blockStore) forget(c *conn) {
	for _, b := range c.blocks {
		s.remove(b)
	}
}

// sweep removes what is too old, and returns when to call again; 0: never.
func (s *blockStore) sweep() time.Duration {
	for s.used.Len() > 0 {
		b := s.used.Front().Value.(*stored)
		if wait := exchangeLifetime - time.Since(b.at); wait > 0 {
			return wait
		}
		s.remove(b)
	}
	return 0
}

// hasBlocks reports whether a message is about blocks.
func hasBlocks(m *ccoap.Message) bool {
	for number := range wire.Options(m.Options).All() {
		switch id := OptionID(number); {
		case id == OptionBlock1, id == OptionBlock2:
			return true
		case id > OptionBlock1:
			return false
		}
	}
	return false
}

// bodyKey is the same for the messages of a block-wise transfer: the method and
// the options, without those that say which block it is (RFC 7959, section 2.5)
// and those that are no part of a cache key (RFC 7252, section 5.4.6).
func bodyKey(m *ccoap.Message) string {
	const noCacheKey = 0x1c
	key := make(wire.Options, 0, 64)
	key = append(key, requestBody, byte(m.Code))
	for number, value := range wire.Options(m.Options).All() {
		switch id := OptionID(number); {
		case id == OptionBlock1, id == OptionBlock2, id == OptionObserve, number&0x1e == noCacheKey:
		default:
			key = key.Append(number, value)
		}
	}
	return string(key)
}

// ofResponse is the key of the response's body.
func ofResponse(key string) string { return string(rune(responseBody)) + key[1:] }

// accept deals with what a request says about blocks. It reports whether there is
// something left to be done by a handler.
func (in *incoming) accept() bool {
	if in.c.ended != nil {
		in.done()
		return false
	}
	b := &blockRequest{}
	var err error
	if b.one, b.has1, err = in.c.findBlock(in.m.Options, OptionBlock1); err == nil {
		b.two, b.has2, err = in.c.findBlock(in.m.Options, OptionBlock2)
	}
	if err != nil {
		in.refuse(CodeBadRequest, err.Error())
		return false
	}
	b.key = bodyKey(&in.m)
	in.blocks = b
	if b.has1 && !in.assemble() {
		return false
	}
	if b.has2 && b.two.num > 0 && !b.has1 {
		return !in.goOn()
	}
	return true
}

// refuse answers without a handler.
func (in *incoming) refuse(code Code, why string, options ...Option) {
	in.reject(&response{code: code, options: options, body: []byte(why)})
}

func (in *incoming) reject(w *response) {
	in.done()
	if in.multicast { // RFC 7252, section 8.1
		return
	}
	_ = in.respond(&ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body})
}

// block1 is the option that acknowledges a block.
func (in *incoming) block1(more bool) Option {
	b := in.blocks.one
	return Option{OptionBlock1, blockValue{num: b.num, more: more, szx: in.c.ownSZX(b.szx)}.encode()}
}

// ownSZX is the size exponent that this side uses where the other one uses szx.
func (c *conn) ownSZX(szx uint8) uint8 {
	own := c.blockSZX()
	if szx == bert && own == maxSZX {
		return szx
	}
	return min(szx, own)
}

// assemble takes a block of a request's body. It reports whether the body is
// complete.
func (in *incoming) assemble() bool {
	b := in.blocks
	l := in.c.l
	most := l.config.maxBody()
	body := in.m.Body
	offset := int(b.one.offset())
	size1, _ := findOption(in.m.Options, OptionSize1)
	switch {
	case !b.one.fits(len(body)):
		in.refuse(CodeBadRequest, "the block has another size than it says", in.block1(false))
		return false
	case offset+len(body) > most || wire.ParseUint(size1) > uint64(most):
		if old := in.c.blocks[b.key]; old != nil {
			l.store.remove(old)
		}
		echo := blockValue{num: b.one.num, szx: b.one.szx} // a smaller size would not help
		in.refuse(CodeRequestEntityTooLarge, "", Option{OptionBlock1, echo.encode()}, Option{OptionSize1, wire.EncodeUint(uint64(most))})
		return false
	case b.one.num == 0 && !b.one.more:
		if old := in.c.blocks[b.key]; old != nil {
			l.store.remove(old)
		}
		return true
	}
	var t *stored
	if b.one.num == 0 {
		t = l.store.add(in.c, b.key, most)
	} else if t = l.store.find(in.c, b.key); t == nil {
		in.refuse(CodeRequestEntityIncomplete, "the blocks before this one are not here", in.block1(false))
		return false
	}
	sum := maphash.Bytes(messageSeed, body)
	switch {
	case b.one.num > 0 && b.one == t.last && sum == t.lastSum: // once more
		if t.complete {
			in.repeat(t)
			return false
		}
	case t.has(offset, body, b.one.more):
		in.answerAgain(t, offset)
		return false
	case t.complete || offset != len(t.body):
		in.refuse(CodeRequestEntityIncomplete, "the blocks before this one are not here", in.block1(false))
		return false
	default:
		t.last, t.lastSum = b.one, sum
		l.store.resize(t, append(t.body, body...), most)
		t.received = len(t.body)
	}
	if b.one.more {
		in.refuse(CodeContinue, "", in.block1(true))
		return false
	}
	t.complete = true
	in.m.Body = t.body
	l.store.resize(t, nil, most)
	b.upload = t
	return true
}

// has reports whether a block is one that came before the last one, and comes again: it was
// doubled, or the client has got the answer to it twice.
func (t *stored) has(offset int, block []byte, more bool) bool {
	if !more || offset == 0 || offset+len(block) > t.received {
		return false
	}
	return t.complete || bytes.Equal(t.body[offset:offset+len(block)], block)
}

// answerAgain answers a block that comes again in another message. A client that goes on
// from an old answer, as libcoap's does, sends all that follows again: so once for each
// block, and otherwise the block is only acknowledged, or those clients would send more and more.
func (in *incoming) answerAgain(t *stored, offset int) {
	if offset > t.again {
		t.again = offset
		in.refuse(CodeContinue, "", in.block1(true))
		return
	}
	in.done()
	in.acknowledgeOnly()
}

// acknowledgeOnly ends a request without a response.
func (in *incoming) acknowledgeOnly() {
	if in.c.ended == nil && in.confirmable && !in.acked {
		in.acked = true
		in.sendEmpty()
	}
	if in.c.ended == nil && in.c.proto.Reliable() {
		in.c.native.Handled()
	}
	in.forget()
}

// repeat answers the last block of a request's body that comes again in another
// message.
func (in *incoming) repeat(t *stored) {
	if t.response == nil {
		t.waiting = append(t.waiting, in)
		return
	}
	in.reject(t.response)
}

// finished notes the response to a request.
func (t *stored) finished(w *response) {
	t.response = w
	for _, in := range t.waiting {
		in.reject(w)
	}
	t.waiting = nil
}

// release is called when a request is handled. One that got no response is
// forgotten, and those that wait for that get none either.
func (s *blockStore) release(t *stored) {
	if t.response != nil {
		return
	}
	s.remove(t)
	for _, in := range t.waiting {
		in.done()
		in.acknowledgeOnly()
	}
	t.waiting = nil
}

// goOn answers the request for a further block of a response. It reports false
// where that must be made anew.
func (in *incoming) goOn() bool {
	b := in.blocks
	t := in.c.l.store.find(in.c, ofResponse(b.key))
	switch {
	case t != nil && !in.multicast:
		in.done()
		_ = in.respond(in.c.slice(t.response, &b.two, int(b.two.offset())))
		return true
	case Code(in.m.Code) == MethodGet, Code(in.m.Code) == MethodFetch && len(in.m.Body) > 0:
		return false
	default:
		in.refuse(CodeRequestEntityIncomplete, "the body of this response is gone")
		return true
	}
}

// blockwise is the message that answers a request: the response, or one block of
// it.
func (in *incoming) blockwise(w *response) *ccoap.Message {
	if in.c.ended != nil {
		return &ccoap.Message{}
	}
	b := in.blocks
	switch {
	case b == nil && (len(w.body)+w.options.wireSize() <= smallResponse || in.c.whole(w, nil)):
		return &ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body}
	case b == nil:
		return in.c.publish(bodyKey(&in.m), w, nil)
	}
	if b.has1 {
		w.options = w.options.without(OptionBlock1).with(in.block1(false))
	}
	var two *blockValue
	if b.has2 {
		two = &b.two
	}
	m := in.c.publish(b.key, w, two)
	if b.upload != nil {
		b.upload.finished(&response{code: Code(m.Code), options: decodeOptions(m.Options), body: m.Body})
	}
	return m
}

// publish returns the message for a response to a request, and keeps what does not
// fit into it for the requests of further blocks. key is the request's. The
// session is not over.
func (c *conn) publish(key string, w *response, two *blockValue) *ccoap.Message {
	if w.code == CodeValid || c.whole(w, two) { // 2.03 is about all of the body
		return &ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body}
	}
	w.tag()
	kept := *w
	kept.options = w.options.without(OptionBlock1, OptionObserve)
	most := c.l.config.maxBody()
	t := c.l.store.add(c, ofResponse(key), most)
	t.response = &kept
	c.l.store.resize(t, w.body, most)
	offset := 0
	if two != nil && w.code.IsSuccess() {
		offset = int(two.offset())
	}
	return c.slice(w, two, offset)
}

// tag adds an ETag made of the body, unless there is one.
func (w *response) tag() {
	if _, ok := w.options.Get(OptionETag); !ok {
		tag := binary.BigEndian.AppendUint64(nil, maphash.Bytes(messageSeed, w.body))
		w.options = w.options.with(Option{OptionETag, tag})
	}
}

// whole reports whether a response goes in one message, without a word about
// blocks.
func (c *conn) whole(w *response, two *blockValue) bool {
	most := c.roomFor(w.options.wireSize())
	size := most
	if !c.proto.Reliable() {
		size = 16 << c.blockSZX()
	}
	if two != nil {
		if two.num > 0 && w.code.IsSuccess() {
			return false
		}
		size = min(size, chunk(two.szx, most))
	}
	return len(w.body) <= min(size, most)
}

// slice returns the message with the block at an offset, of the size that was asked
// for, if any was.
func (c *conn) slice(w *response, two *blockValue, offset int) *ccoap.Message {
	szx := c.blockSZX()
	switch {
	case two != nil:
		szx = c.ownSZX(two.szx)
	case szx == maxSZX && c.bert.Load():
		szx = bert
	}
	if offset > 0 && offset >= len(w.body) {
		return &ccoap.Message{Code: int(CodeBadRequest), Body: []byte("there is no such block")}
	}
	most := c.roomFor(w.options.wireSize())
	szx = fitSZX(szx, most)
	b := at(offset, szx)
	end := min(offset+chunk(szx, most), len(w.body))
	b.more = end < len(w.body)
	body := w.body[offset:end]
	if !c.proto.Reliable() {
		body = bytes.Clone(body) // it stays in the log
	}
	added := []Option{{OptionBlock2, b.encode()}}
	if offset == 0 && !w.options.Has(OptionSize2) {
		added = append(added, Option{OptionSize2, wire.EncodeUint(uint64(len(w.body)))})
	}
	return &ccoap.Message{Code: int(w.code), Options: w.options.encode(added...), Body: body}
}
