package coappeer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Message is a CoAP message. Nothing in it is checked before it is sent.
type Message struct {
	Type    Type // not on TCP
	Code    Code
	ID      uint16 // not on TCP
	Token   []byte // one over 12 bytes has an extended length (RFC 8974)
	Options []Option
	Payload []byte // one that is empty but not nil is a marker with nothing behind it
}

// A Type is the type of a message on UDP.
type Type byte

// The types of RFC 7252, 3.
const (
	CON Type = iota
	NON
	ACK
	RST
)

func (t Type) String() string {
	return [...]string{"CON", "NON", "ACK", "RST"}[t&3]
}

// A Code is the code of a message.
type Code byte

// The codes of RFC 7252, 12.1, RFC 7959, 6, RFC 8132, 6 and RFC 8323, 11.1.
const (
	Empty  Code = 0
	GET    Code = 1
	POST   Code = 2
	PUT    Code = 3
	DELETE Code = 4
	FETCH  Code = 5
	PATCH  Code = 6
	IPATCH Code = 7

	Created                  Code = 2<<5 | 1
	Deleted                  Code = 2<<5 | 2
	Valid                    Code = 2<<5 | 3
	Changed                  Code = 2<<5 | 4
	Content                  Code = 2<<5 | 5
	Continue                 Code = 2<<5 | 31
	BadRequest               Code = 4 << 5
	BadOption                Code = 4<<5 | 2
	NotFound                 Code = 4<<5 | 4
	MethodNotAllowed         Code = 4<<5 | 5
	NotAcceptable            Code = 4<<5 | 6
	RequestEntityIncomplete  Code = 4<<5 | 8
	PreconditionFailed       Code = 4<<5 | 12
	RequestEntityTooLarge    Code = 4<<5 | 13
	UnsupportedContentFormat Code = 4<<5 | 15
	InternalServerError      Code = 5 << 5
	ServiceUnavailable       Code = 5<<5 | 3

	CSM     Code = 7<<5 | 1
	Ping    Code = 7<<5 | 2
	Pong    Code = 7<<5 | 3
	Release Code = 7<<5 | 4
	Abort   Code = 7<<5 | 5
)

// String writes the code as the RFCs do: "2.05".
func (c Code) String() string { return fmt.Sprintf("%d.%02d", c>>5, c&31) }

// An Option is one option with its number.
type Option struct {
	Number uint16
	Value  []byte
}

// The option numbers of RFC 7252, 12.2, RFC 7641, 6, RFC 7959, 6, RFC 7967, 6,
// RFC 9175, 3.4 and, in a CSM, of RFC 8323, 5.3.
const (
	IfMatch       = 1
	URIHost       = 3
	ETag          = 4
	IfNoneMatch   = 5
	Observe       = 6
	URIPort       = 7
	LocationPath  = 8
	URIPath       = 11
	ContentFormat = 12
	MaxAge        = 14
	URIQuery      = 15
	Accept        = 17
	LocationQuery = 20
	Block2        = 23
	Block1        = 27
	Size2         = 28
	ProxyURI      = 35
	ProxyScheme   = 39
	Size1         = 60
	NoResponse    = 258
	RequestTag    = 292

	MaxMessageSize    = 2
	BlockWiseTransfer = 4
)

// String returns an option whose value is text.
func String(number uint16, value string) Option { return Option{number, []byte(value)} }

// Uint returns an option whose value is a number, in as few bytes as it needs.
func Uint(number uint16, value uint32) Option {
	b := binary.BigEndian.AppendUint32(nil, value)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return Option{number, b}
}

// Path returns the Uri-Path options of a path like "a/b".
func Path(path string) (options []Option) {
	for _, segment := range strings.Split(path, "/") {
		options = append(options, String(URIPath, segment))
	}
	return options
}

// A Block is the value of a Block1 or Block2 option (RFC 7959, 2.2). Its size
// is 16 << SZX; 7 is reserved, and means BERT on TCP (RFC 8323, 6).
type Block struct {
	Num  uint32
	More bool
	SZX  byte
}

// Size is the size of the block in bytes.
func (b Block) Size() int { return 16 << b.SZX }

// Option returns the option with a number, Block1 or Block2.
func (b Block) Option(number uint16) Option {
	v := b.Num<<4 | uint32(b.SZX&7)
	if b.More {
		v |= 8
	}
	return Uint(number, v)
}

