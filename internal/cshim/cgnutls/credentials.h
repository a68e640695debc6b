#ifndef CSHIM_CREDENTIALS_H
#define CSHIM_CREDENTIALS_H

#include <stdlib.h>
#include <stdint.h>

#include "library.h"

/* One certificate or CRL each, in DER. */
int cshim_credentials_trust(gnutls_certificate_credentials_t cred, const gnutls_datum_t *certs,
			    int n);
int cshim_credentials_crl(gnutls_certificate_credentials_t cred, const gnutls_datum_t *der);

/* chain: n certificates in DER, the leaf first. The private key is pkcs8 when
 * that has data, and otherwise a Go signer: its handle, its algorithm
 * (gnutls_pk_algorithm_t) and its size in bits. Returns the index of the key
 * pair in cred or an error. */
int cshim_credentials_key(gnutls_certificate_credentials_t cred, const gnutls_datum_t *chain, int n,
			  const gnutls_datum_t *pkcs8, void *signer, int algo, int bits);

#endif
