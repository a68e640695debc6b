/* Mends: a client that offers a TLS 1.3 session must not take an earlier version's ServerHello
 * with the session ID of its ClientHello for a resumption: no server can have that session. A
 * client that has sent early data must give up when the server chooses an earlier version (RFC
 * 8446, section 4.2.10). GnuTLS 3.7.9 must also give up when the server asks for another hello: it
 * would encrypt that with the key of the early data.
 *
 * In: all versions. Until: none yet. Test:
 * TestOldServerHelloWithTheSessionIDOfATLS13SessionIsRefused,
 * TestEarlyDataThatTheServerCannotGoOnAfter. */
#ifndef CSHIM_FIX_HELLO_H
#define CSHIM_FIX_HELLO_H

#include "base.h"

/* Refuses the first such hello with GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER, whatever GnuTLS makes of
 * it, and the others with GNUTLS_E_EARLY_DATA_REJECTED. */
int cshim_fix_hello_message(cshim_session *s, unsigned htype, const gnutls_datum_t *msg);

#endif
