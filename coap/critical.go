package coap

import (
	"fmt"
	"slices"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// understood are the critical options that every program understands: those that this
// library, or libcoap, deals with, and those that handlers read.
var understood = []OptionID{
	OptionIfMatch, OptionURIHost, OptionIfNoneMatch, OptionURIPort, OptionURIPath, OptionURIQuery, OptionAccept,
	OptionBlock2, OptionBlock1, OptionProxyURI, OptionProxyScheme,
}

// What libcoap has room for where it decides which options are known.
const (
	shortOptions    = 6
	longOptions     = 2
	firstLongOption = 256
)

// checkCritical checks Config.CriticalOptions.
func (c *Config) checkCritical() error {
	for _, id := range c.CriticalOptions {
		if !id.Critical() {
			return fmt.Errorf("Config.CriticalOptions: %v is not critical", id)
		}
	}
	if ccoap.PassesCritical() {
		return nil
	}
	ids := slices.Clone(c.CriticalOptions)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	short, _ := slices.BinarySearch(ids, firstLongOption)
	if short > shortOptions || len(ids)-short > longOptions {
		return fmt.Errorf("Config.CriticalOptions has more than %d below %d, or than %d from there on: %w",
			shortOptions, firstLongOption, longOptions, ErrNotSupported)
	}
	return nil
}

// registerCritical tells libcoap which critical options are known.
func (l *loop) registerCritical(native *ccoap.Context) {
	if ccoap.PassesCritical() {
		native.RegisterOption(ccoap.AllOptions)
		return
	}
	for _, id := range l.config.CriticalOptions {
		native.RegisterOption(uint16(id))
	}
}

// unrecognized returns the first critical option of a message that is not understood,
// or occurs twice where it must not (RFC 7252, sections 5.4.1 and 5.4.5).
func (l *loop) unrecognized(e ccoap.EncodedOptions) (OptionID, bool) {
	last := OptionID(0)
	for {
		number, _, rest, ok := e.Next()
		if !ok {
			return 0, false
		}
		id := OptionID(number)
		if id.Critical() && (!slices.Contains(understood, id) && !slices.Contains(l.config.CriticalOptions, id) ||
			id == last && !id.definition().repeatable) {
			return id, true
		}
		e, last = rest, id
	}
}

// refuseOption answers a request that has a critical option that is not understood.
func (in *incoming) refuseOption(id OptionID) {
	switch {
	case in.multicast || in.c.ended != nil:
	case in.confirmable || in.c.proto.Reliable():
		why := fmt.Sprintf("%v is not understood", id)
		_ = in.respond(&ccoap.Message{Code: int(CodeBadOption), Body: []byte(why)})
	default:
		_, _ = in.c.native.Send(&ccoap.Message{Type: ccoap.Reset, ID: int(in.mid)})
	}
}

// acceptable returns what is wrong with the options of a response. One that says that an
// option is bad may contain that one.
func (l *loop) acceptable(m *ccoap.Message) error {
	if Code(m.Code) == CodeBadOption {
		return nil
	}
	if id, ok := l.unrecognized(m.Options); ok {
		return badOption("the response has %v, which is critical and not understood", id)
	}
	return nil
}
