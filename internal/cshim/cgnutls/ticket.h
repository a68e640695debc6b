#ifndef CSHIM_TICKET_H
#define CSHIM_TICKET_H

#include "session.h"

/* Queues every NewSessionTicket that a client receives, with the session data
 * of that moment where the handshake is over (TLS 1.3). */
void cshim_ticket_attach(cshim_session *s);

#endif
