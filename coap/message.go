package coap

import "github.com/gnucoap/gnucoap/internal/cshim/ccoap"

// encode returns the options as libcoap takes them.
func (o Options) encode() (e ccoap.EncodedOptions) {
	size := 0
	for _, opt := range o {
		size += ccoap.OptionHeader + len(opt.Value)
	}
	e = make(ccoap.EncodedOptions, 0, size)
	for _, opt := range o {
		e = e.Append(uint16(opt.ID), opt.Value)
	}
	return e
}

func decodeOptions(e ccoap.EncodedOptions) Options {
	n := 0
	for rest := e; ; n++ {
		var ok bool
		if _, _, rest, ok = rest.Next(); !ok {
			break
		}
	}
	if n == 0 {
		return nil
	}
	o := make(Options, 0, n)
	for {
		number, value, rest, ok := e.Next()
		if !ok {
			return o
		}
		o = append(o, Option{OptionID(number), value})
		e = rest
	}
}
