#ifndef CSHIM_CALLBACK_H
#define CSHIM_CALLBACK_H

#include "base.h"

/* Look-up of pre-shared keys on a server, through the handle of the handshake. */
void cshim_psk_server(gnutls_psk_server_credentials_t cred);

/* TLS 1.2 session store of a server, through the handle of the handshake. */
void cshim_store_attach(cshim_session *s);

/* Choice of a server's certificates by the name that the client asks for, before
 * GnuTLS reads its hello. GnuTLS's own function for that comes after it has chosen
 * the version, and makes it choose again, from legacy_version. */
void cshim_client_hello_attach(cshim_session *s);
int cshim_client_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

/* What a server's Callbacks.LimitTickets makes of the n tickets that it would
 * send, or a negative number where that fails. */
int cshim_limit_tickets(cshim_session *s, const struct cshim_ticket_counts *asked, bool resumed,
			int n);

#endif
