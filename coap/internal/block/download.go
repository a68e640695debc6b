package block

import (
	"bytes"
	"fmt"
	"io"
)

// maxTotal is the largest size of a body, as a response announces it, that is believed.
const maxTotal = 1 << 40

// A Part is a response as a download sees it.
type Part struct {
	Code     uint8
	Body     []byte
	Block    Value // Block2, or the zero value
	HasBlock bool
	ETag     []byte
	HasETag  bool
	Size     uint64 // Size2
	HasSize  bool
}

// A Download is the body of a response that a client fetches (RFC 7959, section 2.4).
type Download struct {
	sink      io.Writer
	most      int
	mayRepeat bool

	begun    bool // and not to begin again
	isFirst  bool
	code     uint8
	etag     []byte
	hasETag  bool
	body     []byte
	offset   int   // of the part that is to come
	szx      uint8 // of the block that was asked for
	total    int64 // bytes, or -1
	restarts int
}

// MakeDownload returns a download to a sink, which gets the body of a successful response, or,
// where that is nil, of a body with so many bytes at most. mayRepeat says that the body may be
// fetched anew when it changes.
func MakeDownload(sink io.Writer, most int, mayRepeat bool) Download {
	return Download{sink: sink, most: most, mayRepeat: mayRepeat, total: -1}
}

// Total returns the size of the body in bytes, or -1 where it is not known.
func (d *Download) Total() int64 { return d.total }

// Received returns how many bytes of the body are there.
func (d *Download) Received() int { return d.offset }

// IsFirst reports whether the part that was added last is the first of its body. Its other
// options are those of the response.
func (d *Download) IsFirst() bool { return d.isFirst }

// Body returns what is there of the body, and did not go to the sink.
func (d *Download) Body() []byte { return d.body }

// Add takes a response, and returns the block to be asked for next, unless all of the body is
// there. It returns an error that matches ErrBad, ErrChanged or ErrTooLarge, or that of the
// sink.
func (d *Download) Add(p Part) (next Value, more bool, err error) {
	d.isFirst = false
	if d.isReplacedBy(&p) {
		if p.Code == codeValid && d.sink != nil {
			return next, false, ErrChanged
		}
		d.drop(&p)
	}
	if err := d.check(&p); err != nil {
		return next, false, err
	}
	switch {
	case !d.begun:
		d.begin(&p)
	case d.differs(&p):
		next, err := d.restart(&p)
		return next, err == nil, err
	}
	if err := d.write(p.Body, p.Block.More); err != nil || !p.Block.More {
		return next, false, err
	}
	return d.following(p.Block.SZX)
}

// isReplacedBy reports whether a response comes in place of the rest of the body: an error, or
// a 2.03.
func (d *Download) isReplacedBy(p *Part) bool {
	return d.offset > 0 && (!isSuccess(p.Code) || p.Code == codeValid) && p.Code != d.code
}

// drop forgets the body because another one is there, which is all in one message or begins.
func (d *Download) drop(p *Part) {
	d.begun, d.body, d.offset = false, nil, 0
	if p.Block.Num > 0 {
		p.Block, p.HasBlock = Value{}, false
	}
}

// check refuses a block that was not asked for.
func (d *Download) check(p *Part) error {
	switch {
	case !p.HasBlock && d.offset == 0:
		return nil
	case !p.HasBlock:
		return fmt.Errorf("%w: none in the response", ErrBad)
	case p.Block.Offset() != int64(d.offset):
		return fmt.Errorf("%w: offset %d in place of %d", ErrBad, p.Block.Offset(), d.offset)
	case d.begun && p.Block.SZX > d.szx:
		return fmt.Errorf("%w: larger than asked for", ErrBad)
	case !p.Block.Fits(len(p.Body)):
		return fmt.Errorf("%w: %d bytes in a block of %d", ErrBad, len(p.Body), p.Block.Size())
	}
	return nil
}

// begin notes what the first part says of the others.
func (d *Download) begin(p *Part) {
	d.begun, d.isFirst = true, true
	d.code, d.etag, d.hasETag = p.Code, p.ETag, p.HasETag
	switch {
	case p.HasSize && p.Size < maxTotal:
		d.total = int64(p.Size)
	case !p.HasSize && !p.Block.More:
		d.total = int64(len(p.Body))
	}
}

// differs reports whether a part is of another body than those before it.
func (d *Download) differs(p *Part) bool {
	return p.Code != d.code || p.HasETag != d.hasETag || !bytes.Equal(p.ETag, d.etag)
}

// restart forgets what is there and returns the first block, where the body may be fetched anew.
func (d *Download) restart(p *Part) (next Value, err error) {
	written := d.offset > 0 && d.sink != nil
	if !d.mayRepeat || written || d.restarts == maxRestarts {
		return next, ErrChanged
	}
	restarts := d.restarts + 1
	*d = MakeDownload(d.sink, d.most, d.mayRepeat)
	d.restarts = restarts
	return Value{SZX: min(p.Block.SZX, MaxSZX)}, nil
}

// write takes a part of the body.
func (d *Download) write(part []byte, more bool) error {
	switch {
	case d.sink != nil && isSuccess(d.code):
		if len(part) > 0 {
			if _, err := d.sink.Write(part); err != nil {
				return err
			}
		}
	case d.offset == 0 && !more:
		d.body = part
	case d.offset+len(part) > d.most, more && d.total > int64(d.most):
		return ErrTooLarge
	default:
		if d.offset == 0 && d.total > 0 {
			d.body = make([]byte, 0, d.total)
		}
		d.body = append(d.body, part...)
	}
	d.offset += len(part)
	return nil
}

// following returns the block that follows what is there.
func (d *Download) following(szx uint8) (next Value, more bool, err error) {
	d.szx = szx
	if d.offset>>(min(szx, MaxSZX)+4) > MaxNum {
		return next, false, ErrTooLarge
	}
	return At(d.offset, szx), true, nil
}
