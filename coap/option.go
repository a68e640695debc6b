package coap

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// An OptionID is the number of an option.
type OptionID uint16

// Options that IANA has registered.
const (
	OptionIfMatch       OptionID = 1
	OptionURIHost       OptionID = 3
	OptionETag          OptionID = 4
	OptionIfNoneMatch   OptionID = 5
	OptionObserve       OptionID = 6 // RFC 7641
	OptionURIPort       OptionID = 7
	OptionLocationPath  OptionID = 8
	OptionOSCORE        OptionID = 9 // RFC 8613
	OptionURIPath       OptionID = 11
	OptionContentFormat OptionID = 12
	OptionMaxAge        OptionID = 14
	OptionURIQuery      OptionID = 15
	OptionHopLimit      OptionID = 16 // RFC 8768
	OptionAccept        OptionID = 17
	OptionQBlock1       OptionID = 19 // RFC 9177
	OptionLocationQuery OptionID = 20
	OptionEDHOC         OptionID = 21 // RFC 9668
	OptionBlock2        OptionID = 23 // RFC 7959
	OptionBlock1        OptionID = 27 // RFC 7959
	OptionSize2         OptionID = 28 // RFC 7959
	OptionQBlock2       OptionID = 31 // RFC 9177
	OptionProxyURI      OptionID = 35
	OptionProxyScheme   OptionID = 39
	OptionSize1         OptionID = 60  // RFC 7252, RFC 7959
	OptionEcho          OptionID = 252 // RFC 9175
	OptionNoResponse    OptionID = 258 // RFC 7967
	OptionRequestTag    OptionID = 292 // RFC 9175
)

// A definition is what is known of an option: its name, the lengths that its
// value may have, and whether it may occur more than once (RFC 7252, table 4).
type definition struct {
	name       string
	min, max   int
	repeatable bool
}

var definitions = map[OptionID]definition{
	OptionIfMatch:       {"If-Match", 0, 8, true},
	OptionURIHost:       {"Uri-Host", 1, 255, false},
	OptionETag:          {"ETag", 1, 8, true},
	OptionIfNoneMatch:   {"If-None-Match", 0, 0, false},
	OptionObserve:       {"Observe", 0, 3, false},
	OptionURIPort:       {"Uri-Port", 0, 2, false},
	OptionLocationPath:  {"Location-Path", 0, 255, true},
	OptionOSCORE:        {"OSCORE", 0, 255, false},
	OptionURIPath:       {"Uri-Path", 0, 255, true},
	OptionContentFormat: {"Content-Format", 0, 2, false},
	OptionMaxAge:        {"Max-Age", 0, 4, false},
	OptionURIQuery:      {"Uri-Query", 0, 255, true},
	OptionHopLimit:      {"Hop-Limit", 1, 1, false},
	OptionAccept:        {"Accept", 0, 2, false},
	OptionQBlock1:       {"Q-Block1", 0, 3, false},
	OptionLocationQuery: {"Location-Query", 0, 255, true},
	OptionEDHOC:         {"EDHOC", 0, 0, false},
	OptionBlock2:        {"Block2", 0, 3, false},
	OptionBlock1:        {"Block1", 0, 3, false},
	OptionSize2:         {"Size2", 0, 4, false},
	OptionQBlock2:       {"Q-Block2", 0, 3, true},
	OptionProxyURI:      {"Proxy-Uri", 1, 1034, false},
	OptionProxyScheme:   {"Proxy-Scheme", 1, 255, false},
	OptionSize1:         {"Size1", 0, 4, false},
	OptionEcho:          {"Echo", 1, 40, false},
	OptionNoResponse:    {"No-Response", 0, 1, false},
	OptionRequestTag:    {"Request-Tag", 0, 8, true},
}

// maxOption is the most bytes that an option may have that nobody has defined. The
// format of messages has room for 269 more.
const maxOption = 65535

func (id OptionID) definition() definition {
	if d, ok := definitions[id]; ok {
		return d
	}
	return definition{"", 0, maxOption, true}
}

// String returns the name of the option, such as "Uri-Path", or "option 65000".
func (id OptionID) String() string {
	if name := id.definition().name; name != "" {
		return name
	}
	return "option " + strconv.Itoa(int(id))
}

