#ifndef CSHIM_TICKET_H
#define CSHIM_TICKET_H

#include "base.h"

/* How many tickets wait for Go at most: as many as a client can ask for. */
enum { CSHIM_MAX_TICKETS = 255 };

/* Queues a NewSessionTicket that a client received, with the session data of
 * that moment where the handshake is over (TLS 1.3). Of too many that come with
 * one call the oldest are dropped: each holds the server's certificates. */
int cshim_ticket_message(cshim_session *s, unsigned when, const gnutls_datum_t *msg);

#endif