// Option returns the value of the first option with a number.
func (m Message) Option(number uint16) (value []byte, ok bool) {
	for _, o := range m.Options {
		if o.Number == number {
			return o.Value, true
		}
	}
	return nil, false
}

// Uint returns the first option with a number as an integer.
func (m Message) Uint(number uint16) (value uint32, ok bool) {
	b, ok := m.Option(number)
	for _, c := range b {
		value = value<<8 | uint32(c)
	}
	return value, ok
}

// Block returns the first option with a number, Block1 or Block2.
func (m Message) Block(number uint16) (b Block, ok bool) {
	v, ok := m.Uint(number)
	return Block{Num: v >> 4, More: v&8 != 0, SZX: byte(v & 7)}, ok
}

// Path returns the Uri-Path options, joined by "/".
func (m Message) Path() string {
	var segments []string
	for _, o := range m.Options {
		if o.Number == URIPath {
			segments = append(segments, string(o.Value))
		}
	}
	return strings.Join(segments, "/")
}

// Acknowledge returns the empty ACK to m.
func (m Message) Acknowledge() Message { return Message{Type: ACK, ID: m.ID} }

// Reset returns the RST to m.
func (m Message) Reset() Message { return Message{Type: RST, ID: m.ID} }

// Respond returns a response to m, on UDP in its acknowledgement.
func (m Message) Respond(code Code, payload []byte, options ...Option) Message {
	return Message{Type: ACK, Code: code, ID: m.ID, Token: m.Token, Options: options, Payload: payload}
}

// Separate returns a response to m in a message of its own.
func (m Message) Separate(t Type, id uint16, code Code, payload []byte, options ...Option) Message {
	return Message{Type: t, Code: code, ID: id, Token: m.Token, Options: options, Payload: payload}
}

// String describes the message in one line.
func (m Message) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v id=%d token=%x", m.Type, m.Code, m.ID, m.Token)
	for _, o := range m.Options {
		fmt.Fprintf(&b, " %d=%q", o.Number, o.Value)
	}
	if m.Payload != nil {
		fmt.Fprintf(&b, " payload=%.64q (%d bytes)", m.Payload, len(m.Payload))
	}
	return b.String()
}

// AppendUDP appends the message in the format of RFC 7252, 3. The options are
// put in order; those with the same number stay as they are. A value or a token
// over 65804 bytes does not fit and panics.
func (m Message) AppendUDP(b []byte) []byte {
	nibble, extended := extend(len(m.Token))
	b = append(b, 1<<6|byte(m.Type&3)<<4|nibble, byte(m.Code))
	b = binary.BigEndian.AppendUint16(b, m.ID)
	b = append(b, extended...)
	b = append(b, m.Token...)
	return m.appendRest(b)
}

// AppendTCP is AppendUDP in the format of RFC 8323, 3.2.
func (m Message) AppendTCP(b []byte) []byte {
	rest := m.appendRest(nil)
	tkl, tklExtended := extend(len(m.Token))
	var length byte
	var lengthExtended []byte
	if n := len(rest) - 65805; n >= 0 {
		length, lengthExtended = 15, binary.BigEndian.AppendUint32(nil, uint32(n))
	} else {
		length, lengthExtended = extend(len(rest))
	}
	b = append(b, length<<4|tkl)
	b = append(b, lengthExtended...)
	b = append(b, byte(m.Code))
	b = append(b, tklExtended...)
	b = append(b, m.Token...)
	return append(b, rest...)
}

// appendRest appends what follows the token.
func (m Message) appendRest(b []byte) []byte {
	options := slices.Clone(m.Options)
	slices.SortStableFunc(options, func(a, b Option) int { return int(a.Number) - int(b.Number) })
	last := 0
	for _, o := range options {
		delta, deltaExtended := extend(int(o.Number) - last)
		length, lengthExtended := extend(len(o.Value))
		last = int(o.Number)
		b = append(b, delta<<4|length)
		b = append(b, deltaExtended...)
		b = append(b, lengthExtended...)
		b = append(b, o.Value...)
	}
	if m.Payload != nil {
		b = append(b, marker)
		b = append(b, m.Payload...)
	}
	return b
}

const marker = 0xff

// extend returns the nibble and the bytes that encode n (RFC 7252, 3.1).
func extend(n int) (nibble byte, extended []byte) {
	switch {
	case n < 13:
		return byte(n), nil
	case n < 269:
		return 13, []byte{byte(n - 13)}
	case n < 269+1<<16:
		return 14, binary.BigEndian.AppendUint16(nil, uint16(n-269))
	}
	panic(fmt.Sprintf("coappeer: %d does not fit", n))
}

