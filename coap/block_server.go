package coap

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A response of so many bytes goes in one message whatever the MTU is.
const smallResponse = 64 - 4 - wire.TokenSize - 1

// A blockRequest is what a request says about blocks.
type blockRequest struct {
	key        string // tells the bodies of a session apart
	has1, has2 bool
	one, two   block.Value
	upload     *storedBody // whose last block this is
}

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
		in.concludeWith(CodeBadRequest, err.Error())
		return false
	}
	b.key = block.RequestKey(uint8(in.m.Code), in.m.Options)
	in.blocks = b
	if b.has1 && !in.assemble() {
		return false
	}
	if b.has2 && b.two.Num > 0 && !b.has1 {
		return !in.goOn()
	}
	return true
}

// concludeWith is conclude with a response of these parts.
func (in *incoming) concludeWith(code Code, why string, options ...Option) {
	in.conclude(&response{code: code, options: options, body: []byte(why)})
}

// conclude ends a request with a response that is not a handler's.
func (in *incoming) conclude(w *response) {
	in.done()
	if in.multicast { // RFC 7252, section 8.1
		return
	}
	_ = in.respond(&ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body})
}

// block1 is the option that acknowledges a block.
func (in *incoming) block1(more bool) Option {
	b := in.blocks.one
	return Option{OptionBlock1, block.Value{Num: b.Num, More: more, SZX: in.c.ownSZX(b.SZX)}.Encode()}
}

// ownSZX is the size exponent that this side uses where the other one uses szx.
func (c *conn) ownSZX(szx uint8) uint8 {
	own := c.blockSZX()
	if szx == block.BERT && own == block.MaxSZX {
		return szx
	}
	return min(szx, own)
}

// assemble takes a block of a request's body. It reports whether the body is
// complete.
func (in *incoming) assemble() bool {
	b, store, most := in.blocks, &in.c.l.store, in.c.l.config.maxBody()
	if !in.admitsBlock(most) {
		return false
	}
	if b.one.Num == 0 && !b.one.More {
		store.drop(in.c, b.key)
		return true
	}
	s := in.storedRequest(most)
	verdict := block.Misses
	if s != nil {
		verdict = s.assembly.Add(b.one, in.m.Body)
	}
	switch verdict {
	case block.Taken, block.Lags:
		store.resize(s, s.assembly.Len(), most)
		in.concludeWith(CodeContinue, "", in.block1(true))
	case block.Completes:
		in.m.Body = s.assembly.Take()
		store.resize(s, 0, most)
		b.upload = s
		return true
	case block.Repeats:
		in.repeat(s)
	case block.LagsAgain:
		in.done()
		in.acknowledgeOnly()
	case block.Misses:
		in.concludeWith(CodeRequestEntityIncomplete, "the blocks before this one are not here", in.block1(false))
	}
	return false
}

// admitsBlock refuses a block that contradicts itself, or that belongs to a body of more than
// most bytes.
func (in *incoming) admitsBlock(most int) bool {
	b, size := in.blocks, len(in.m.Body)
	total, _ := findOption(in.m.Options, OptionSize1)
	switch {
	case !b.one.Fits(size):
		in.concludeWith(CodeBadRequest, "the block has another size than it says", in.block1(false))
		return false
	case int(b.one.Offset())+size > most || wire.ParseUint(total) > uint64(most):
		in.c.l.store.drop(in.c, b.key)
		echo := block.Value{Num: b.one.Num, SZX: b.one.SZX} // a smaller size would not help
		in.concludeWith(CodeRequestEntityTooLarge, "",
			Option{OptionBlock1, echo.Encode()}, Option{OptionSize1, wire.EncodeUint(uint64(most))})
		return false
	}
	return true
}

// storedRequest returns the body that a block belongs to, or nil.
func (in *incoming) storedRequest(most int) *storedBody {
	store, b := &in.c.l.store, in.blocks
	if b.one.Num == 0 {
		return store.add(in.c, b.key, most)
	}
	return store.find(in.c, b.key)
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
func (in *incoming) repeat(s *storedBody) {
	if s.response == nil {
		s.waiting = append(s.waiting, in)
		return
	}
	in.conclude(s.response)
}

// finished notes the response to a request.
func (s *storedBody) finished(w *response) {
	s.response = w
	for _, in := range s.waiting {
		in.conclude(w)
	}
	s.waiting = nil
}

// goOn answers the request for a further block of a response. It reports false
// where that must be made anew.
func (in *incoming) goOn() bool {
	b := in.blocks
	s := in.c.l.store.find(in.c, block.ResponseKey(b.key))
	switch {
	case s != nil && !in.multicast:
		in.done()
		_ = in.respond(in.c.slice(s.response, &b.two, int(b.two.Offset())))
		return true
	case Code(in.m.Code) == MethodGet, Code(in.m.Code) == MethodFetch && len(in.m.Body) > 0:
		return false
	default:
		in.concludeWith(CodeRequestEntityIncomplete, "the body of this response is gone")
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
		return in.c.publish(block.RequestKey(uint8(in.m.Code), in.m.Options), w, nil)
	}
	if b.has1 {
		w.options = w.options.without(OptionBlock1).with(in.block1(false))
	}
	var two *block.Value
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
func (c *conn) publish(key string, w *response, two *block.Value) *ccoap.Message {
	if w.code == CodeValid || c.whole(w, two) { // 2.03 is about all of the body
		return &ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body}
	}
	w.tag()
	kept := *w
	kept.options = w.options.without(OptionBlock1, OptionObserve)
	most := c.l.config.maxBody()
	s := c.l.store.add(c, block.ResponseKey(key), most)
	s.response = &kept
	c.l.store.resize(s, len(w.body), most)
	offset := 0
	if two != nil && w.code.IsSuccess() {
		offset = int(two.Offset())
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
func (c *conn) whole(w *response, two *block.Value) bool {
	most := c.roomFor(w.options.wireSize())
	size := most
	if !c.proto.Reliable() {
		size = 16 << c.blockSZX()
	}
	if two != nil {
		if two.Num > 0 && w.code.IsSuccess() {
			return false
		}
		size = min(size, block.PartSize(two.SZX, most))
	}
	return len(w.body) <= min(size, most)
}

// slice returns the message with the block at an offset, of the size that was asked
// for, if any was.
func (c *conn) slice(w *response, two *block.Value, offset int) *ccoap.Message {
	szx := c.blockSZX()
	switch {
	case two != nil:
		szx = c.ownSZX(two.SZX)
	case szx == block.MaxSZX && c.transfers.bert.Load():
		szx = block.BERT
	}
	if offset > 0 && offset >= len(w.body) {
		return &ccoap.Message{Code: int(CodeBadRequest), Body: []byte("there is no such block")}
	}
	most := c.roomFor(w.options.wireSize())
	v, body := block.Cut(w.body, offset, block.Shrink(szx, most), most)
	if !c.proto.Reliable() {
		body = bytes.Clone(body) // it stays in the log
	}
	added := []Option{{OptionBlock2, v.Encode()}}
	if offset == 0 && !w.options.Has(OptionSize2) {
		added = append(added, Option{OptionSize2, wire.EncodeUint(uint64(len(w.body)))})
	}
	return &ccoap.Message{Code: int(w.code), Options: w.options.encode(added...), Body: body}
}
