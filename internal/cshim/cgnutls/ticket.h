#ifndef CSHIM_TICKET_H
#define CSHIM_TICKET_H

#include "session.h"

/* Queues a NewSessionTicket that a client received, with the session data of
 * that moment where the handshake is over (TLS 1.3). */
int cshim_ticket_message(cshim_session *s, unsigned when, const gnutls_datum_t *msg);

#endif
