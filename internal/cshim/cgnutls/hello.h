#ifndef CSHIM_HELLO_H
#define CSHIM_HELLO_H

#include "session.h"

/* A client that offers a TLS 1.3 session must not take an earlier version's
 * ServerHello with the session ID of its ClientHello for a resumption: no server
 * can have that session, and GnuTLS 3.7.9 would go on with keys that are no
 * secret. Refuses such a hello with GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER. */
int cshim_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

#endif
