#include "fix_early.h"
#include "interpose.h"

typedef size_t size_function(const coap_session_t *session);

size_t cshim_fix_early_max_pdu_size(const coap_session_t *session)
{
	if (coap_session_get_proto(session) >= COAP_PROTO_TCP &&
	    coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT &&
	    coap_session_get_state(session) != COAP_SESSION_STATE_ESTABLISHED)
		return COAP_DEFAULT_MTU;
	return CSHIM_NEXT(size_function, coap_session_max_pdu_size)(session);
}
