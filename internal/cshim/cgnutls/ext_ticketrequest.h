#ifndef CSHIM_EXT_TICKETREQUEST_H
#define CSHIM_EXT_TICKETREQUEST_H

#include "base.h"

/* The extension "ticket_request" of RFC 9149, which GnuTLS does not have. A
 * session that it is attached to needs the hook, see hook.h. */

int cshim_ext_ticket_request_attach(cshim_session *s);

/* Looks at a handshake message that comes in: counts the ClientHellos of a
 * server; a client refuses the extension where it must not stand. */
int cshim_ext_ticket_request_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

#endif
