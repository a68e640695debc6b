/* Mends: libcoap waits inside coap_session_max_pdu_size, for up to 5 s, until a client has the
 * server's capabilities, and deals with other messages meanwhile. For a request that a server
 * sends before its capabilities it does so while it reads that, frees it, and continues to use it.
 * So the question is answered here: with what any peer must take (RFC 8323, section 5.3.1).
 *
 * In: 4.3.4 and later. Until: none yet. Test: TestClientSurvivesBadStreams. */
#ifndef CSHIM_FIX_EARLY_H
#define CSHIM_FIX_EARLY_H

#include <stddef.h>

#include "compat.h"

/* Replaces coap_session_max_pdu_size in libcoap. */
size_t cshim_fix_early_max_pdu_size(const coap_session_t *session);

#endif
