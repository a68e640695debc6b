package coap

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrOption says that a message has options that it must not have. Options.Validate and the
// functions that send messages return it, and so do those that get a response with a critical
// option that is not understood (Config.CriticalOptions).
var ErrOption = errors.New("bad option")

// Validate checks the order of the options and their lengths, that no option occurs more often
// than it may, and that no segment of a path is "." or "..". Options that this package does not
// define may occur any number of times, with up to 65535 bytes each. The error matches ErrOption
// and names the option, but not its value (RFC 7252, section 5.10; RFC 7641, 7959, 7967, 8613,
// 8768, 9175, 9177 and 9668).
//
// Session.Do and Session.Observe validate the options of requests, and servers those of
// responses.
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

// isDots reports whether an option is a segment of a path that has a meaning only while a
// reference is resolved (RFC 7252, sections 5.10.1 and 5.10.7).
func isDots(option Option) bool {
	if option.ID != OptionURIPath && option.ID != OptionLocationPath {
		return false
	}
	return string(option.Value) == "." || string(option.Value) == ".."
}
