package gnutls

import "github.com/gnucoap/gnucoap/internal/cshim/cgnutls"

// ObjectCounts is the number of native objects that exist, by kind. Close
// frees a connection's session at once; what connections share (credentials,
// priorities) is freed when the garbage collector finds that no Config and no
// Conn uses it any more.
type ObjectCounts struct {
	Sessions    int64 // TLS sessions
	Credentials int64 // sets of keys, trusted certificates or pre-shared keys
	Priorities  int64 // parsed priority strings
	AntiReplays int64 // records of the time at which early data came
	Buffers     int64 // tickets and key log lines on their way to Go
	Handles     int64 // Go values that GnuTLS refers to
}

// LiveObjects returns the current counts of native objects. It is meant for
// tests and for monitoring. It may be called from any goroutine.
func LiveObjects() ObjectCounts { return ObjectCounts(cgnutls.LiveObjects()) }

// Total returns the sum of the counts.
func (c ObjectCounts) Total() int64 {
	return c.Sessions + c.Credentials + c.Priorities + c.AntiReplays + c.Buffers + c.Handles
}
