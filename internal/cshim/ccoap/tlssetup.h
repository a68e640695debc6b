#ifndef CSHIM_TLSSETUP_H
#define CSHIM_TLSSETUP_H

#include <stdbool.h>
#include <stddef.h>

/* libcoap sets each session of GnuTLS up that it makes: the versions and ciphers, what
 * it has made of the set-up of the context, and a function that chooses the certificate by
 * name, and keeps what it has chosen for each name. These take its calls for the session
 * that cshim_tls_init has made last, and give GnuTLS what Go has set in place of it. */

/* A number of gnutls_credentials_type_t. */
enum { CSHIM_TLS_CERTIFICATE = 1 };

/* How long the handshake of a client may take, in milliseconds: EXCHANGE_LIFETIME of RFC 7252. */
enum { CSHIM_TLS_PATIENCE = 247 * 1000 };

typedef int cshim_hello_function(void *tls);

/* Replace, in libcoap, gnutls_priority_set and …_direct (for a client of pre-shared keys that
 * answers hints), gnutls_credentials_set, gnutls_handshake_set_post_client_hello_function,
 * gnutls_server_name_get, gnutls_handshake_set_timeout and gnutls_dtls_set_timeouts. */
int cshim_tls_set_priority(void *tls, void *priority);
int cshim_tls_set_priority_direct(void *tls, const char *text, const char **error);
int cshim_tls_set_credentials(void *tls, int type, void *credentials);
void cshim_tls_set_hello_function(void *tls, cshim_hello_function *f);
int cshim_tls_server_name(void *tls, void *name, size_t *size, unsigned *type, unsigned i);
void cshim_tls_set_timeout(void *tls, unsigned milliseconds);
void cshim_tls_set_timeouts(void *tls, unsigned retransmission, unsigned total);

/* Whether the calls of libcoap arrive here. */
bool cshim_tls_sets_up(void);

#endif
