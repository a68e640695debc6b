package coap

import (
	"fmt"
	"slices"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
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
		if id > OptionID(ccoap.MaxOption()) {
			return fmt.Errorf("Config.CriticalOptions: %v, which this libcoap drops messages for: %w", id, ErrNotSupported)
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

// A refusal is an option that a message is refused for, and why.
type refusal struct {
	id  OptionID
	why string
}

const (
	notUnderstood = "not understood"
	notSafe       = "not understood and unsafe to forward"
	tooOften      = "there more than once"
	wrongLength   = "of a wrong length" // which counts as not understood (RFC 7252, section 5.4.3)
)

// refuses judges the options of a message: critical ones that are not understood, and those
// that occur twice where they must not (RFC 7252, sections 5.4.1 and 5.4.5). Of what a proxy
// does not know it may forward what is safe, and must refuse the rest, also where it is
// elective (section 5.7.1). own are the options of the request that a response is for:
// whoever sends one understands it.
func (l *loop) refuses(m *ccoap.Message, proxied bool, own wire.Options) (r refusal, ok bool) {
	if id := OptionID(m.OddOption); id > OptionID(ccoap.MaxOption()) {
		return refusal{id, notUnderstood}, true
	} else if id != 0 {
		return refusal{id, wrongLength}, true
	}
	last := OptionID(0)
	for number := range wire.Options(m.Options).All() {
		id := OptionID(number)
		switch {
		case proxied && id.unforwardable() && !l.understands(id):
			return refusal{id, notSafe}, true
		case !id.Critical():
		case id == last && !id.definition().repeatable:
			return refusal{id, tooOften}, true
		case !l.understands(id) && !proxied:
			if _, sent := findOption(own, id); !sent {
				return refusal{id, notUnderstood}, true
			}
		}
		last = id
	}
	return r, false
}

func (l *loop) understands(id OptionID) bool {
	return slices.Contains(understood, id) || slices.Contains(l.config.CriticalOptions, id)
}

// unforwardable reports whether a proxy must not forward a message with the option: it is
// unsafe to forward, and this package does not know it.
func (id OptionID) unforwardable() bool {
	known := slices.Contains(understood, id) || !id.Critical() && id.definition().name != ""
	return id.UnsafeToForward() && !known
}

// Unforwardable returns the first option that a proxy must not forward because it is unsafe
// to forward and this package does not know it (RFC 7252, section 5.7.1). In a response it
// means 5.02. Requests with such options do not get to handlers of Node.HandleProxy.
func (o Options) Unforwardable() (OptionID, bool) {
	for _, option := range o {
		if option.ID.unforwardable() {
			return option.ID, true
		}
	}
	return 0, false
}

// Unrecognized returns the first critical option of a request to a server that is understood
// neither by this package nor, as Config.CriticalOptions says, by the program. Only requests
// for a proxy have any, see Node.HandleProxy: a handler that does not forward such a
// request has to answer it with CodeBadOption.
func (r *Request) Unrecognized() (OptionID, bool) {
	if r.Session == nil {
		return 0, false
	}
	for _, option := range r.Options {
		if option.ID.Critical() && !r.Session.c.l.understands(option.ID) {
			return option.ID, true
		}
	}
	return 0, false
}

// refuseOption answers a request that is refused for an option.
func (in *incoming) refuseOption(r refusal) {
	switch {
	case in.multicast || in.c.ended != nil:
	case in.confirmable || in.c.proto.Reliable():
		why := fmt.Sprintf("%v is %s", r.id, r.why)
		_ = in.respond(&ccoap.Message{Code: int(CodeBadOption), Body: []byte(why)})
	default:
		_, _ = in.c.native.Send(&ccoap.Message{Type: ccoap.Reset, ID: int(in.mid)})
	}
}

// acceptable returns what is wrong with the options of a response to a request with others.
// One that says that an option is bad may contain that one.
func (l *loop) acceptable(m *ccoap.Message, own wire.Options) error {
	if Code(m.Code) == CodeBadOption {
		return nil
	}
	if r, ok := l.refuses(m, false, own); ok {
		return badOption("the response has %v, which is critical and %s", r.id, r.why)
	}
	return nil
}
