package coap

import (
	"fmt"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// PrintLog has libcoap print its own messages up to a level to the process's standard
// output, as its tools do: 3 errors, 4 warnings, 5 notices, 6 each message that is
// sent or received, with its body, and 7 what helps to find faults in libcoap. What
// the TLS library would tell is never printed: there may be keys in it.
//
// It is for diagnosis, counts for the whole process, and stays. It comes before the
// first context. libcoap makes these texts in static buffers: those of contexts that are
// busy at the same time may get mixed. It stands for coap_set_log_level.
func PrintLog(level int) { ccoap.Log(max(0, min(level, 7))) }

// LoseDatagrams has datagrams get lost in place of being sent, to see what comes of it:
// those with the numbers of a list such as "1,3-5", of which the first is 1, or a
// share such as "20%". It counts for the whole process, and comes before the first
// context. The error is that the list is neither. It stands for
// coap_debug_set_packet_loss.
func LoseDatagrams(list string) error {
	if strings.Trim(list, "0123456789,-%") != "" || list == "" || !ccoap.SetPacketLoss(list) {
		return fmt.Errorf("coap: datagrams to lose: %q is neither a list of numbers and ranges nor a share in %%", list)
	}
	return nil
}
