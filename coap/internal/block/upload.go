package block

import "fmt"

// An Upload is the body of a request that a client sends (RFC 7959, section 2.5).
type Upload struct {
	source   *Source
	room     int   // for the body in a message, in bytes
	szx      uint8 // of the next block
	size     int   // of the next message's part in bytes
	offset   int   // of the next message's part
	total    int64 // bytes, or -1
	restarts int
	part     []byte // that was sent last
	sent     Value  // that was sent last
}

// NewUpload begins an upload in blocks of a size, or of less where messages do not have as
// much room. It returns ErrTooLarge where these cannot be numbered.
func NewUpload(source *Source, szx uint8, room int) (*Upload, error) {
	szx = Shrink(szx, room)
	if source.size > int64(MaxNum+1)<<(min(szx, MaxSZX)+4) {
		return nil, ErrTooLarge
	}
	return &Upload{source: source, room: room, szx: szx, size: PartSize(szx, room),
		total: source.size}, nil
}

// Join has the first message carry all of the body where it has room for that, and otherwise
// as much as is worth sending at once. It may not have more than most bytes.
func (u *Upload) Join(most int) {
	most = min(u.room, most)
	if u.total >= 0 && u.total <= int64(most) {
		u.size = int(u.total)
		return
	}
	u.size = max(0, min(most, maxBERT))
}

// Total returns the size of the body in bytes, or -1 where it is not known.
func (u *Upload) Total() int64 { return u.total }

// Sent returns how many bytes of the body are acknowledged.
func (u *Upload) Sent() int { return u.offset }

// Next returns what is to be sent next. It is valid until Add, Repeat or Next is called. It
// returns ErrTooLarge where the block cannot be numbered, and the errors of the source.
func (u *Upload) Next() (v Value, part []byte, err error) {
	part, more, err := u.source.peek(u.size)
	if err == nil && more && u.size != PartSize(u.szx, u.room) {
		if int64(u.size) == u.total { // the source has more than it said
			u.total = -1
		}
		u.size = PartSize(u.szx, u.room)
		part, more, err = u.source.peek(u.size)
	}
	if err != nil {
		return v, nil, err
	}
	u.part, u.sent = part, At(u.offset, u.szx)
	u.sent.More = more
	if u.sent.Num > MaxNum {
		return v, nil, ErrTooLarge
	}
	return u.sent, part, nil
}

// A Step is what becomes of an upload after a response.
type Step int

const (
	// Again has Next return the same part of the body in another form, or the first one.
	Again Step = iota
	// Onward has Next return the part that follows.
	Onward
	// Over says that the response is that to the whole request.
	Over
)

// Add takes the response to what was sent last: its code, and its option Block1 if it has one.
func (u *Upload) Add(code uint8, got Value, has bool) (Step, error) {
	acknowledged := u.sent.More && has && got.Num == u.sent.Num
	switch {
	case code == codeContinue && !acknowledged:
		return Over, fmt.Errorf("%w: 2.31 Continue does not fit block %d", ErrBad, u.sent.Num)
	case acknowledged && isSuccess(code): // of this block alone, or 2.31
		u.skip()
		u.szx = min(u.szx, got.SZX)
		u.size = PartSize(u.szx, u.room)
		return Onward, nil
	case code == codeTooLarge && has && got.SZX < u.szx && got.Size() < len(u.part):
		u.szx = got.SZX
	case code == codeIncomplete && u.offset > 0 && u.restarts < maxRestarts && u.source.rewind():
		u.restarts++
		u.offset = 0
	default:
		if isSuccess(code) {
			u.offset += len(u.part)
			u.total = int64(u.offset)
		}
		return Over, nil
	}
	u.size = PartSize(u.szx, u.room)
	return Again, nil
}

// skip goes on behind what was sent last.
func (u *Upload) skip() {
	u.offset += len(u.part)
	u.source.skip(len(u.part))
}

// Repeat has what was sent last sent again, in a message that has less room by some bytes.
// Where that was the last part, the server has dealt with the body and wants all of it again;
// Repeat reports false where the source cannot go back.
func (u *Upload) Repeat(less int) bool {
	if !u.sent.More && u.offset > 0 && !u.source.rewind() {
		return false
	}
	if !u.sent.More {
		u.offset = 0
	}
	u.room -= less
	if szx := Shrink(u.szx, u.room); szx != u.szx || u.size > u.room {
		u.szx, u.size = szx, PartSize(szx, u.room)
	}
	return true
}
