package coap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

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

// A transfer is a request and its response, in as many messages as that takes.
type transfer struct {
	c        *conn
	ctx      context.Context
	r        *Request
	options  Options // of the request, in each of its messages
	progress Progress
}

var errOwnBlocks = errors.New("a request with block options of its own cannot have a Source or a Sink")

// do sends a request and returns its response.
func (c *conn) do(ctx context.Context, r *Request) (*Response, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	t := transfer{c: c, ctx: ctx, r: r, options: r.Options, progress: Progress{ReceiveTotal: -1}}
	if r.Options.hasBlocks() {
		if r.Source != nil || r.Sink != nil {
			return nil, errOwnBlocks
		}
		m, err := t.exchange(r.Options.encode(), r.Body)
		if err != nil {
			return nil, err
		}
		return &Response{Code: Code(m.Code), Options: decodeOptions(m.Options), Body: m.Body}, nil
	}
	m, err := t.send()
	if err != nil {
		return nil, err
	}
	return t.receive(m)
}

// ready waits until messages can be exchanged, or the session is over.
func (c *conn) ready(ctx context.Context) error {
	select {
	case <-c.connected:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exchange sends one message of the request and returns what comes for it.
func (t *transfer) exchange(options ccoap.EncodedOptions, body []byte) (ccoap.Message, error) {
	m := ccoap.Message{Type: ccoap.Confirmable, Code: int(t.r.Method), Options: options, Body: body}
	if t.r.NonConfirmable {
		m.Type = ccoap.NonConfirmable
	}
	return t.c.exchange(t.ctx, &m)
}

// send sends the body of the request and returns the response, or its first block.
func (t *transfer) send() (ccoap.Message, error) {
	szx := t.c.l.config.blockSZX()
	size := 16 << szx
	src := source{body: t.r.Body}
	if t.r.Source != nil {
		src = newSource(t.r.Source)
	}
	t.progress.SendTotal = src.size()
	if t.c.proto.Reliable() {
		size = t.oneMessage(&src)
	}
	body, more, err := src.peek(size)
	if err != nil {
		return ccoap.Message{}, err
	}
	if !more {
		m, err := t.exchange(t.encode(t.early()), body)
		if err != nil && (!errors.Is(err, ErrTooLarge) || len(body) == 0) {
			return m, err
		}
		if err == nil {
			hint, ok := t.smaller(&m, szx)
			if !ok || hint.size() >= len(body) {
				src.skip(len(body))
				t.progress.Sent = int64(len(body))
				return m, nil
			}
			szx = hint.szx
		}
	}
	return t.sendBlocks(&src, szx)
}

// oneMessage is how many bytes of body are worth sending in one message over a
// reliable transport.
func (t *transfer) oneMessage(src *source) int {
	if src.reader == nil {
		return len(src.body)
	}
	most := min(t.c.maxBody(t.options), t.c.l.config.maxBody())
	if total := t.progress.SendTotal; total >= 0 && total <= int64(most) {
		return int(total)
	}
	return max(0, min(most, maxBERT))
}

// early is the option that asks for a response in small blocks (RFC 7959,
// section 2.4), or empty.
func (t *transfer) early() Option {
	szx := t.c.l.config.blockSZX()
	if szx == maxSZX {
		return Option{}
	}
	return Option{OptionBlock2, blockValue{szx: szx}.encode()}
}

// encode returns the options of a message of the request.
func (t *transfer) encode(added ...Option) ccoap.EncodedOptions {
	if len(added) > 0 && added[0].ID == 0 {
		added = added[1:]
	}
	return withOptions(t.options, added...)
}

// smaller returns the block that a server asks for that finds one of size szx too large.
func (t *transfer) smaller(m *ccoap.Message, szx uint8) (blockValue, bool) {
	if Code(m.Code) != CodeRequestEntityTooLarge {
		return blockValue{}, false
	}
	b, ok, err := t.c.findBlock(m.Options, OptionBlock1)
	return b, ok && err == nil && b.szx < szx
}

// sendBlocks sends the body in blocks (RFC 7959, section 2.5).
func (t *transfer) sendBlocks(src *source, szx uint8) (m ccoap.Message, err error) {
	most := t.c.maxBody(t.options)
	if szx == maxSZX && t.c.bert.Load() {
		szx = bertSZX
	}
	szx = fitSZX(szx, most)
	defer t.tag()()
	offset, restarts := 0, 0
	for {
		block, more, err := src.peek(chunk(szx, most))
		if err != nil {
			return m, err
		}
		b := at(offset, szx)
		b.more = more
		if offset>>(min(szx, maxSZX)+4) > maxBlockNum {
			return m, ErrBodyTooLarge
		}
		added := make([]Option, 0, 3)
		if !more {
			if early := t.early(); early.ID != 0 {
				added = append(added, early)
			}
		}
		added = append(added, Option{OptionBlock1, b.encode()})
		if offset == 0 && t.progress.SendTotal >= 0 {
			added = append(added, Option{OptionSize1, appendUint(nil, uint64(t.progress.SendTotal))})
		}
		m, err = t.exchange(withOptions(t.options, added...), block)
		if err != nil {
			return m, err
		}
		got, has, err := t.c.findBlock(m.Options, OptionBlock1)
		if err != nil {
			return m, fmt.Errorf("%w: Block1: %w", ErrBadBlock, err)
		}
		switch code := Code(m.Code); {
		case code == CodeContinue && !more:
			return m, fmt.Errorf("%w: %v after the last one", ErrBadBlock, code)
		case code == CodeContinue && (!has || got.num != b.num):
			return m, fmt.Errorf("%w: %v for another one", ErrBadBlock, code)
		case code == CodeContinue, code.IsSuccess() && has && more && got.num == b.num:
			offset += len(block)
			src.skip(len(block))
			t.progress.Sent = int64(offset)
			t.report()
			if got.szx < szx {
				szx = got.szx
			}
		case code == CodeRequestEntityTooLarge && has && got.szx < szx:
			szx = got.szx
		case code == CodeRequestEntityIncomplete && offset > 0 && restarts < maxRestarts && src.rewind():
			restarts++
			offset = 0
		default:
			if code.IsSuccess() {
				t.progress.Sent = int64(offset + len(block))
			}
			return m, nil
		}
	}
}

// tag adds a Request-Tag option where another transfer is under way in the
// session, whose blocks could mix with this one's (RFC 9175, section 3.4). The
// function that it returns is to be called at the end.
func (t *transfer) tag() func() {
	c := t.c
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.uploads > 0 {
		c.tags++
		t.options = t.options.with(Option{OptionRequestTag, appendUint(nil, c.tags)})
	}
	c.uploads++
	return func() {
		c.l.mu.Lock()
		c.uploads--
		c.l.mu.Unlock()
	}
}

// with returns a copy with one more option.
func (o Options) with(added Option) Options {
	out := make(Options, 0, len(o)+1)
	for i, opt := range o {
		if opt.ID > added.ID {
			return append(append(out, added), o[i:]...)
		}
		out = append(out, opt)
	}
	return append(out, added)
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
	for {
		b, more, err := d.add(t, &m)
		if err != nil {
			return nil, err
		}
		t.report()
		if !more {
			return d.response, nil
		}
		options := t.options.without(OptionObserve)
		m, err = t.exchange(withOptions(options, Option{OptionBlock2, b.encode()}), nil)
		if err != nil {
			return nil, err
		}
	}
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
	if d.offset > 0 && !code.IsSuccess() {
		d.response, d.offset = nil, 0
		has = false
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
			if size := parseUint(size); size < 1<<40 {
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
}

func newSource(from io.Reader) source {
	s := source{reader: bufio.NewReaderSize(from, maxBlock+1), from: from, start: -1}
	if seeker, ok := from.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			s.start = start
		}
	}
	return s
}

// size is how many bytes there are, or -1.
func (s *source) size() int64 {
	switch from := s.from.(type) {
	case nil:
		return int64(len(s.body))
	case interface{ Len() int }:
		return int64(from.Len())
	}
	return -1
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
