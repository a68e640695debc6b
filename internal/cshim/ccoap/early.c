#define _GNU_SOURCE
#include <dlfcn.h>

#include "session.h"

/* Some versions of libcoap wait inside coap_session_max_pdu_size, for up to 5 s,
 * until a client has the server's capabilities, and deal with other messages
 * meanwhile. For a request that a server sends before its capabilities they do so
 * while they read it, free it, and go on using it. So the question is answered
 * here: with what any peer must take (RFC 8323, section 5.3.1). */

typedef size_t size_function(const coap_session_t *session);

/* Has the name that libcoap calls. */
__attribute__((visibility("default"))) size_t cshim_early_max_pdu_size(const coap_session_t *session)
	__asm__("coap_session_max_pdu_size");

size_t cshim_early_max_pdu_size(const coap_session_t *session)
{
	static size_function *next;
	size_function *f = __atomic_load_n(&next, __ATOMIC_RELAXED);

	if (f == NULL) {
		f = (size_function *)dlsym(RTLD_NEXT, "coap_session_max_pdu_size");
		__atomic_store_n(&next, f, __ATOMIC_RELAXED);
	}
	if (coap_session_get_proto(session) >= COAP_PROTO_TCP &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT &&
	    coap_session_get_state(session) != COAP_SESSION_STATE_ESTABLISHED)
		return COAP_DEFAULT_MTU;
	return f(session);
}
