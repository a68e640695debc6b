package coap

import (
	"context"
	"errors"
	"fmt"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Progress says how much of the bodies of a request and its response has been transferred, in
// bytes. A total is -1 while it is not known.
type Progress struct {
	Sent         int64 // of the request's body, acknowledged by the server
	SendTotal    int64
	Received     int64 // of the response's body
	ReceiveTotal int64
}

// A transfer is a request and its response, where that takes several messages, or the caller
// wants to know its progress.
type transfer struct {
	c        *conn
	ctx      context.Context
	r        Request
	options  Options // of the request, in each of its messages
	progress Progress
}

var errOwnBlocks = errors.New(
	"a request with block options of its own cannot have a Source or a Sink")

// do sends a request, with options in place of its own, and returns its response.
func (s *Session) do(ctx context.Context, r *Request, options Options) (*Response, error) {
	c := s.c
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	own := options.hasBlocks()
	if own && (r.Source != nil || r.Sink != nil) {
		return nil, errOwnBlocks
	}
	szx := c.blockSZX()
	if !own && r.Method != MethodGet {
		options = c.begin(options)
		defer c.transfers.requests.Add(-1)
	}
	if !own && !c.fitsOneMessage(r, szx) {
		return newTransfer(ctx, c, r, options).inBlocks(szx)
	}
	m, options, err := s.doWhole(ctx, r, options, !own && c.asksEarly(szx), szx)
	switch {
	case err == nil && (own || r.isSimple(&m)):
		return &Response{Code: Code(m.Code), Options: decodeOptions(m.Options), Body: m.Body}, nil
	case err == nil:
		return newTransfer(ctx, c, r, options).finish(m, szx)
	case !own && errors.Is(err, ErrTooLarge) && len(r.Body) > 0:
		return newTransfer(ctx, c, r, options).sendAndReceive(block.FromBytes(r.Body), szx, true)
	}
	return nil, err
}

// fitsOneMessage reports whether a request is tried in one message first.
func (c *conn) fitsOneMessage(r *Request, szx uint8) bool {
	return r.Source == nil &&
		(len(r.Body) <= 16<<szx || c.proto.Reliable() && c.transfers.mtu.Load() == 0)
}

// doWhole sends a request in one message, and once more if the response asks for an Echo option.
// It returns the options of the last request.
func (s *Session) doWhole(ctx context.Context, r *Request, options Options, asksEarly bool,
	szx uint8) (
	m ccoap.Message, _ Options, err error,
) {
	token := r.Token
	for again := true; again; {
		var encoded wire.Options
		if asksEarly {
			encoded = options.encode(early(szx))
		} else {
			encoded = options.encode()
		}
		first := r.message(encoded, r.Body)
		first.Token = token
		if m, err = s.exchange(ctx, first); err != nil {
			break
		}
		options, again = r.answering(&m, options)
		token = nil // a late duplicate of the first response has the old one
	}
	return m, options, err
}

// newTransfer copies the request, so that a request that needs no transfer can stay on the
// caller's stack.
func newTransfer(ctx context.Context, c *conn, r *Request, options Options) *transfer {
	t := &transfer{c: c, ctx: ctx, r: *r, options: options.Clone(),
		progress: Progress{ReceiveTotal: -1}}
	t.r.Options = nil
	return t
}

// inBlocks makes the request in blocks of a size.
func (t *transfer) inBlocks(szx uint8) (*Response, error) {
	if t.r.Source == nil {
		return t.sendAndReceive(block.FromBytes(t.r.Body), szx, false)
	}
	source, err := block.FromReader(t.r.Source)
	if err != nil {
		return nil, err
	}
	return t.sendAndReceive(source, szx, false)
}

// finish returns the response whose first part is m, after a request that went in one message. If
// the server wants smaller blocks, the request is sent again.
func (t *transfer) finish(m ccoap.Message, szx uint8) (*Response, error) {
	if hint, ok := t.smaller(&m, szx); ok && hint.Size() < len(t.r.Body) {
		return t.sendAndReceive(block.FromBytes(t.r.Body), hint.SZX, true)
	}
	t.progress.Sent, t.progress.SendTotal = int64(len(t.r.Body)), int64(len(t.r.Body))
	return t.receive(m)
}

// smaller returns the block size that the server asks for when a block of size szx is too large.
func (t *transfer) smaller(m *ccoap.Message, szx uint8) (block.Value, bool) {
	if Code(m.Code) != CodeRequestEntityTooLarge {
		return block.Value{}, false
	}
	v, ok, err := t.c.findBlock(m.Options, OptionBlock1)
	return v, ok && err == nil && v.SZX < szx
}

// sendAndReceive sends a body and returns the response.
func (t *transfer) sendAndReceive(source *block.Source, szx uint8, blocks bool) (*Response, error) {
	m, err := t.send(source, szx, blocks)
	if err != nil {
		return nil, err
	}
	return t.receive(m)
}

// message returns a message of the request.
func (r *Request) message(options wire.Options, body []byte) *ccoap.Message {
	m := &ccoap.Message{Type: ccoap.Confirmable, Code: int(r.Method), Options: options, Body: body}
	if r.NonConfirmable {
		m.Type = ccoap.NonConfirmable
	}
	return m
}

// isSimple reports whether a response can be returned as it is.
func (r *Request) isSimple(response *ccoap.Message) bool {
	return r.Sink == nil && r.OnProgress == nil && Code(response.Code) != CodeRequestEntityTooLarge &&
		!block.Mentioned(response.Options)
}

// ready waits until messages can be exchanged, or the session is over.
func (s *Session) ready(ctx context.Context) error {
	if err := s.c.l.mayWait(); err != nil {
		return err
	}
	select {
	case <-s.c.ready.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converse sends a message, and then what next returns for each response, until that is nil. It
// returns the last response. Unless next may call the caller's code, this goroutine does not wake
// up for each response.
func (t *transfer) converse(
	m *ccoap.Message, next func(ccoap.Message) (*ccoap.Message, error),
) (ccoap.Message, error) {
	if t.r.Source == nil && t.r.Sink == nil && t.r.OnProgress == nil {
		return t.c.session.converse(t.ctx, m, next)
	}
	for {
		response, err := t.c.session.exchange(t.ctx, m)
		if err != nil {
			return response, err
		}
		if m, err = next(response); m == nil || err != nil {
			return response, err
		}
	}
}

// early is the option that asks for a response in blocks of a size (RFC 7959, section 2.4).
func early(szx uint8) Option { return Option{OptionBlock2, block.Value{SZX: szx}.Encode()} }

// asksEarly reports whether requests ask for blocks of a size: if the user has set one that the
// server would not choose anyway.
func (c *conn) asksEarly(szx uint8) bool {
	return szx < block.MaxSZX || c.l.config.BlockSize != 0 && !c.proto.Reliable()
}

// send sends the body in blocks, or in one message if it fits and blocks are not required. It
// returns the response, or its first block.
func (t *transfer) send(source *block.Source, szx uint8, blocks bool) (m ccoap.Message, err error) {
	own := t.c.blockSZX()
	room := t.c.session.room(t.options.wireSize())
	if szx == block.MaxSZX && t.c.session.takesSeveral() {
		szx = block.BERT
	}
	body, err := block.NewUpload(source, szx, room)
	if err != nil {
		return m, err
	}
	if !blocks && t.c.proto.Reliable() {
		body.Join(t.c.l.config.maxBody())
	}
	u := &upload{t: t, body: body, ownSZX: own, token: t.r.Token}
	first, err := u.next()
	if err != nil {
		return m, err
	}
	return t.converse(first, u.add)
}

// An upload sends the body of a request.
type upload struct {
	t      *transfer
	body   *block.Upload
	ownSZX uint8  // of this side, for the response
	token  []byte // of all blocks: some servers put them together by it
}

// next returns the message with the next block.
func (u *upload) next() (*ccoap.Message, error) {
	v, part, err := u.body.Next()
	if err != nil {
		return nil, err
	}
	u.t.progress.SendTotal = u.body.Total()
	m := u.t.r.message(u.options(v), part)
	if len(u.token) == 0 && !ccoap.TokenIsOfOneMessage {
		u.token = wire.NewToken().Append(nil, wire.TokenSize)
	}
	m.Token = u.token
	if ccoap.TokenIsOfOneMessage {
		u.token = nil
	}
	return m, nil
}

// options returns the options of a message with a block, or with all of the body.
func (u *upload) options(v block.Value) wire.Options {
	t := u.t
	added := make([]Option, 0, 3)
	if !v.More && t.c.asksEarly(u.ownSZX) {
		added = append(added, early(u.ownSZX))
	}
	if v.More || v.Num > 0 {
		added = append(added, Option{OptionBlock1, v.Encode()})
		if total := u.body.Total(); v.Num == 0 && total >= 0 && !t.options.Has(OptionSize1) {
			added = append(added, Option{OptionSize1, wire.EncodeUint(uint64(total))})
		}
	}
	return t.options.encode(added...)
}

// add takes the response to the last message, and returns the next message, or nil if it is the
// response to the whole request.
func (u *upload) add(m ccoap.Message) (*ccoap.Message, error) {
	t := u.t
	got, has, err := t.c.findBlock(m.Options, OptionBlock1)
	if err != nil {
		return nil, fmt.Errorf("%w: Block1: %w", ErrBadBlock, err)
	}
	if u.answer(&m) {
		return u.next()
	}
	step, err := u.body.Add(uint8(m.Code), got, has)
	if err != nil {
		return nil, err
	}
	switch step {
	case block.Onward:
		t.progress.Sent = int64(u.body.Sent())
		t.report()
	case block.Over:
		if Code(m.Code).IsSuccess() {
			t.progress.Sent, t.progress.SendTotal = int64(u.body.Sent()), u.body.Total()
		}
		return nil, nil
	}
	return u.next()
}

// isStale reports whether a response answers an earlier block than that of a message with the same
// token. Piggybacked responses need no such check: they have the message's ID.
func isStale(response, to *ccoap.Message) bool {
	if response.Type == ccoap.Acknowledgement {
		return false
	}
	got, ok := findOption(response.Options, OptionBlock1)
	if !ok {
		return false
	}
	sent, ok := findOption(to.Options, OptionBlock1)
	return ok && wire.ParseUint(got)>>4 < wire.ParseUint(sent)>>4
}

// begin counts a request, and adds a Request-Tag if another one is under way, whose blocks could
// be confused with this one's (RFC 9175, section 3.4). That applies to the blocks of responses as
// well, because only the first request for them carries the request's body. In the context of a C
// program libcoap adds a Request-Tag of its own, a different one for each block, to messages
// without one.
func (c *conn) begin(options Options) Options {
	if (c.transfers.requests.Add(1) > 1 || c.l.shared) && !options.Has(OptionRequestTag) {
		options = options.with(Option{OptionRequestTag, wire.EncodeUint(c.transfers.tags.Add(1))})
	}
	return options
}

func (t *transfer) report() {
	if t.r.OnProgress != nil {
		t.r.OnProgress(t.progress)
	}
}

// receive returns the response that m is, or of which it is the first block.
func (t *transfer) receive(m ccoap.Message) (*Response, error) {
	d := &download{
		t:       t,
		body:    block.MakeDownload(t.r.Sink, t.c.l.config.maxBody(), t.r.Method == MethodGet),
		options: t.options.without(OptionObserve),
	}
	request, err := d.add(m)
	if err != nil {
		return nil, err
	}
	if request != nil {
		if _, err := t.converse(request, d.add); err != nil {
			return nil, err
		}
	}
	d.response.Body = d.body.Body()
	return d.response, nil
}

// A download fetches a response.
type download struct {
	t        *transfer
	body     block.Download
	options  Options   // of the requests for further blocks
	response *Response // without its body
	asked    bool      // for next
	next     block.Value
}

// add takes a response, and returns the request for the next block, or nil if that was the last.
func (d *download) add(m ccoap.Message) (*ccoap.Message, error) {
	again := false
	if d.asked {
		d.options, again = d.t.r.answering(&m, d.options)
	}
	if !again {
		if err := d.take(&m); err != nil {
			return nil, err
		}
		d.t.report()
		if !d.asked {
			return nil, nil
		}
	}
	return d.t.r.message(d.options.encode(Option{OptionBlock2, d.next.Encode()}), nil), nil
}

// take takes a response with a part of the body.
func (d *download) take(m *ccoap.Message) (err error) {
	part := block.Part{Code: uint8(m.Code), Body: m.Body}
	part.Block, part.HasBlock, err = d.t.c.findBlock(m.Options, OptionBlock2)
	if err != nil {
		return fmt.Errorf("%w: Block2: %w", ErrBadBlock, err)
	}
	part.ETag, part.HasETag = findOption(m.Options, OptionETag)
	size, hasSize := findOption(m.Options, OptionSize2)
	part.Size, part.HasSize = wire.ParseUint(size), hasSize
	if d.next, d.asked, err = d.body.Add(part); err != nil {
		return err
	}
	if d.body.IsFirst() {
		d.response = &Response{Code: Code(m.Code), Options: decodeOptions(m.Options)}
		if d.response.Options.hasBlocks() {
			d.response.Options = d.response.Options.without(OptionBlock1, OptionBlock2)
		}
	}
	p := &d.t.progress
	p.Received, p.ReceiveTotal = int64(d.body.Received()), d.body.Total()
	return nil
}
