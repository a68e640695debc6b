package block

import (
	"errors"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// A Value is the value of an option Block1 or Block2 (RFC 7959, section 2.2).
type Value struct {
	Num  uint32 // up to MaxNum
	More bool
	SZX  uint8 // the size exponent: 0 to MaxSZX, or BERT
}

const (
	// MaxNum is the highest number of a block.
	MaxNum = 1<<20 - 1
	// MaxSize is the size of the largest blocks in bytes, and of those in a message with
	// several.
	MaxSize = 1024
	// MaxSZX is the size exponent of these.
	MaxSZX = 6
	// BERT says that a message may have several blocks. It is for reliable transports (RFC
	// 8323, section 6).
	BERT = 7

	maxBERT = 64 << 10 // bytes of body in a message with several blocks
)

var (
	errLength = errors.New("a block option of more than 3 bytes")
	// ErrReserved comes with a value whose size exponent is BERT, which is reserved where
	// the transport is not reliable.
	ErrReserved = errors.New("the reserved block size 7")
)

// Parse reads the value of an option. With ErrReserved it returns the value too.
func Parse(option []byte) (v Value, err error) {
	if len(option) > 3 {
		return v, errLength
	}
	n := uint32(wire.ParseUint(option))
	v = Value{Num: n >> 4, More: n&8 != 0, SZX: uint8(n & 7)}
	if v.SZX == BERT {
		return v, ErrReserved
	}
	return v, nil
}

// At returns the value for the block at an offset, which is a multiple of its size.
func At(offset int, szx uint8) Value {
	return Value{Num: uint32(offset >> (min(szx, MaxSZX) + 4)), SZX: szx}
}

// Encode returns the value of an option.
func (v Value) Encode() []byte {
	n := uint64(v.Num)<<4 | uint64(v.SZX)
	if v.More {
		n |= 8
	}
	return wire.EncodeUint(n)
}

// Size returns the size of the block in bytes; with BERT, that of each block in the message.
func (v Value) Size() int { return 16 << min(v.SZX, MaxSZX) }

// Offset returns where in the body the block begins.
func (v Value) Offset() int64 { return int64(v.Num) * int64(v.Size()) }

// Fits reports whether a message with the block may have so many bytes of body.
func (v Value) Fits(body int) bool {
	switch {
	case v.SZX == BERT:
		return !v.More || body > 0 && body%MaxSize == 0
	case v.More:
		return body == v.Size()
	default:
		return body <= v.Size()
	}
}

// SZXOf returns the exponent of the largest size that is not larger than size, and 0 where
// there is none.
func SZXOf(size int) (szx uint8) {
	for szx < MaxSZX && 32<<szx <= size {
		szx++
	}
	return szx
}

// Shrink returns the largest size exponent up to szx whose blocks have at most so many bytes.
func Shrink(szx uint8, most int) uint8 {
	if szx == BERT && most < MaxSize {
		szx = MaxSZX
	}
	for szx > 0 && szx < BERT && 16<<szx > most {
		szx--
	}
	return szx
}

// PartSize returns how many bytes of body a message has that is not the last one, where most
// have room.
func PartSize(szx uint8, most int) int {
	if szx == BERT {
		return min(most, maxBERT) / MaxSize * MaxSize
	}
	return 16 << szx
}

// Cut returns the part of a body that a message has from an offset on, and what its option
// says.
func Cut(body []byte, offset int, szx uint8, most int) (v Value, part []byte) {
	end := min(offset+PartSize(szx, most), len(body))
	v = At(offset, szx)
	v.More = end < len(body)
	return v, body[offset:end]
}
