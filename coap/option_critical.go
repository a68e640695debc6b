package coap

import (
	"fmt"
	"slices"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// understood are the critical options that every program understands: this library or libcoap
// processes them, or handlers read them.
var understood = []OptionID{
	OptionIfMatch, OptionURIHost, OptionIfNoneMatch, OptionURIPort, OptionURIPath, OptionURIQuery,
	OptionAccept, OptionBlock2, OptionBlock1, OptionProxyURI, OptionProxyScheme,
}

// The numbers of critical options that libcoap can register, in versions in which it decides which
// options are known.
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
			return fmt.Errorf("Config.CriticalOptions: this libcoap drops messages with %v: %w", id,
				ErrNotSupported)
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
		return fmt.Errorf(
			"Config.CriticalOptions has more than %d below %d, or than %d from there on: %w",
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

// A refusal says which option a message is refused for, and why.
type refusal struct {
	id  OptionID
	why string
}

const (
	notUnderstood = "not understood"
	notSafe       = "not understood and unsafe to forward"
	tooOften      = "there more than once"
	wrongLength   = "of a wrong length" // treated as not understood (RFC 7252, section 5.4.3)
)

// refuses reports whether a message is refused because of its options: a critical one that is not
// understood, or one that occurs more often than it may (RFC 7252, sections 5.4.1 and 5.4.5). A
// proxy may forward unknown options that are safe to forward, and must refuse all others, also
// elective ones (section 5.7.1). own are the options of the request that a response answers: the
// program understands what it sends.
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

// unforwardable reports whether a proxy must not forward a message with the option, because it is
// unsafe to forward and this package does not know it.
func (id OptionID) unforwardable() bool {
	known := slices.Contains(understood, id) || !id.Critical() && id.definition().name != ""
	return id.UnsafeToForward() && !known
}

// Unforwardable returns the first option that a proxy must not forward, because it is unsafe to
// forward and this package does not know it (RFC 7252, section 5.7.1). A proxy that gets such a
// response answers with 5.02. Requests with such options do not reach handlers of
// Node.HandleProxy.
func (o Options) Unforwardable() (OptionID, bool) {
	for _, option := range o {
		if option.ID.unforwardable() {
			return option.ID, true
		}
	}
	return 0, false
}

// Unrecognized returns the first critical option of a request to a server that neither this
// package understands nor, according to Config.CriticalOptions, the program. Only requests to a
// proxy can have one, see Node.HandleProxy: a handler that does not forward such a request must
// answer it with CodeBadOption.
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

// refuseOption answers a request that is refused because of an option.
func (in *serverRequest) refuseOption(r refusal) {
	switch {
	case in.multicast || in.c.ended != nil:
	case in.confirmable || in.c.proto.Reliable():
		why := fmt.Sprintf("%v is %s", r.id, r.why)
		_ = in.respond(&ccoap.Message{Code: int(CodeBadOption), Body: []byte(why)})
	default:
		_, _ = in.c.native.Send(&ccoap.Message{Type: ccoap.Reset, ID: int(in.mid)})
	}
}

// acceptable returns an error if a response is refused because of its options. own are the options
// of the request. A 4.02 may contain the option that it complains about.
func (l *loop) acceptable(m *ccoap.Message, own wire.Options) error {
	if Code(m.Code) == CodeBadOption {
		return nil
	}
	if r, ok := l.refuses(m, false, own); ok {
		return badOption("the response has %v, which is critical and %s", r.id, r.why)
	}
	return nil
}
