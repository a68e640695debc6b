#include "borrow.h"
#include "callback.h"
#include "earlydata.h"
#include "hello.h"
#include "hook.h"
#include "ticket.h"
#include "ticketkeys.h"
#include "ticketrequest.h"
#include "verify.h"

static int on_message(gnutls_session_t tls, unsigned htype, unsigned when, unsigned incoming,
		      const gnutls_datum_t *msg)
{
	cshim_session *s = cshim_session_of(tls);
	bool hello = htype == GNUTLS_HANDSHAKE_CLIENT_HELLO || htype == GNUTLS_HANDSHAKE_SERVER_HELLO ||
		     htype == GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST;
	int ret = 0;

	if (incoming && when == GNUTLS_HOOK_PRE) {
		cshim_verify_message(s, htype);
		cshim_ticket_keys_message(s, htype, msg);
		cshim_early_data_message(s, htype, msg);
		ret = cshim_ticket_request_message(s, htype, msg);
		if (ret == 0)
			ret = cshim_client_hello_message(s, htype, msg);
	}
	if (ret == 0 && !s->server && hello && when == GNUTLS_HOOK_PRE)
		ret = cshim_hello_message(s, htype, msg);
	if (ret == 0 && incoming && s->keep_tickets && htype == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET)
		ret = cshim_ticket_message(s, when, msg);
	if (ret < 0 && s->borrowed)
		cshim_borrow_refused(s, ret);
	if (ret == 0 && s->borrowed && s->tickets.n > 0)
		cshim_borrow_ticket(s);
	return ret;
}

void cshim_hook_attach(cshim_session *s)
{
	gnutls_handshake_set_hook_function(s->tls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
}
