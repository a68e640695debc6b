#ifndef CSHIM_PSK_H
#define CSHIM_PSK_H

#include <stdbool.h>

#include "compat.h"

/* What a callback of libcoap returned last, and libcoap has copied by the next. */
struct cshim_psk {
	size_t key_size;
	uint8_t *key;
	size_t identity_size;
	uint8_t *identity;
	char **hints;
	size_t n_hints;
#ifdef CSHIM_HAVE_CREDENTIALS
	coap_bin_const_t found;
	coap_dtls_cpsk_info_t client;
	coap_dtls_spsk_info_t server;
#endif
};

struct cshim_context;

/* Has the context's servers ask goCoapPSK for keys. It takes the hints over: the
 * first is the one for clients that ask for no other name. Returns 0 where libcoap
 * refuses. */
int cshim_psk_set(struct cshim_context *c, char **hints, size_t n, bool by_name);

void cshim_psk_free(struct cshim_psk *psk);

#endif
