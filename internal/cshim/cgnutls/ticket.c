#include "ticket.h"

int cshim_ticket_message(cshim_session *s, unsigned when, const gnutls_datum_t *msg)
{
	if (when == GNUTLS_HOOK_PRE) {
		/* Only here is the message whole: by GNUTLS_HOOK_POST, GnuTLS
		 * has taken the fields off it. */
		if (s->ticket != NULL)
			cshim_item_free(s->ticket);
		s->ticket = cshim_item_new(msg->data, msg->size);
		return s->ticket == NULL ? GNUTLS_E_MEMORY_ERROR : 0;
	}
	if (gnutls_protocol_get_version(s->tls) == GNUTLS_TLS1_3 &&
	    gnutls_session_get_data2(s->tls, &s->ticket->session) < 0)
		s->ticket->session = (gnutls_datum_t){ NULL, 0 };
	cshim_queue_add(&s->tickets, s->ticket);
	s->ticket = NULL;
	if (s->tickets.n > CSHIM_MAX_TICKETS)
		cshim_item_free(cshim_queue_take(&s->tickets));
	return 0;
}
