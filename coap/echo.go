package coap

import "github.com/gnucoap/gnucoap/internal/cshim/ccoap"

// echoOf returns the Echo value that a response asks to be sent back with the request (RFC 9175,
// section 2.3). It is only sent over the session that it came over.
func echoOf(m *ccoap.Message) ([]byte, bool) {
	if Code(m.Code) != CodeUnauthorized {
		return nil, false
	}
	value, ok := findOption(m.Options, OptionEcho)
	d := definitions[OptionEcho]
	return value, ok && len(value) >= d.min && len(value) <= d.max
}

// mayAnswer reports whether an Echo option may be added to the options of the request. If there is
// one already, it had no effect, or the caller has added it.
func (r *Request) mayAnswer(options Options) bool { return !r.NoEcho && !options.Has(OptionEcho) }

// answering returns the options of a request with the Echo option that a response asks for, if it
// asks for one.
func (r *Request) answering(m *ccoap.Message, options Options) (Options, bool) {
	echo, ok := echoOf(m)
	if !ok || !r.mayAnswer(options) {
		return options, false
	}
	return options.with(Option{OptionEcho, echo}), true
}

// answer lets the upload continue with the Echo option that a response asks for, and reports
// whether it asks for one. The block that was answered is sent again, or the whole body if that
// block was the last one.
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
