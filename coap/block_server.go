package coap

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// smallResponse is the size in bytes up to which a response goes in one message whatever the MTU
// is.
const smallResponse = 64 - 4 - wire.TokenSize - 1

// A blockRequest is what the options of a request say about blocks.
type blockRequest struct {
	key        string // tells the bodies of a session apart
	has1, has2 bool
	one, two   block.Value
	upload     *storedBody // whose last block this is
}

// accept processes the block options of a request. It reports whether a handler has to be called.
func (in *serverRequest) accept() bool {
	if in.c.ended != nil {
		in.done()
		return false
	}
	blocks := &blockRequest{}
	var err error
	if blocks.one, blocks.has1, err = in.c.findBlock(in.m.Options, OptionBlock1); err == nil {
		blocks.two, blocks.has2, err = in.c.findBlock(in.m.Options, OptionBlock2)
	}
	if err != nil {
		in.concludeWith(CodeBadRequest, err.Error())
		return false
	}
	blocks.key = block.RequestKey(uint8(in.m.Code), in.m.Options)
	in.blocks = blocks
	if blocks.has1 && !in.assemble() {
		return false
	}
	if blocks.has2 && blocks.two.Num > 0 && !blocks.has1 {
		return !in.answerFromStore()
	}
	return true
}

// concludeWith is conclude with a response of these parts.
func (in *serverRequest) concludeWith(code Code, why string, options ...Option) {
	in.conclude(&response{code: code, options: options, body: []byte(why)})
}

// conclude ends a request with a response that does not come from a handler.
func (in *serverRequest) conclude(w *response) {
	in.done()
	if in.multicast { // RFC 7252, section 8.1
		return
	}
	_ = in.respond(&ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body})
}

// block1 returns the option that acknowledges a block.
func (in *serverRequest) block1(more bool) Option {
	one := in.blocks.one
	return Option{OptionBlock1,
		block.Value{Num: one.Num, More: more, SZX: in.c.ownSZX(one.SZX)}.Encode()}
}

// ownSZX returns the size exponent that this side uses when the peer uses szx.
func (c *conn) ownSZX(szx uint8) uint8 {
	own := c.blockSZX()
	if szx == block.BERT && own == block.MaxSZX {
		return szx
	}
	return min(szx, own)
}

// assemble takes a block of a request's body. It reports whether the body is complete.
func (in *serverRequest) assemble() bool {
	blocks, store, most := in.blocks, &in.c.l.store, in.c.l.config.maxBody()
	if !in.admitsBlock(most) {
		return false
	}
	if blocks.one.Num == 0 && !blocks.one.More {
		store.drop(in.c, blocks.key)
		return true
	}
	body := in.storedRequest(most)
	verdict := block.Misses
	if body != nil {
		verdict = body.assembly.Add(blocks.one, in.m.Body)
	}
	switch verdict {
	case block.Taken, block.Lags:
		store.resize(body, body.assembly.Len(), most)
		in.concludeWith(CodeContinue, "", in.block1(true))
	case block.Completes:
		in.m.Body = body.assembly.Take()
		store.resize(body, 0, most)
		blocks.upload = body
		return true
	case block.Repeats:
		in.repeat(body)
	case block.LagsAgain:
		in.done()
		in.acknowledgeOnly()
	case block.Misses:
		in.concludeWith(CodeRequestEntityIncomplete, "the blocks before this one are not here",
			in.block1(false))
	}
	return false
}

// admitsBlock reports whether a block agrees with its option and belongs to a body of at most so
// many bytes. Otherwise it ends the request.
func (in *serverRequest) admitsBlock(most int) bool {
	blocks, size := in.blocks, len(in.m.Body)
	total, _ := findOption(in.m.Options, OptionSize1)
	switch {
	case !blocks.one.Fits(size):
		in.concludeWith(CodeBadRequest, "the block has another size than it says", in.block1(false))
		return false
	case int(blocks.one.Offset())+size > most || wire.ParseUint(total) > uint64(most):
		in.c.l.store.drop(in.c, blocks.key)
		echo := block.Value{Num: blocks.one.Num, SZX: blocks.one.SZX} // a smaller size would not help
		in.concludeWith(CodeRequestEntityTooLarge, "",
			Option{OptionBlock1, echo.Encode()}, Option{OptionSize1, wire.EncodeUint(uint64(most))})
		return false
	}
	return true
}

