#include "hello.h"
#include "hook.h"
#include "ticket.h"

static int on_message(gnutls_session_t tls, unsigned htype, unsigned when, unsigned incoming,
		      const gnutls_datum_t *msg)
{
	cshim_session *s = cshim_session_of(tls);

	switch (htype) {
	case GNUTLS_HANDSHAKE_CLIENT_HELLO:
	case GNUTLS_HANDSHAKE_SERVER_HELLO:
		return when == GNUTLS_HOOK_PRE ? cshim_hello_message(s, htype, msg) : 0;
	case GNUTLS_HANDSHAKE_NEW_SESSION_TICKET:
		return incoming && s->keep_tickets ? cshim_ticket_message(s, when, msg) : 0;
	}
	return 0;
}

void cshim_hook_attach(cshim_session *s)
{
	gnutls_handshake_set_hook_function(s->tls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
}
