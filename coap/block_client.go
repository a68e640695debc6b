package coap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Progress says how far a request is, in bytes of the bodies. A total is -1
// while it is not known.
type Progress struct {
	Sent         int64 // of the request's body, acknowledged by the server
	SendTotal    int64
	Received     int64 // of the response's body
	ReceiveTotal int64
}

// maxRestarts is how often a transfer begins again, from block 0.
const maxRestarts = 3

// A transfer is a request and its response, where that takes several messages, or
// somebody wants to know how far it is.
type transfer struct {
	c        *conn
	ctx      context.Context
	r        Request
	options  Options // of the request, in each of its messages
	progress Progress
}

var errOwnBlocks = errors.New("a request with block options of its own cannot have a Source or a Sink")

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
		defer c.requests.Add(-1)
	}
	oneMessage := own || r.Source == nil && (len(r.Body) <= 16<<szx || c.proto.Reliable() && c.mtu.Load() == 0)
	var m ccoap.Message
	var err error
	if oneMessage {
		token := r.Token
		for again := true; again; {
			encoded := options.encode()
			if !own && c.asksEarly(szx) {
				encoded = options.encode(early(szx))
			}
			first := r.message(encoded, r.Body)
			first.Token = token
			if m, err = s.exchange(ctx, first); err != nil {
				break
			}
			options, again = r.answering(&m, options)
			token = nil // a late duplicate of the first response has the old one
		}
		switch {
		case err == nil && (own || r.isSimple(&m)):
			return &Response{Code: Code(m.Code), Options: decodeOptions(m.Options), Body: m.Body}, nil
		case err != nil && (own || !errors.Is(err, ErrTooLarge) || len(r.Body) == 0):
			return nil, err
		}
	}
	t := newTransfer(ctx, c, r, options)
	switch {
	case !oneMessage && r.Source != nil:
		var src *source
		if src, err = newSource(r.Source); err == nil {
			m, err = t.send(src, szx, false)
		}
	case !oneMessage || err != nil:
		m, err = t.send(ofBytes(r.Body), szx, err != nil)
	default:
		if hint, ok := t.smaller(&m, szx); ok && hint.size() < len(r.Body) {
			m, err = t.send(ofBytes(r.Body), hint.szx, true)
			break
		}
		t.progress.Sent, t.progress.SendTotal = int64(len(r.Body)), int64(len(r.Body))
	}
	if err != nil {
		return nil, err
	}
	return t.receive(m)
}

// newTransfer copies the request, so that one that needs no transfer can stay on its
// caller's stack.
func newTransfer(ctx context.Context, c *conn, r *Request, options Options) *transfer {
	t := &transfer{c: c, ctx: ctx, r: *r, options: options.Clone(), progress: Progress{ReceiveTotal: -1}}
	t.r.Options = nil
	return t
}

// message is a message of the request.
func (r *Request) message(options wire.Options, body []byte) *ccoap.Message {
	m := &ccoap.Message{Type: ccoap.Confirmable, Code: int(r.Method), Options: options, Body: body}
	if r.NonConfirmable {
		m.Type = ccoap.NonConfirmable
	}
	return m
}

// isSimple reports whether nothing more is to be done than to return a response.
func (r *Request) isSimple(response *ccoap.Message) bool {
	return r.Sink == nil && r.OnProgress == nil && Code(response.Code) != CodeRequestEntityTooLarge && !hasBlocks(response)
}

