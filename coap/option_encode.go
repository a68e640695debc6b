package coap

import (
	"slices"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// encode returns the options as a message has them, with others, which are in ascending order
// as well.
func (o Options) encode(others ...Option) wire.Options {
	size := 0
	for _, option := range o {
		size += wire.OptionHeader + len(option.Value)
	}
	for _, option := range others {
		size += wire.OptionHeader + len(option.Value)
	}
	encoded := make(wire.Options, 0, size)
	for _, option := range o {
		for len(others) > 0 && others[0].ID < option.ID {
			encoded = encoded.Append(uint16(others[0].ID), others[0].Value)
			others = others[1:]
		}
		encoded = encoded.Append(uint16(option.ID), option.Value)
	}
	for _, option := range others {
		encoded = encoded.Append(uint16(option.ID), option.Value)
	}
	return encoded
}

// decodeOptions returns the options of a message, and nil where it has none. The values are
// parts of encoded.
func decodeOptions(encoded wire.Options) Options {
	n := encoded.Len()
	if n == 0 {
		return nil
	}
	o := make(Options, 0, n)
	for number, value := range encoded.All() {
		o = append(o, Option{OptionID(number), value})
	}
	return o
}

// findOption returns the value of the first option of a message with an ID.
func findOption(encoded wire.Options, id OptionID) ([]byte, bool) {
	return encoded.Find(uint16(id))
}

// wireSize returns the number of bytes that the options have in a message.
func (o Options) wireSize() (size int) {
	last := OptionID(0)
	for _, option := range o {
		size += wire.OptionSize(int(option.ID-last), len(option.Value))
		last = option.ID
	}
	return size
}

// with returns a copy with one more option.
func (o Options) with(added Option) Options {
	out := append(make(Options, 0, len(o)+1), o...)
	out.Add(added.ID, added.Value)
	return out
}

// without returns a copy without some options.
func (o Options) without(ids ...OptionID) Options {
	out := make(Options, 0, len(o))
	for _, option := range o {
		if !slices.Contains(ids, option.ID) {
			out = append(out, option)
		}
	}
	return out
}
