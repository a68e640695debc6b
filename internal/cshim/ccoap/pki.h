#ifndef CSHIM_PKI_H
#define CSHIM_PKI_H

#include <stdbool.h>

#include "compat.h"

/* A key and who is trusted, in PEM, each with its NUL; NULL where there is none. */
struct cshim_key {
	char *chain; /* the certificates, the leaf first, or a raw public key */
	char *key;
	char *ca;
};

/* What the (D)TLS sessions of a context with certificates are made with. */
struct cshim_pki {
	bool set;
	struct cshim_key key;
	struct cshim_key *named;
	size_t n_named;
#ifdef CSHIM_HAVE_CREDENTIALS
	coap_dtls_pki_t setup; /* without the name that a client asks for */
	coap_dtls_key_t chosen;
#endif
};

struct cshim_context;

/* Sets the context up for certificates, or for raw public keys. It takes the key
 * over. request: the server asks its clients for certificates. by_name: it
 * chooses its certificate by the name that a client asks for. Returns 0 where libcoap
 * refuses. */
int cshim_pki_set(struct cshim_context *c, struct cshim_key *key, bool raw, bool request, bool by_name);

/* Adds a key to choose by name, and takes it over. Returns 0 where memory is short. */
int cshim_pki_add(struct cshim_context *c, struct cshim_key *key);

/* Has the client session that is made next ask for a name, or for none. */
int cshim_pki_name(struct cshim_context *c, char *name);

void cshim_pki_free(struct cshim_pki *pki);

#endif
