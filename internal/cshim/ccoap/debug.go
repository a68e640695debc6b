package ccoap

/*
#include <stdlib.h>
#include "debug.h"
*/
import "C"

import "unsafe"

// Log prints libcoap's messages up to a level (0 to 7) to the standard output of the process.
// libcoap makes them in static buffers.
//
// Implements:
//
//	void coap_set_log_handler(coap_log_handler_t handler);
//	void coap_set_log_level(coap_log_t level);
func Log(level int) {
	initLibrary()
	C.cshim_log(C.coap_log_t(level))
}

// SetPacketLoss has datagrams not be sent, and reports whether it understands which: a list of
// numbers and ranges, as in "1,3-5", or how many percent of them, as in "20%".
//
// Implements:
//
//	int coap_debug_set_packet_loss(const char *loss_level);
func SetPacketLoss(list string) bool {
	initLibrary()
	text := C.CString(list)
	defer C.free(unsafe.Pointer(text))
	return C.coap_debug_set_packet_loss(text) != 0
}
