package coap

import (
	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// Errors of block-wise transfers (RFC 7959). Session.Do returns errors that match them.
var (
	// ErrBodyChanged says that the body of a response changed while its blocks were fetched, and
	// that it could not be fetched anew, or changed again each time.
	ErrBodyChanged = block.ErrChanged
	// ErrBodyTooLarge says that the body of a response exceeds Config.MaxBody, or that a body
	// has more blocks than can be numbered.
	ErrBodyTooLarge = block.ErrTooLarge
	// ErrBadBlock says that the peer sent a block that was not asked for, or that does not
	// match its own options.
	ErrBadBlock = block.ErrBad
)

const (
	blockOptions = 24 // bytes that the options of a block-wise transfer may add
	otherOptions = 48 // bytes that are reserved for the options of a block that is asked for
	tcpHeader    = 6
	headSize     = 4 + wire.TokenSize + 1
	dtlsOverhead = 37 // bytes of a record besides its content, at most
)

// blockSZX returns the size exponent of Config.BlockSize.
func (c *Config) blockSZX() uint8 {
	if c.BlockSize == 0 {
		return block.MaxSZX
	}
	return block.SZXOf(c.BlockSize)
}

func (c *Config) maxBody() int { return orDefault(c.MaxBody, defaultMaxBody) }

// findBlock returns the value of a block option, if there is one. The size exponent 7 is allowed
// over reliable transports only.
func (c *conn) findBlock(options wire.Options, id OptionID) (v block.Value, ok bool, err error) {
	value, ok := findOption(options, id)
	if !ok {
		return v, false, nil
	}
	v, err = block.Parse(value)
	if err == block.ErrReserved && c.proto.Reliable() {
		c.transfers.bert.Store(true)
		err = nil
	}
	return v, true, err
}

// hasBlocks reports whether there are options of block-wise transfers.
func (o Options) hasBlocks() bool { return o.Has(OptionBlock1) || o.Has(OptionBlock2) }

// blockSZX returns the size exponent of the blocks that this side sends and asks for. libcoap does
// not receive datagrams that are larger than the MTU.
func (c *conn) blockSZX() uint8 {
	szx := c.l.config.blockSZX()
	mtu := int(c.transfers.mtu.Load())
	if mtu == 0 || c.proto.Reliable() {
		return szx
	}
	if c.proto == DTLS {
		mtu -= dtlsOverhead
	}
	return block.Shrink(szx, mtu-headSize-otherOptions)
}

// roomFor returns how many bytes of body fit into a message besides so many bytes of options.
func (c *conn) roomFor(options int) int {
	most := c.native.MaxPDUSize()
	if mtu := int(c.transfers.mtu.Load()); mtu != 0 && c.proto.Reliable() {
		most = min(most, mtu-tcpHeader) // libcoap replaces it by what the peer allows
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

// takesSeveral reports whether the peer accepts messages with several blocks (RFC 8323, section
// 6): it has said so, or has sent one.
func (s *Session) takesSeveral() bool {
	c := s.c
	if c.transfers.bert.Load() || !c.proto.Reliable() || s.enter() != nil {
		return c.transfers.bert.Load()
	}
	defer s.leave()
	return c.native.HasBlocks()
}
