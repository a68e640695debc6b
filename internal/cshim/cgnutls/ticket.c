#include "ticket.h"

static int on_ticket(gnutls_session_t tls, unsigned htype, unsigned when, unsigned incoming,
		     const gnutls_datum_t *msg)
{
	cshim_session *s = cshim_session_of(tls);

	(void)htype;
	if (!incoming)
		return 0;
	if (when == GNUTLS_HOOK_PRE) {
		/* Only here is the message whole: by GNUTLS_HOOK_POST, GnuTLS
		 * has taken the fields off it. */
		if (s->ticket != NULL)
			cshim_item_free(s->ticket);
		s->ticket = cshim_item_new(msg->data, msg->size);
		return s->ticket == NULL ? GNUTLS_E_MEMORY_ERROR : 0;
	}
	if (gnutls_protocol_get_version(tls) == GNUTLS_TLS1_3 &&
	    gnutls_session_get_data2(tls, &s->ticket->session) < 0)
		s->ticket->session = (gnutls_datum_t){ NULL, 0 };
	cshim_queue_add(&s->tickets, s->ticket);
	s->ticket = NULL;
	return 0;
}

void cshim_ticket_attach(cshim_session *s)
{
	gnutls_handshake_set_hook_function(s->tls, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_BOTH,
					   on_ticket);
}
