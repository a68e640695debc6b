// Package coapdebug switches diagnostic functions of libcoap on, for the whole process. It is for
// finding faults, not for services: nothing that it switches on can be switched off again.
package coapdebug

import (
	"fmt"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// PrintLog makes libcoap print its own messages up to a level to standard output, as its tools
// do: 3 prints errors, 4 warnings, 5 notices, 6 each message that is sent or received, with its
// body, and 7 what helps to find faults in libcoap. Messages of the TLS library are never printed,
// because they may contain keys.
//
// It must be called before the first coap.Node is made. libcoap makes these texts in static
// buffers: those of Nodes that are busy at the same time may get mixed. It wraps
// coap_set_log_level.
func PrintLog(level int) { ccoap.Log(max(0, min(level, 7))) }

// LoseDatagrams makes libcoap drop datagrams instead of sending them, to see what happens: those
// with the numbers of a list such as "1,3-5", of which the first is 1, or a share such as "20%".
// It must be called before the first coap.Node is made. An error means that list is neither. It
// wraps coap_debug_set_packet_loss.
func LoseDatagrams(list string) error {
	if strings.Trim(list, "0123456789,-%") != "" || list == "" || !ccoap.SetPacketLoss(list) {
		return fmt.Errorf(
			"coap: datagrams to lose: %q is neither a list of numbers and ranges nor a percentage", list)
	}
	return nil
}
