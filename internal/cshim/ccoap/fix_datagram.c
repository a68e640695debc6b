#include "fix_crossing.h"
#include "fix_datagram.h"

enum { DATAGRAM_VERSION = 0xc0, DATAGRAM_TOKEN_LENGTH = 0x0f };

/* libcoap answers methods beyond those that it has handlers for, with 4.04. */
static void take_method(cshim_context *c, uint8_t *bytes, size_t size)
{
	c->method = 0;
	if (size < 4 || bytes[0] >> 5 != 2 || c->adoption != NULL) /* version 1, confirmable or not */
		return;
	if (bytes[1] <= COAP_REQUEST_IPATCH || bytes[1] >> 5 != 0)
		return;
	c->method = bytes[1];
	bytes[1] = COAP_REQUEST_POST;
}

static bool is_signal(const uint8_t *bytes, size_t size)
{
	return size >= 4 && bytes[0] >> 6 == 1 && bytes[1] >> 5 == 7;
}

/* Codes of class 1 and 6 are reserved (RFC 7252, section 12.1). Some versions take 6 for a
 * response, but reject 1. Others end a request with the ID of such a message and go on counting
 * it for NSTART: there it is malformed instead, which they reset, an acknowledgement has the code
 * of a request, which ends one well, and a reset is of no version. */
static void take_code(uint8_t *bytes, size_t size)
{
	if (size < 4 || bytes[0] >> 6 != 1 || (bytes[1] >> 5 != 1 && bytes[1] >> 5 != 6))
		return;
	if (!CSHIM_COUNTS_BAD_CODES) {
		bytes[1] = 1 << 5;
		return;
	}
	switch (bytes[0] >> 4 & 3) {
	case COAP_MESSAGE_ACK:
		bytes[1] = COAP_REQUEST_GET;
		break;
	case COAP_MESSAGE_RST:
		bytes[0] &= ~DATAGRAM_VERSION;
		break;
	default:
		bytes[0] |= DATAGRAM_TOKEN_LENGTH;
	}
}

void cshim_fix_datagram(cshim_context *c, void *bytes, size_t size)
{
	if (is_signal(bytes, size))
		*(uint8_t *)bytes &= ~DATAGRAM_VERSION;
	take_code(bytes, size);
	take_method(c, bytes, size);
	cshim_fix_crossing_received(&c->crossing, bytes, size);
}
