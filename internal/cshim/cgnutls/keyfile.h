#ifndef CSHIM_KEYFILE_H
#define CSHIM_KEYFILE_H

#include <stdbool.h>
#include <stdlib.h>

#include "library.h"

int cshim_key_decode(const gnutls_datum_t *in, bool pem, const char *password,
		     gnutls_datum_t *pkcs8);

/* certs: an array of n datums; the caller frees it and each of them with
 * gnutls_free, as it does pkcs8. */
int cshim_pkcs12_decode(const gnutls_datum_t *in, const char *password, gnutls_datum_t *pkcs8,
			gnutls_datum_t **certs, unsigned *n);

/* Overwrites a string. */
void cshim_forget(char *s);

/* Whether GnuTLS can read a certificate. */
int cshim_certificate_check(const gnutls_datum_t *der);

#endif
