package coap

import (
	"errors"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// What can go wrong in a block-wise transfer (RFC 7959). They are found with
// errors.Is in what Session.Do returns.
var (
	// ErrBodyChanged says that the body of a response changed while its blocks
	// were fetched, again and again, or where it could not be fetched anew.
	ErrBodyChanged = errors.New("the body changed during its transfer")
	// ErrBodyTooLarge says that the body of a response exceeds Config.MaxBody, or
	// that a body has more blocks than can be numbered.
	ErrBodyTooLarge = errors.New("the body is too large")
	// ErrBadBlock says that the peer sent a block that was not asked for, or one
	// that contradicts its own options.
	ErrBadBlock = errors.New("bad block")
)

const (
	maxSZX       = 6    // blocks of 1024 bytes
	maxBlock     = 1024 // bytes in a block
	maxBERT      = 64 << 10
	blockOptions = 24 // bytes that the options of a block-wise transfer may add
	otherOptions = 48 // bytes that are left for the options of a block that is asked for
	tcpHeader    = 6
	headSize     = 4 + wire.TokenSize + 1
	dtlsOverhead = 37 // bytes of a record besides its content, at most
)

// blockSZX is the size exponent of Config.BlockSize.
func (c *Config) blockSZX() uint8 {
	if c.BlockSize == 0 {
		return maxSZX
	}
	szx := uint8(0)
	for szx < maxSZX && 32<<szx <= c.BlockSize {
		szx++
	}
	return szx
}

func (c *Config) maxBody() int { return orDefault(c.MaxBody, defaultMaxBody) }

// findBlock returns a block option, where there is one. A block size of 7 is
// allowed over reliable transports only.
func (c *conn) findBlock(e wire.Options, id OptionID) (b blockValue, ok bool, err error) {
	value, ok := findOption(e, id)
	if !ok {
		return b, false, nil
	}
	b, err = parseBlock(value)
	if err == errBlockSize && c.proto.Reliable() {
		c.bert.Store(true)
		err = nil
	}
	return b, true, err
}

// fits reports whether a body may be that of the block.
func (b blockValue) fits(body int) bool {
	switch {
	case b.szx == bert:
		return !b.more || body > 0 && body%maxBlock == 0
	case b.more:
		return body == b.size()
	default:
		return body <= b.size()
	}
}

// at is the block of a size at an offset, which is a multiple of that size.
func at(offset int, szx uint8) blockValue {
	return blockValue{num: uint32(offset >> (min(szx, maxSZX) + 4)), szx: szx}
}

// hasBlocks reports whether there are options of block-wise transfers.
func (o Options) hasBlocks() bool { return o.Has(OptionBlock1) || o.Has(OptionBlock2) }

// blockSZX is the size exponent of the blocks that this side sends and asks for.
// libcoap takes no datagram that is larger than the MTU.
func (c *conn) blockSZX() uint8 {
	szx := c.l.config.blockSZX()
	mtu := int(c.mtu.Load())
	if mtu == 0 || c.proto.Reliable() {
		return szx
	}
	if c.proto == DTLS {
		mtu -= dtlsOverhead
	}
	return fitSZX(szx, mtu-headSize-otherOptions)
}

// roomFor returns how many bytes of body a message may have besides options of
// a size.
func (c *conn) roomFor(options int) int {
	most := c.native.MaxPDUSize()
	if mtu := int(c.mtu.Load()); mtu != 0 && c.proto.Reliable() {
		most = min(most, mtu-tcpHeader) // what the peer allows replaces it in libcoap
	}
	return most - wire.TokenSize - 1 - options - blockOptions
}

// room is conn.roomFor. It is 0 when the session is over.
func (s *Session) room(options int) int {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return s.c.roomFor(options)
}

// takesSeveral reports whether the peer takes messages of several blocks (RFC 8323, section
// 6): it has said so, or sent one.
func (s *Session) takesSeveral() bool {
	c := s.c
	if c.bert.Load() || !c.proto.Reliable() || s.enter() != nil {
		return c.bert.Load()
	}
	defer s.leave()
	return c.native.HasBlocks()
}

// fitSZX returns the largest size exponent up to szx whose blocks have at most so
// many bytes.
func fitSZX(szx uint8, most int) uint8 {
	if szx == bert && most < maxBlock {
		szx = maxSZX
	}
	for szx > 0 && szx < bert && 16<<szx > most {
		szx--
	}
	return szx
}

// chunk is how many bytes of body one message has.
func chunk(szx uint8, most int) int {
	if szx == bert {
		return min(most, maxBERT) / maxBlock * maxBlock
	}
	return 16 << szx
}
