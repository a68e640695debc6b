#include "callback.h"
#include "ext_earlydata.h"
#include "ext_ticketkeys.h"
#include "ext_ticketrequest.h"
#include "fix_hello.h"
#include "hook.h"
#include "ticket.h"
#include "verify.h"

/* Exported by ext_borrow.go. */
extern void goGnutlsBorrowedTicket(void *handle);
extern void goGnutlsBorrowedRefused(void *handle, int code);

int cshim_hook_message(cshim_session *s, unsigned htype, unsigned when, bool incoming,
		       const gnutls_datum_t *msg)
{
	bool hello = htype == GNUTLS_HANDSHAKE_CLIENT_HELLO || htype == GNUTLS_HANDSHAKE_SERVER_HELLO ||
		     htype == GNUTLS_HANDSHAKE_HELLO_RETRY_REQUEST;
	int ret = 0;

	if (incoming && when == GNUTLS_HOOK_PRE) {
		cshim_verify_message(s, htype);
		cshim_ext_ticket_keys_message(s, htype, msg);
		cshim_ext_early_data_message(s, htype, msg);
		ret = cshim_ext_ticket_request_message(s, htype, msg);
		if (ret == 0)
			ret = cshim_client_hello_message(s, htype, msg);
	}
	if (ret == 0 && !s->server && hello && when == GNUTLS_HOOK_PRE)
		ret = cshim_fix_hello_message(s, htype, msg);
	if (ret == 0 && incoming && s->keep_tickets && htype == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET)
		ret = cshim_ticket_message(s, when, msg);
	if (ret < 0 && s->borrowed)
		goGnutlsBorrowedRefused(s->handle, ret);
	if (ret == 0 && s->borrowed && s->tickets.n > 0)
		goGnutlsBorrowedTicket(s->handle);
	return ret;
}
