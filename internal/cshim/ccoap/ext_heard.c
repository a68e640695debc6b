#include "_cgo_export.h"
#include "address.h"
#include "ext_heard.h"
#include "fix_options.h"

enum { DATAGRAM_VERSION = 0xc0 };

/* An acknowledgement may have a code: its message ID is what acknowledges. */
int cshim_ext_heard(const cshim_context *c, const uint8_t *bytes, size_t size)
{
	bool is_empty = size == 4 && bytes[0] % 16 == 0 && bytes[1] == 0;

	if (size < 4)
		return 0;
	switch (bytes[0] >> 4) {
	case 4 + COAP_MESSAGE_CON:
		if (CSHIM_FORGETS_BODIES && c->adoption != NULL && cshim_fix_options_last_block(bytes, size))
			return CSHIM_HEARD_LAST;
		return !CSHIM_CONFIRMS_AGAIN && bytes[1] >= 0x40 ? CSHIM_HEARD_RESPONSE : 0;
	case 4 + COAP_MESSAGE_ACK:
		return is_empty || c->responds ? CSHIM_HEARD_ACK : 0;
	case 4 + COAP_MESSAGE_RST:
		return is_empty ? CSHIM_HEARD_RESET : 0;
	}
	return 0;
}

/* What Go deals with alone becomes a message of no version. */
void cshim_ext_heard_tell(const cshim_context *c, uint64_t id, const coap_address_t *from, int what,
		      uint8_t *bytes)
{
	struct cshim_address address = { .ip_size = 0 };

	if (from != NULL)
		cshim_address_from(from, &address);
	if (goCoapHeard(c->handle, id, &address, what, bytes[2] << 8 | bytes[3]))
		bytes[0] &= ~DATAGRAM_VERSION;
}
