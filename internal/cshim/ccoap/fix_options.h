/* Mends: libcoap rejects a whole datagram for an option whose length is wrong, also where that is
 * elective and to be ignored (RFC 7252, section 5.4.3), and takes the empty Uri-Query for one,
 * which is legal. 4.3.5 rejects it for the option 65535 too. So these options are left out of what
 * libcoap parses. The context notes what Go has to know of the message.
 *
 * In: all versions. Until: none yet. Test: TestOptionsOfWrongLengths, TestHighestOption. */
#ifndef CSHIM_FIX_OPTIONS_H
#define CSHIM_FIX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compat.h"

struct cshim_odd_options {
	uint16_t critical; /* the first one that is critical; 0: there is none */
	uint16_t queries;  /* empty ones that were left out */
};

/* Replaces coap_pdu_parse in libcoap. */
int cshim_fix_options_parse(coap_proto_t proto, const uint8_t *data, size_t length,
			    coap_pdu_t *pdu);

/* Reports whether libcoap's calls come here. */
bool cshim_fix_options_works(void);

/* Asks libcoap for the highest number that an option may have. */
void cshim_fix_options_probe(void);
/* What it is. */
unsigned cshim_fix_options_max(void);

/* Reports whether a datagram is a confirmable request with the last block of a body, and no
 * other. */
bool cshim_fix_options_last_block(const uint8_t *data, size_t length);

#endif