// storedRequest returns the body that a block belongs to, or nil.
func (in *serverRequest) storedRequest(most int) *storedBody {
	store, blocks := &in.c.l.store, in.blocks
	if blocks.one.Num == 0 {
		return store.add(in.c, blocks.key, most)
	}
	return store.find(in.c, blocks.key)
}

// acknowledgeOnly ends a request without a response.
func (in *serverRequest) acknowledgeOnly() {
	if in.c.ended == nil && in.confirmable && !in.acked {
		in.acked = true
		in.sendEmpty()
	}
	if in.c.ended == nil && in.c.proto.Reliable() {
		in.c.native.Handled()
	}
	in.forget()
}

// repeat answers the last block of a request's body, which has come again in another message.
func (in *serverRequest) repeat(body *storedBody) {
	if body.response == nil {
		body.waiting = append(body.waiting, in)
		return
	}
	in.conclude(body.response)
}

// answered keeps the response to the request with the body, and sends it to those that wait.
func (b *storedBody) answered(w *response) {
	b.response = w
	for _, in := range b.waiting {
		in.conclude(w)
	}
	b.waiting = nil
}

// answerFromStore answers the request for a further block of a response. It reports false if a
// handler has to make the response anew.
func (in *serverRequest) answerFromStore() bool {
	blocks := in.blocks
	body := in.c.l.store.find(in.c, block.ResponseKey(blocks.key))
	switch {
	case body != nil && !in.multicast:
		in.done()
		_ = in.respond(in.c.slice(body.response, &blocks.two, int(blocks.two.Offset())))
		return true
	case Code(in.m.Code) == MethodGet, Code(in.m.Code) == MethodFetch && len(in.m.Body) > 0:
		return false
	default:
		in.concludeWith(CodeRequestEntityIncomplete, "the body of this response is gone")
		return true
	}
}

// blockwise returns the message that answers a request: the response, or one block of it.
func (in *serverRequest) blockwise(w *response) *ccoap.Message {
	if in.c.ended != nil {
		return &ccoap.Message{}
	}
	blocks := in.blocks
	switch {
	case blocks == nil && (len(w.body)+w.options.wireSize() <= smallResponse || in.c.whole(w, nil)):
		return &ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body}
	case blocks == nil:
		return in.c.publish(block.RequestKey(uint8(in.m.Code), in.m.Options), w, nil)
	}
	if blocks.has1 {
		w.options = w.options.without(OptionBlock1).with(in.block1(false))
	}
	var two *block.Value
	if blocks.has2 {
		two = &blocks.two
	}
	m := in.c.publish(blocks.key, w, two)
	if blocks.upload != nil {
		blocks.upload.answered(&response{code: Code(m.Code), options: decodeOptions(m.Options),
			body: m.Body})
	}
	return m
}

// publish returns the message for the response to a request with a key. If the response does not
// fit into one message, it is kept for the requests that ask for further blocks. The session is
// not over.
func (c *conn) publish(key string, w *response, two *block.Value) *ccoap.Message {
	if w.code == CodeValid || c.whole(w, two) { // 2.03 is about all of the body
		return &ccoap.Message{Code: int(w.code), Options: w.options.encode(), Body: w.body}
	}
	w.tag()
	kept := *w
	kept.options = w.options.without(OptionBlock1, OptionObserve)
	most := c.l.config.maxBody()
	stored := c.l.store.add(c, block.ResponseKey(key), most)
	stored.response = &kept
	c.l.store.resize(stored, len(w.body), most)
	offset := 0
	if two != nil && w.code.IsSuccess() {
		offset = int(two.Offset())
	}
	return c.slice(w, two, offset)
}

// tag adds an ETag that is computed from the body, unless the response has one.
func (w *response) tag() {
	if _, ok := w.options.Get(OptionETag); !ok {
		tag := binary.BigEndian.AppendUint64(nil, maphash.Bytes(messageSeed, w.body))
		w.options = w.options.with(Option{OptionETag, tag})
	}
}

// whole reports whether a response goes in one message, without block options.
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

// slice returns the message with the block at an offset, of the size that was asked for, if any
// was.
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