// Critical reports whether whoever does not know the option must refuse the
// message (RFC 7252, section 5.4.1).
func (id OptionID) Critical() bool { return id&1 != 0 }

// UnsafeToForward reports whether a proxy that does not know the option must not
// forward the message (RFC 7252, section 5.4.2).
func (id OptionID) UnsafeToForward() bool { return id&2 != 0 }

// An Option is an option with its value.
type Option struct {
	ID    OptionID
	Value []byte
}

// Options are the options of a message. The methods that change them keep them in
// the order of their IDs, and those with the same ID in the order in which they
// were added. They must not be called from several goroutines at once.
type Options []Option

// find returns where the options with an ID begin and end.
func (o Options) find(id OptionID) (begin, end int) {
	for begin = len(o); begin > 0 && o[begin-1].ID >= id; begin-- {
	}
	for end = begin; end < len(o) && o[end].ID == id; end++ {
	}
	return begin, end
}

// Add adds an option behind those with the same ID.
func (o *Options) Add(id OptionID, value []byte) {
	_, end := o.find(id)
	*o = slices.Insert(*o, end, Option{id, value})
}

// AddString is Add for text.
func (o *Options) AddString(id OptionID, value string) { o.Add(id, []byte(value)) }

// AddUint is Add for a number, in the fewest bytes (RFC 7252, section 3.2).
func (o *Options) AddUint(id OptionID, value uint64) { o.Add(id, wire.EncodeUint(value)) }

// Set adds an option in place of those with the same ID.
func (o *Options) Set(id OptionID, value []byte) {
	o.Remove(id)
	o.Add(id, value)
}

// SetString is Set for text.
func (o *Options) SetString(id OptionID, value string) { o.Set(id, []byte(value)) }

// SetUint is Set for a number, in the fewest bytes (RFC 7252, section 3.2).
func (o *Options) SetUint(id OptionID, value uint64) { o.Set(id, wire.EncodeUint(value)) }

// Remove removes all options with an ID.
func (o *Options) Remove(id OptionID) {
	begin, end := o.find(id)
	*o = slices.Delete(*o, begin, end)
}

// Has reports whether there is an option with an ID.
func (o Options) Has(id OptionID) bool {
	begin, end := o.find(id)
	return begin < end
}

// Get returns the value of the first option with an ID.
func (o Options) Get(id OptionID) (value []byte, ok bool) {
	begin, end := o.find(id)
	if begin == end {
		return nil, false
	}
	return o[begin].Value, true
}

// All returns the values of all options with an ID, in their order.
func (o Options) All(id OptionID) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		begin, end := o.find(id)
		for _, option := range o[begin:end] {
			if !yield(option.Value) {
				return
			}
		}
	}
}

// Text returns the value of the first option with an ID as text.
func (o Options) Text(id OptionID) (text string, ok bool) {
	value, ok := o.Get(id)
	return string(value), ok
}

// Uint returns the value of the first option with an ID as a number. It reports
// false where there is none, or one of more than 8 bytes.
func (o Options) Uint(id OptionID) (n uint64, ok bool) {
	value, ok := o.Get(id)
	if !ok || len(value) > 8 {
		return 0, false
	}
	return wire.ParseUint(value), true
}

// Clone returns a copy that can be changed without changing o. The values are
// shared.
func (o Options) Clone() Options { return slices.Clone(o) }

// ContentFormat returns the format of the body.
func (o Options) ContentFormat() (format ContentFormat, ok bool) {
	return o.format(OptionContentFormat)
}

// Accept returns the format that a client asks for.
func (o Options) Accept() (format ContentFormat, ok bool) { return o.format(OptionAccept) }

func (o Options) format(id OptionID) (ContentFormat, bool) {
	n, ok := o.Uint(id)
	if !ok || n > math.MaxUint16 {
		return 0, false
	}
	return ContentFormat(n), true
}

// SetContentFormat says what format the body has.
func (o *Options) SetContentFormat(format ContentFormat) {
	o.SetUint(OptionContentFormat, uint64(format))
}

// SetAccept asks for a format.
func (o *Options) SetAccept(format ContentFormat) { o.SetUint(OptionAccept, uint64(format)) }

// MaxAge returns how long a response is fresh: 60 s where it does not say (RFC
// 7252, section 5.10.5).
func (o Options) MaxAge() time.Duration {
	n, ok := o.Uint(OptionMaxAge)
	if !ok || n > math.MaxUint32 {
		return defaultMaxAge
	}
	return time.Duration(n) * time.Second
}

