#ifndef CSHIM_EXT_HEARD_H
#define CSHIM_EXT_HEARD_H

#include "identity.h"

/* libcoap has no callback for an acknowledgement, nor for the reset of a message
 * that was not confirmable. Who sends notifications needs both (RFC 7641, section
 * 4.5). Nor does it tell of a response that comes again, which some versions drop without a
 * word. So what libcoap reads is looked at on its way, and goCoapHeard is called for these. */

enum {
	CSHIM_HEARD_ACK = 1,
	CSHIM_HEARD_RESET,
	CSHIM_HEARD_RESPONSE, /* a confirmable one, unless libcoap answers those that come again */
	CSHIM_HEARD_LAST,     /* a request with the last block of a body that libcoap puts together */
};

/* What a datagram of version 1 (RFC 7252, section 3) says that Go must hear, or 0. */
int cshim_ext_heard(const cshim_context *c, const uint8_t *bytes, size_t size);

/* Tells Go, with the number of the session, or its address. What Go deals with alone becomes a
 * message of no version. */
void cshim_ext_heard_tell(const cshim_context *c, uint64_t id, const coap_address_t *from,
			  int what, uint8_t *bytes);

#endif
