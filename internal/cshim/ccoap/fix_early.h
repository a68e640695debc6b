#ifndef CSHIM_FIX_EARLY_H
#define CSHIM_FIX_EARLY_H

#include <stddef.h>

#include "compat.h"

/* Some versions of libcoap wait inside coap_session_max_pdu_size, for up to 5 s,
 * until a client has the server's capabilities, and deal with other messages
 * meanwhile. For a request that a server sends before its capabilities they do so
 * while they read it, free it, and go on using it. So the question is answered
 * here: with what any peer must take (RFC 8323, section 5.3.1). */

/* Replaces coap_session_max_pdu_size in libcoap. */
size_t cshim_fix_early_max_pdu_size(const coap_session_t *session);

#endif
