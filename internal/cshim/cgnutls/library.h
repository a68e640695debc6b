#ifndef CSHIM_LIBRARY_H
#define CSHIM_LIBRARY_H

#include <gnutls/gnutls.h>

#if GNUTLS_VERSION_NUMBER < 0x030701
#error "gnucoap needs GnuTLS 3.7.1 or later"
#endif

/* Older versions answer GNUTLS_E_UNIMPLEMENTED_FEATURE to it. */
#if GNUTLS_VERSION_NUMBER < 0x030702
#define GNUTLS_CB_TLS_SERVER_END_POINT 1
#endif

/* gnutls_malloc and gnutls_free are variables that hold functions: Go cannot
 * call them. */
static inline void *cshim_malloc(size_t size)
{
	return gnutls_malloc(size);
}

static inline void cshim_free(void *p)
{
	gnutls_free(p);
}

#endif
