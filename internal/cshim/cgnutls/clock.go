package cgnutls

/*
#include "clock.h"
*/
import "C"

import "time"

// AdvanceClock makes the clock of GnuTLS go ahead of the system's, in whole seconds. It is
// for tests: no other goroutine may use GnuTLS meanwhile. Among others servers look at that
// clock to see whether tickets have expired, below TLS 1.3.
//
// Implements:
//
//	void gnutls_global_set_time_function(gnutls_time_func time_func);
func AdvanceClock(by time.Duration) { C.cshim_clock_advance(C.int64_t(by / time.Second)) }
