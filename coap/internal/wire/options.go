package wire

import (
	"encoding/binary"
	"iter"
)

// Options are the options of a message, in ascending order of their numbers, as package
// ccoap passes them to libcoap and back: of each the number in 2 bytes, the length of the
// value in 4, both in network byte order, and the value.
type Options []byte

// OptionHeader is the number of bytes that an option takes in Options besides its value.
const OptionHeader = 6

// Append adds an option, whose number must not be less than the last one's. It copies the
// value.
func (o Options) Append(number uint16, value []byte) Options {
	o = binary.BigEndian.AppendUint16(o, number)
	o = binary.BigEndian.AppendUint32(o, uint32(len(value)))
	return append(o, value...)
}

// Next splits the first option off. It reports false where there is none. The value is a
// part of o.
func (o Options) Next() (number uint16, value []byte, rest Options, ok bool) {
	if len(o) < OptionHeader {
		return 0, nil, nil, false
	}
	size := binary.BigEndian.Uint32(o[2:])
	if uint64(size) > uint64(len(o)-OptionHeader) {
		return 0, nil, nil, false
	}
	end := OptionHeader + int(size)
	return binary.BigEndian.Uint16(o), o[OptionHeader:end:end], o[end:], true
}

// All iterates over the numbers and values of the options. The values are parts of o.
func (o Options) All() iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for rest := o; ; {
			number, value, others, ok := rest.Next()
			if !ok || !yield(number, value) {
				return
			}
			rest = others
		}
	}
}

// Len returns the number of options.
func (o Options) Len() (n int) {
	for range o.All() {
		n++
	}
	return n
}

// Find returns the value of the first option with a number.
func (o Options) Find(number uint16) (value []byte, ok bool) {
	for n, value := range o.All() {
		switch {
		case n == number:
			return value, true
		case n > number:
			return nil, false
		}
	}
	return nil, false
}
