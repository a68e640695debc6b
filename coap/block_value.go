package coap

import (
	"errors"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// A blockValue is the value of a Block1 or Block2 option (RFC 7959, section 2.2).
type blockValue struct {
	num  uint32 // up to maxBlockNum
	more bool
	szx  uint8 // 0 to 6; 7 is BERT, for reliable transports (RFC 8323, section 6)
}

const (
	maxBlockNum = 1<<20 - 1
	bert        = 7
)

var (
	errBlockLength = errors.New("a block option of more than 3 bytes")
	errBlockSize   = errors.New("the reserved block size 7")
)

// parseBlock reads the value of an option. With the block size 7 it returns the
// block and errBlockSize: it is right where BERT is.
func parseBlock(value []byte) (b blockValue, err error) {
	if len(value) > 3 {
		return b, errBlockLength
	}
	var n uint32
	for _, c := range value {
		n = n<<8 | uint32(c)
	}
	b = blockValue{num: n >> 4, more: n&8 != 0, szx: uint8(n & 7)}
	if b.szx == bert {
		return b, errBlockSize
	}
	return b, nil
}

func (b blockValue) encode() []byte {
	n := uint64(b.num)<<4 | uint64(b.szx)
	if b.more {
		n |= 8
	}
	return wire.EncodeUint(n)
}

// size returns the size of a block in bytes, with BERT of each of those in it.
func (b blockValue) size() int {
	return 16 << min(b.szx, 6)
}

// offset returns where in the body the block begins.
func (b blockValue) offset() int64 { return int64(b.num) * int64(b.size()) }