// ParseUDP reads a datagram in the format of RFC 7252, 3. It refuses bytes that are
// not in that format, but no message that only has a wrong meaning.
func ParseUDP(b []byte) (Message, error) {
	b = bytes.Clone(b)
	if len(b) < 4 {
		return Message{}, fmt.Errorf("coappeer: a datagram of %d bytes", len(b))
	}
	if b[0]>>6 != 1 {
		return Message{}, fmt.Errorf("coappeer: version %d", b[0]>>6)
	}
	m := Message{Type: Type(b[0] >> 4 & 3), Code: Code(b[1]), ID: binary.BigEndian.Uint16(b[2:])}
	tkl, b, err := shrink(b[0]&15, b[4:])
	if err != nil {
		return Message{}, err
	}
	err = m.parseBody(tkl, b)
	return m, err
}

// ParseTCP reads the message at the start of b, which is n bytes long, in the
// format of RFC 8323, 3.2. The error is io.ErrUnexpectedEOF while the end of
// the message is missing. Where n is not 0 the next message begins there,
// whatever the error.
func ParseTCP(b []byte) (m Message, n int, err error) {
	if len(b) < 1 {
		return Message{}, 0, io.ErrUnexpectedEOF
	}
	all := len(b)
	length, tkl := b[0]>>4, b[0]&15
	var rest int
	if length == 15 {
		if len(b) < 5 {
			return Message{}, 0, io.ErrUnexpectedEOF
		}
		rest, b = 65805+int(binary.BigEndian.Uint32(b[1:])), b[5:]
	} else if rest, b, err = shrink(length, b[1:]); err != nil {
		return Message{}, 0, err
	}
	if len(b) < 1 {
		return Message{}, 0, io.ErrUnexpectedEOF
	}
	m.Code = Code(b[0])
	token, b, err := shrink(tkl, b[1:])
	if err != nil {
		return Message{}, 0, err
	}
	if len(b) < token+rest {
		return Message{}, 0, io.ErrUnexpectedEOF
	}
	n = all - len(b) + token + rest
	err = m.parseBody(token, bytes.Clone(b[:token+rest]))
	return m, n, err
}

var errReserved = errors.New("coappeer: a length or delta of 15, which is reserved")

// shrink is the reverse of extend, at the start of b. The error is
// io.ErrUnexpectedEOF where b is too short.
func shrink(nibble byte, b []byte) (n int, rest []byte, err error) {
	switch {
	case nibble < 13:
		return int(nibble), b, nil
	case nibble == 15:
		return 0, nil, errReserved
	case len(b) < int(nibble)-12:
		return 0, nil, io.ErrUnexpectedEOF
	case nibble == 13:
		return 13 + int(b[0]), b[1:], nil
	}
	return 269 + int(binary.BigEndian.Uint16(b)), b[2:], nil
}

// parseBody reads the token and what follows it, to the end of b.
func (m *Message) parseBody(tkl int, b []byte) error {
	if len(b) < tkl {
		return fmt.Errorf("coappeer: a token of %d bytes of which %d are there", tkl, len(b))
	}
	if tkl > 0 {
		m.Token, b = b[:tkl:tkl], b[tkl:]
	}
	for number := 0; len(b) > 0; {
		if b[0] == marker {
			if len(b) == 1 {
				return errors.New("coappeer: a payload marker with nothing behind it")
			}
			m.Payload = b[1:]
			return nil
		}
		head := b[0]
		delta, rest, err := shrink(head>>4, b[1:])
		if err != nil {
			return optionError(number, err)
		}
		length, rest, err := shrink(head&15, rest)
		if err != nil {
			return optionError(number, err)
		}
		number += delta
		if number > 1<<16-1 {
			return fmt.Errorf("coappeer: option number %d", number)
		}
		if len(rest) < length {
			return fmt.Errorf("coappeer: option %d of %d bytes of which %d are there", number, length,
				len(rest))
		}
		m.Options = append(m.Options, Option{uint16(number), rest[:length:length]})
		b = rest[length:]
	}
	return nil
}

// optionError hides io.ErrUnexpectedEOF, which tells ParseTCP's caller to read
// on.
func optionError(after int, err error) error {
	return fmt.Errorf("coappeer: the option after %d: %v", after, err)
}
