#ifndef CSHIM_PKI_H
#define CSHIM_PKI_H

#include <stdbool.h>

#include "client.h"
#include "compat.h"

/* What the (D)TLS sessions of a context with certificates are made with: libcoap has
 * one for all, so it is set anew for each client session, and then reset. */
struct cshim_pki {
	bool set; /* of a server */
	struct cshim_key key;
	struct cshim_key *named;
	size_t n_named;
	coap_dtls_pki_t setup; /* of a server */
	coap_dtls_key_t chosen;
};

struct cshim_context;

/* Sets servers up for certificates, or for raw public keys. It takes the key over.
 * request: they ask their clients for certificates. by_name: they choose the
 * certificate by the name that a client asks for. Returns 0 where libcoap refuses. */
int cshim_pki_set(struct cshim_context *c, struct cshim_key *key, bool raw, bool request,
		  bool by_name);

/* Adds a key to choose by name, and takes it over. Returns 0 where memory is short. */
int cshim_pki_add(struct cshim_context *c, struct cshim_key *key);

/* Sets up for the client session that is made next, and resets: to what servers have, or to
 * nothing. libcoap keeps pointers to what the session has, and reads them whenever it makes a
 * TLS session. */
int cshim_pki_client(struct cshim_context *c, const struct cshim_client *client);
void cshim_pki_reset(struct cshim_context *c);

void cshim_pki_free(struct cshim_pki *pki);

#endif
