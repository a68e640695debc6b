/* Mends: libcoap obeys signalling messages over UDP and DTLS too, though those are for reliable
 * transports (RFC 8323, section 5). It answers methods that it does not know with 4.04. And it
 * takes codes that are reserved for responses, or ends requests because of them without counting
 * them as ended.
 *
 * So a datagram is changed before libcoap sees it. A signalling message is rejected, for its
 * version. A request gets a method that libcoap knows, and its handler gives it its own back.
 *
 * In: all versions. Until: none yet. Test: TestSignallingOverUDPIsRejected,
 * TestUnknownMethodsAreNotAllowed, TestReservedCodesCountForNothing. */
#ifndef CSHIM_FIX_DATAGRAM_H
#define CSHIM_FIX_DATAGRAM_H

#include "identity.h"

/* Changes a datagram that was received. */
void cshim_fix_datagram(cshim_context *c, void *bytes, size_t size);

#endif
