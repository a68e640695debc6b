#ifndef CSHIM_STATE_H
#define CSHIM_STATE_H

#include "base.h"

/* The name and the IANA number of the session's cipher suite, or NULL. */
const char *cshim_cipher_suite(gnutls_session_t tls, unsigned *id);

/* The name of a cipher suite, or NULL. */
const char *cshim_cipher_suite_name(unsigned id);

/* Whether the peers authenticated with a pre-shared key of their own, not one
 * of a ticket. */
int cshim_is_psk(gnutls_session_t tls, bool server);

#endif
