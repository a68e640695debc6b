package coap

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
)

// An Option is an option with its value.
type Option struct {
	ID    OptionID
	Value []byte
}

// Options are the options of a message. The methods that change them keep them in
// the order of their IDs, and those with the same ID in the order in which they
// were added. They must not be called from several goroutines at once.
type Options []Option

// find returns the indices at which the options with an ID begin and end.
func (o Options) find(id OptionID) (begin, end int) {
	for begin = len(o); begin > 0 && o[begin-1].ID >= id; begin-- {
	}
	for end = begin; end < len(o) && o[end].ID == id; end++ {
	}
	return begin, end
}

// Add adds an option after those with the same ID.
func (o *Options) Add(id OptionID, value []byte) {
	_, end := o.find(id)
	*o = slices.Insert(*o, end, Option{id, value})
}

// AddString is Add for text.
func (o *Options) AddString(id OptionID, value string) { o.Add(id, []byte(value)) }

// AddUint is Add for a number, in the fewest bytes (RFC 7252, section 3.2).
func (o *Options) AddUint(id OptionID, value uint64) { o.Add(id, wire.EncodeUint(value)) }

// Set replaces all options with an ID by one.
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

// Uint returns the value of the first option with an ID as a number. It reports false if there
// is no such option, or if its value has more than 8 bytes.
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

// ContentFormat returns the format of the body, if the options give it.
func (o Options) ContentFormat() (format ContentFormat, ok bool) {
	return o.format(OptionContentFormat)
}

// Accept returns the format that a client asks for, if it asks for one.
func (o Options) Accept() (format ContentFormat, ok bool) { return o.format(OptionAccept) }

func (o Options) format(id OptionID) (ContentFormat, bool) {
	n, ok := o.Uint(id)
	if !ok || n > math.MaxUint16 {
		return 0, false
	}
	return ContentFormat(n), true
}

// SetContentFormat sets the format of the body.
func (o *Options) SetContentFormat(format ContentFormat) {
	o.SetUint(OptionContentFormat, uint64(format))
}

// SetAccept asks for a format.
func (o *Options) SetAccept(format ContentFormat) { o.SetUint(OptionAccept, uint64(format)) }

// MaxAge returns how long a response is fresh: 60 s if it does not say so itself (RFC 7252,
// section 5.10.5).
func (o Options) MaxAge() time.Duration {
	n, ok := o.Uint(OptionMaxAge)
	if !ok || n > math.MaxUint32 {
		return defaultMaxAge
	}
	return time.Duration(n) * time.Second
}

// SetMaxAge sets how long a response is fresh, in whole seconds up to 2^32-1.
func (o *Options) SetMaxAge(age time.Duration) {
	seconds := min(max(age/time.Second, 0), math.MaxUint32)
	o.SetUint(OptionMaxAge, uint64(seconds))
}

// Path returns the path of a request, such as "/sensors/1", and "/" if it has none. In the
// segments, "/" and other characters that a segment of a URI cannot contain are percent-encoded.
func (o Options) Path() string { return joinPath(o.texts(OptionURIPath)) }

// PathSegments returns the segments of the path of a request, decoded.
func (o Options) PathSegments() []string { return o.texts(OptionURIPath) }

// SetPath sets the path of a request, written as in a URI, with or without a leading "/". The
// segments "." and ".." are resolved. If the path has a query, a fragment, a bad percent-encoding
// or a segment of more than 255 bytes, SetPath returns an error and changes nothing.
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

// AddQuery adds an argument to the query of a request, such as "unit=C". It must not be
// percent-encoded.
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
