/* Mends: GnuTLS by itself picks a client's key pair in ways that leave peers without one: it takes
 * a list without PKCS #1 for one without RSA, knows no Ed25519 below TLS 1.3, and of two pairs
 * takes none where the server names no authorities.
 *
 * In: all versions. Until: none yet. Test: TestClientChoosesAmongItsCertificates. */
#ifndef CSHIM_FIX_CHOOSE_H
#define CSHIM_FIX_CHOOSE_H

#include <gnutls/abstract.h>

#include "library.h"

/* Makes clients with cred present the first pair that suits the server's authorities and
 * signature algorithms. It comes before cshim_credentials_key. */
int cshim_fix_choose_attach(gnutls_certificate_credentials_t cred);

/* Notes a key pair that cred has taken over. The array of certs becomes the
 * callee's where that succeeds and cred is attached: the result is then 1. */
int cshim_fix_choose_add(gnutls_certificate_credentials_t cred, gnutls_pcert_st *certs,
			 unsigned n, gnutls_privkey_t key);

/* Forgets what belongs to cred. It comes before that is freed. */
void cshim_fix_choose_detach(gnutls_certificate_credentials_t cred);

#endif
