#ifndef CSHIM_FIX_DATAGRAM_H
#define CSHIM_FIX_DATAGRAM_H

#include "identity.h"

/* Changes a datagram before libcoap sees it. One that is a signalling message is
 * rejected, for its version: those are for reliable transports (RFC 8323, section 5),
 * but libcoap obeys them on all. A request whose method libcoap does not know gets one that it
 * knows, and its handler gives it its own back. See also fix_crossing.h. */
void cshim_fix_datagram(cshim_context *c, void *bytes, size_t size);

#endif
