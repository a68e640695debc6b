package block

import (
	"bytes"
	"hash/maphash"
)

// An Assembly is the body of a request that a server puts together (RFC 7959, section 2.5).
// The zero value has no block yet.
type Assembly struct {
	body     []byte
	received int   // bytes
	last     Value // that was taken
	lastSum  uint64
	answered int // up to where blocks before the last one were answered again
	complete bool
}

// A Verdict is what becomes of a block.
type Verdict int

const (
	// Taken says that further blocks are to come: this one is to be acknowledged. It may have
	// come before.
	Taken Verdict = iota
	// Completes says that the body is complete now.
	Completes
	// Repeats says that the last block of a complete body came again: the answer is the
	// same as before.
	Repeats
	// Lags says that a block before the last one came again, for the first time: it is to be
	// acknowledged. A client that goes on from an old answer, as libcoap's does, sends all
	// that follows again.
	Lags
	// LagsAgain says that a block before the last one came again, not for the first time.
	// Another answer would have such a client send more and more.
	LagsAgain
	// Misses says that the blocks before this one are not there.
	Misses
)

var sumSeed = maphash.MakeSeed()

// Add takes a block, which fits its value.
func (a *Assembly) Add(v Value, part []byte) Verdict {
	offset := int(v.Offset())
	sum := maphash.Bytes(sumSeed, part)
	switch {
	case v.Num > 0 && v == a.last && sum == a.lastSum:
		if a.complete {
			return Repeats
		}
		return Taken
	case a.has(offset, part, v.More):
		if offset <= a.answered {
			return LagsAgain
		}
		a.answered = offset
		return Lags
	case a.complete || offset != len(a.body):
		return Misses
	}
	a.last, a.lastSum = v, sum
	a.body = append(a.body, part...)
	a.received = len(a.body)
	a.complete = !v.More
	if a.complete {
		return Completes
	}
	return Taken
}

// has reports whether a block is one that came before the last one, and comes again: it was
// doubled, or the client has got the answer to it twice.
func (a *Assembly) has(offset int, part []byte, more bool) bool {
	if !more || offset == 0 || offset+len(part) > a.received {
		return false
	}
	return a.complete || bytes.Equal(a.body[offset:offset+len(part)], part)
}

// Len returns how many bytes of the body are held.
func (a *Assembly) Len() int { return len(a.body) }

// Take returns the body, which is not held any more. The assembly still tells which blocks
// come again.
func (a *Assembly) Take() []byte {
	body := a.body
	a.body = nil
	return body
}