// ready waits until messages can be exchanged, or the session is over.
func (s *Session) ready(ctx context.Context) error {
	if err := s.c.l.mayWait(); err != nil {
		return err
	}
	select {
	case <-s.c.connected:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converse sends a message and what next returns for each response, until that is
// nil, and returns the last response. Unless there is something of the user's to be
// called, that goes without waking this goroutine up for each.
func (t *transfer) converse(m *ccoap.Message, next func(ccoap.Message) (*ccoap.Message, error)) (ccoap.Message, error) {
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

// oneMessage is how many bytes of body are worth sending in one message over a
// reliable transport.
func (t *transfer) oneMessage(src *source, most int) int {
	most = min(most, t.c.l.config.maxBody())
	if total := t.progress.SendTotal; total >= 0 && total <= int64(most) {
		return int(total)
	}
	return max(0, min(most, maxBERT))
}

// early asks for a response in blocks of a size (RFC 7959, section 2.4).
func early(szx uint8) Option { return Option{OptionBlock2, blockValue{szx: szx}.encode()} }

// asksEarly reports whether requests ask for blocks: where the user has set a size that
// is not the server's choice anyway.
func (c *conn) asksEarly(szx uint8) bool {
	return szx < maxSZX || c.l.config.BlockSize != 0 && !c.proto.Reliable()
}

// smaller returns the block that a server asks for that finds one of size szx too large.
func (t *transfer) smaller(m *ccoap.Message, szx uint8) (blockValue, bool) {
	if Code(m.Code) != CodeRequestEntityTooLarge {
		return blockValue{}, false
	}
	b, ok, err := t.c.findBlock(m.Options, OptionBlock1)
	return b, ok && err == nil && b.szx < szx
}

// send sends the body in blocks (RFC 7959, section 2.5), or in one message where
// it fits and that is allowed, and returns the response, or its first block.
func (t *transfer) send(src *source, szx uint8, blocks bool) (m ccoap.Message, err error) {
	t.progress.SendTotal = src.size
	own := t.c.blockSZX()
	most := t.c.session.room(t.options.wireSize())
	if szx == maxSZX && t.c.session.takesSeveral() {
		szx = bert
	}
	szx = fitSZX(szx, most)
	if t.progress.SendTotal > int64(maxBlockNum+1)<<(min(szx, maxSZX)+4) {
		return m, ErrBodyTooLarge
	}
	size := chunk(szx, most)
	if !blocks && t.c.proto.Reliable() {
		size = t.oneMessage(src, most)
	}
	u := &upload{t: t, src: src, own: own, most: most, szx: szx, size: size, token: t.r.Token}
	next, err := u.next()
	if err != nil {
		return m, err
	}
	return t.converse(next, func(m ccoap.Message) (*ccoap.Message, error) {
		if over, err := u.add(&m); over || err != nil {
			return nil, err
		}
		return u.next()
	})
}

// An upload is a body that is being sent.
type upload struct {
	t        *transfer
	src      *source
	own      uint8 // the size exponent of this side
	most     int   // bytes of body in a message
	szx      uint8
	size     int // of the next block, or all of the body
	offset   int
	restarts int
	block    []byte // that was sent last
	sent     blockValue
	token    []byte // of all blocks: there are servers that put them together by it
}

// next returns the message with the next block.
func (u *upload) next() (*ccoap.Message, error) {
	block, more, err := u.src.peek(u.size)
	if err == nil && more && u.size != chunk(u.szx, u.most) {
		if int64(u.size) == u.t.progress.SendTotal { // the source has more than it said
			u.t.progress.SendTotal = -1
		}
		u.size = chunk(u.szx, u.most)
		block, more, err = u.src.peek(u.size)
	}
	if err != nil {
		return nil, err
	}
	u.block, u.sent = block, at(u.offset, u.szx)
	u.sent.more = more
	if u.sent.num > maxBlockNum {
		return nil, ErrBodyTooLarge
	}
	m := u.t.r.message(u.t.blockOptions(u.sent, u.own), block)
	if len(u.token) == 0 && !ccoap.TokenIsOfOneMessage {
		u.token = wire.NewToken().Append(nil, wire.TokenSize)
	}
	m.Token = u.token
	if ccoap.TokenIsOfOneMessage {
		u.token = nil
	}
	return m, nil
}

// isStale reports whether a response is to an earlier block than a message has, under
// the same token. Piggybacked ones have the message's ID.
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

// add takes the response to the last block. It reports whether there are no more to
// be sent.
func (u *upload) add(m *ccoap.Message) (over bool, err error) {
	t := u.t
	got, has, err := t.c.findBlock(m.Options, OptionBlock1)
	if err != nil {
		return false, fmt.Errorf("%w: Block1: %w", ErrBadBlock, err)
	}
	switch code := Code(m.Code); {
	case u.answer(m):
		return false, nil
	case code == CodeContinue && !(u.sent.more && has && got.num == u.sent.num):
		return false, fmt.Errorf("%w: %v does not fit block %d", ErrBadBlock, code, u.sent.num)
	case u.sent.more && has && got.num == u.sent.num && code.IsSuccess(): // of this block alone, or 2.31
		u.offset += len(u.block)
		u.src.skip(len(u.block))
		t.progress.Sent = int64(u.offset)
		t.report()
		u.szx = min(u.szx, got.szx)
	case code == CodeRequestEntityTooLarge && has && got.szx < u.szx && got.size() < len(u.block):
		u.szx = got.szx
	case code == CodeRequestEntityIncomplete && u.offset > 0 && u.restarts < maxRestarts && u.src.rewind():
		u.restarts++
		u.offset = 0
	default:
		if code.IsSuccess() {
			t.progress.Sent = int64(u.offset + len(u.block))
			t.progress.SendTotal = t.progress.Sent
		}
		return true, nil
	}
	u.size = chunk(u.szx, u.most)
	return false, nil
}

// blockOptions returns the options of a message with a block, or with all of the body.
func (t *transfer) blockOptions(b blockValue, szx uint8) wire.Options {
	added := make([]Option, 0, 3)
	if !b.more && t.c.asksEarly(szx) {
		added = append(added, early(szx))
	}
	if b.more || b.num > 0 {
		added = append(added, Option{OptionBlock1, b.encode()})
		if b.num == 0 && t.progress.SendTotal >= 0 && !t.options.Has(OptionSize1) {
			added = append(added, Option{OptionSize1, wire.EncodeUint(uint64(t.progress.SendTotal))})
		}
	}
	return t.options.encode(added...)
}

// begin counts a request, and adds a Request-Tag where another one is under way, whose
// blocks could mix with this one's (RFC 9175, section 3.4): those of responses as well,
// because only the first request for them says what its body is. For a C program libcoap
// may add others, to each block another one, where there is none.
func (c *conn) begin(options Options) Options {
	if (c.requests.Add(1) > 1 || c.l.shared) && !options.Has(OptionRequestTag) {
		options = options.with(Option{OptionRequestTag, wire.EncodeUint(c.tags.Add(1))})
	}
	return options
}

func (t *transfer) report() {
	if t.r.OnProgress != nil {
		t.r.OnProgress(t.progress)
	}
}

// receive returns the response of which m is all, or the first block (RFC 7959,
// section 2.4).
func (t *transfer) receive(m ccoap.Message) (*Response, error) {
	var d download
	var b blockValue
	options := t.options.without(OptionObserve)
	asked := false // for b
	next := func(m ccoap.Message) (*ccoap.Message, error) {
		again := false
		if asked {
			options, again = t.r.answering(&m, options)
		}
		if !again {
			var err error
			if b, asked, err = d.add(t, &m); err != nil {
				return nil, err
			}
			t.report()
			if !asked {
				return nil, nil
			}
		}
		return t.r.message(options.encode(Option{OptionBlock2, b.encode()}), nil), nil
	}
	request, err := next(m)
	if err != nil {
		return nil, err
	}
	if request != nil {
		if _, err := t.converse(request, next); err != nil {
			return nil, err
		}
	}
	return d.response, nil
}

// A download is the part of a response that is there.
type download struct {
	response *Response
	etag     []byte
	hasETag  bool
	offset   int
	szx      uint8 // of the block that was asked for
	restarts int
}

// add takes a message, and returns the block to be asked for next, unless all is
// there.
func (d *download) add(t *transfer, m *ccoap.Message) (next blockValue, more bool, err error) {
	code := Code(m.Code)
	b, has, err := t.c.findBlock(m.Options, OptionBlock2)
	if err != nil {
		return next, false, fmt.Errorf("%w: Block2: %w", ErrBadBlock, err)
	}
	if d.offset > 0 && (!code.IsSuccess() || code == CodeValid) && code != d.response.Code { // in place of the rest
		if code == CodeValid && t.r.Sink != nil {
			return next, false, ErrBodyChanged
		}
		d.response, d.offset = nil, 0
		if b.num > 0 {
			b, has = blockValue{}, false
		}
	}
	if !has && d.offset > 0 {
		return next, false, fmt.Errorf("%w: none in the response", ErrBadBlock)
	}
	if has {
		switch {
		case b.offset() != int64(d.offset):
			return next, false, fmt.Errorf("%w: offset %d in place of %d", ErrBadBlock, b.offset(), d.offset)
		case d.response != nil && b.szx > d.szx:
			return next, false, fmt.Errorf("%w: larger than asked for", ErrBadBlock)
		case !b.fits(len(m.Body)):
			return next, false, fmt.Errorf("%w: %d bytes in a block of %d", ErrBadBlock, len(m.Body), b.size())
		}
	}
	etag, hasETag := findOption(m.Options, OptionETag)
	switch {
	case d.response == nil:
		d.response = &Response{Code: code, Options: decodeOptions(m.Options)}
		if has || d.response.Options.hasBlocks() {
			d.response.Options = d.response.Options.without(OptionBlock1, OptionBlock2)
		}
		d.etag, d.hasETag = etag, hasETag
		if size, ok := findOption(m.Options, OptionSize2); ok {
			if size := wire.ParseUint(size); size < 1<<40 {
				t.progress.ReceiveTotal = int64(size)
			}
		} else if !b.more {
			t.progress.ReceiveTotal = int64(len(m.Body))
		}
	case code != d.response.Code || hasETag != d.hasETag || !bytes.Equal(etag, d.etag):
		written := d.offset > 0 && t.r.Sink != nil
		if t.r.Method != MethodGet || written || d.restarts == maxRestarts {
			return next, false, ErrBodyChanged
		}
		t.progress.Received = 0
		t.progress.ReceiveTotal = -1
		*d = download{restarts: d.restarts + 1}
		return blockValue{szx: min(b.szx, maxSZX)}, true, nil
	}
	if err := d.write(t, m.Body, b.more); err != nil {
		return next, false, err
	}
	if !b.more {
		return next, false, nil
	}
	d.szx = b.szx
	next = at(d.offset, b.szx)
	if d.offset>>(min(b.szx, maxSZX)+4) > maxBlockNum {
		return next, false, ErrBodyTooLarge
	}
	return next, true, nil
}

// write takes a part of the body.
func (d *download) write(t *transfer, p []byte, more bool) error {
	r := d.response
	switch most := t.c.l.config.maxBody(); {
	case t.r.Sink != nil && r.Code.IsSuccess():
		if len(p) > 0 {
			if _, err := t.r.Sink.Write(p); err != nil {
				return err
			}
		}
	case d.offset == 0 && !more:
		r.Body = p
	case d.offset+len(p) > most, more && t.progress.ReceiveTotal > int64(most):
		return ErrBodyTooLarge
	default:
		if d.offset == 0 && t.progress.ReceiveTotal > 0 {
			r.Body = make([]byte, 0, t.progress.ReceiveTotal)
		}
		r.Body = append(r.Body, p...)
	}
	d.offset += len(p)
	t.progress.Received = int64(d.offset)
	return nil
}

// A source is where the body of a request comes from.
type source struct {
	body   []byte // in all
	pos    int
	reader *bufio.Reader // or nil
	from   io.Reader
	start  int64 // of from, or -1 where it cannot go back
	size   int64 // in bytes, or -1 where it is not known
}

func ofBytes(body []byte) *source { return &source{body: body, size: int64(len(body))} }

func newSource(from io.Reader) (*source, error) {
	s := &source{reader: bufio.NewReaderSize(from, maxBlock+1), from: from, start: -1, size: -1}
	seeker, ok := from.(io.Seeker)
	if ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.start = start
		}
	}
	switch sized := from.(type) {
	case interface{ Len() int }:
		s.size = int64(sized.Len())
	case interface{ Stat() (fs.FileInfo, error) }: // a directory or a device can be sought in too
		if info, err := sized.Stat(); err == nil && info.Mode().IsRegular() {
			s.size = max(0, info.Size()-max(0, s.start))
		}
	case io.Seeker:
		if s.start < 0 {
			break
		}
		if end, err := seeker.Seek(0, io.SeekEnd); err == nil {
			s.size = max(0, end-s.start)
		}
		if _, err := seeker.Seek(s.start, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// peek returns the next bytes, n where there are so many, and whether there are
// more. They are valid until the next call.
func (s *source) peek(n int) (p []byte, more bool, err error) {
	if s.reader == nil {
		rest := s.body[s.pos:]
		n = min(n, len(rest))
		return rest[:n], n < len(rest), nil
	}
	if s.reader.Size() <= n {
		s.reader = bufio.NewReaderSize(s.reader, n+1)
	}
	p, err = s.reader.Peek(n + 1)
	switch {
	case err == nil:
		return p[:n], true, nil
	case errors.Is(err, io.EOF):
		return p, false, nil
	}
	return nil, false, err
}

// skip says that bytes are sent.
func (s *source) skip(n int) {
	if s.reader == nil {
		s.pos += n
	} else {
		_, _ = s.reader.Discard(n)
	}
}

// rewind goes back to the start, where that is possible.
func (s *source) rewind() bool {
	if s.reader == nil {
		s.pos = 0
		return true
	}
	if s.start < 0 {
		return false
	}
	if _, err := s.from.(io.Seeker).Seek(s.start, io.SeekStart); err != nil {
		return false
	}
	s.reader.Reset(s.from)
	return true
}
