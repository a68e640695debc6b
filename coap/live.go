package coap

import "github.com/gnucoap/gnucoap/internal/cshim/ccoap"

// ObjectCounts is the number of native objects that exist, by kind.
type ObjectCounts struct {
	Contexts int64 // contexts, with their endpoints
	Sessions int64 // references to sessions: one for each that Go knows
	Handles  int64 // Go values that C refers to, those of package gnutls too
}

// LiveObjects returns the current counts of native objects. It is meant for
// tests and for monitoring. It may be called from any goroutine.
func LiveObjects() ObjectCounts { return ObjectCounts(ccoap.LiveObjects()) }

// Total returns the sum of the counts.
func (c ObjectCounts) Total() int64 { return c.Contexts + c.Sessions + c.Handles }
