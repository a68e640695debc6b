package coap

import "github.com/gnucoap/gnucoap/internal/cshim/ccoap"

// echoOf returns the Echo value that a response wants back with the request: RFC 9175,
// section 2.3. It came over the session that the request went over, and goes nowhere else.
func echoOf(m *ccoap.Message) ([]byte, bool) {
	if Code(m.Code) != CodeUnauthorized {
		return nil, false
	}
	value, ok := findOption(m.Options, OptionEcho)
	d := definitions[OptionEcho]
	return value, ok && len(value) >= d.min && len(value) <= d.max
}

// mayAnswer reports whether an Echo option may be added to the options of the request. Where
// there is one, it was in vain, or is the caller's business.
func (r *Request) mayAnswer(options Options) bool { return !r.NoEcho && !options.Has(OptionEcho) }

// answering returns the options of a request with the Echo option that a response wants.
func (r *Request) answering(m *ccoap.Message, options Options) (Options, bool) {
	echo, ok := echoOf(m)
	if !ok || !r.mayAnswer(options) {
		return options, false
	}
	return options.with(Option{OptionEcho, echo}), true
}

// answer makes the upload continue with the Echo option that a response wants, if it wants one.
// The block that was answered is sent again, or all of the body where it was the last one.
func (u *upload) answer(m *ccoap.Message) bool {
	t := u.t
	options, ok := t.r.answering(m, t.options)
	if !ok || !u.body.Repeat(options.wireSize()-t.options.wireSize()) {
		return false
	}
	if u.body.Sent() == 0 {
		u.token = nil // a late duplicate of the response has the old one
	}
	t.options = options
	return true
}
