#include "interpose.h"
#include "session.h"

/* Some versions of libcoap wait inside coap_session_max_pdu_size, for up to 5 s,
 * until a client has the server's capabilities, and deal with other messages
 * meanwhile. For a request that a server sends before its capabilities they do so
 * while they read it, free it, and go on using it. So the question is answered
 * here: with what any peer must take (RFC 8323, section 5.3.1). */

typedef size_t size_function(const coap_session_t *session);

/* Has the name that libcoap calls. It is weak: a libcoap that is linked statically keeps its own. */
__attribute__((weak, visibility("default"))) size_t cshim_early_max_pdu_size(const coap_session_t *session)
	__asm__("coap_session_max_pdu_size");

size_t cshim_early_max_pdu_size(const coap_session_t *session)
{
	static void *next;

	if (coap_session_get_proto(session) >= COAP_PROTO_TCP &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT &&
	    coap_session_get_state(session) != COAP_SESSION_STATE_ESTABLISHED)
		return COAP_DEFAULT_MTU;
	return ((size_function *)cshim_interpose_next(&next, "coap_session_max_pdu_size"))(session);
}