// SetMaxAge says how long a response is fresh, in whole seconds up to 2^32-1.
func (o *Options) SetMaxAge(age time.Duration) {
	seconds := min(max(age/time.Second, 0), math.MaxUint32)
	o.SetUint(OptionMaxAge, uint64(seconds))
}

// Path returns the path of a request, such as "/sensors/1": "/" where it has none.
// What a segment has of "/" and other characters that are not its own is
// percent-encoded.
func (o Options) Path() string { return joinPath(o.texts(OptionURIPath)) }

// PathSegments returns the segments of the path of a request, decoded.
func (o Options) PathSegments() []string { return o.texts(OptionURIPath) }

// SetPath sets the path of a request, in the form that it has in a URI and in
// Path: absolute or not. The segments "." and ".." are resolved. It fails, and
// changes nothing, with a query or a fragment, with a bad percent-encoding, and
// with a segment of more than 255 bytes.
func (o *Options) SetPath(path string) error {
	if strings.ContainsAny(path, "?#") {
		return fmt.Errorf("coap: path %q: a query or a fragment is not allowed", path)
	}
	segments, err := splitPath(path)
	if err != nil {
		return fmt.Errorf("coap: path %q: %w", path, err)
	}
	o.setTexts(OptionURIPath, segments)
	return nil
}

// Queries returns the arguments of the query of a request, decoded.
func (o Options) Queries() []string { return o.texts(OptionURIQuery) }

// AddQuery adds an argument to the query of a request, such as "unit=C", as it is:
// not percent-encoded.
func (o *Options) AddQuery(argument string) { o.AddString(OptionURIQuery, argument) }

func (o Options) texts(id OptionID) (texts []string) {
	for value := range o.All(id) {
		texts = append(texts, string(value))
	}
	return texts
}

func (o *Options) setTexts(id OptionID, texts []string) {
	o.Remove(id)
	for _, text := range texts {
		o.AddString(id, text)
	}
}

// ETags returns the values of all ETag options.
func (o Options) ETags() (tags [][]byte) {
	for value := range o.All(OptionETag) {
		tags = append(tags, value)
	}
	return tags
}

// ErrOption is what Options.Validate and the functions that send messages return
// for options that a message must not have, and what comes of a response with a critical
// option that is not understood (Config.CriticalOptions).
var ErrOption = errors.New("bad option")

// Validate checks the order of the options, their lengths, that none occurs twice
// that must not, and that no segment of a path is "." or "..". Options that are not
// known here may occur any number of times, with up to 65535 bytes each. It returns
// an error that matches ErrOption and names the option, but not its value (RFC
// 7252, section 5.10; RFC 7641, 7959, 7967, 8613, 8768, 9175, 9177 and 9668).
//
// Session.Do and Session.Observe do so with the options of requests, and servers
// with those of responses.
func (o Options) Validate() error {
	if err := o.check(); err != nil {
		return &Error{Op: "validate", Err: err}
	}
	return nil
}

// check is Validate, without saying what failed.
func (o Options) check() error {
	for i, option := range o {
		d := option.ID.definition()
		if n := len(option.Value); n < d.min || n > d.max {
			return badOption("%s has %d bytes, not %s", option.ID, n, d.lengths())
		}
		if isDots(option) {
			return badOption("%s is %q", option.ID, option.Value)
		}
		if i == 0 {
			continue
		}
		switch last := o[i-1].ID; {
		case last > option.ID:
			return badOption("%s comes after %s", option.ID, last)
		case last == option.ID && !d.repeatable:
			return badOption("more than one %s", option.ID)
		}
	}
	return nil
}

func badOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, args...))
}

func (d definition) lengths() string {
	if d.min == d.max {
		return strconv.Itoa(d.min)
	}
	return fmt.Sprintf("%d to %d", d.min, d.max)
}

// isDots reports whether an option is a segment that only means something while a
// reference is resolved (RFC 7252, sections 5.10.1 and 5.10.7).
func isDots(option Option) bool {
	if option.ID != OptionURIPath && option.ID != OptionLocationPath {
		return false
	}
	return string(option.Value) == "." || string(option.Value) == ".."
}
