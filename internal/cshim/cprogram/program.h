#ifndef CPROGRAM_H
#define CPROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../coap/native/gnucoap.h"

/* A CoAP program as there are many: a server with a loop, and a client. Its resources:
 * /c answers "C: " and the body of the request, with a GET "C: " and app_data;
 * /go-on answers what the program's Go function returns, and /tls and /socket whether it
 * has a TLS session and a connection as it should. */
typedef struct cprogram {
	coap_context_t *context;
	coap_resource_t *resource;
	coap_session_t *client;
	uintptr_t handle; /* of the Go functions */
	int app_data;
	int port;
	int stop;
	int responses, nacks, events, pings, pongs; /* that the program's handlers had */
} cprogram;

cprogram *cprogram_new(uintptr_t handle, int block_mode);
void cprogram_free(cprogram *p, bool context_too);

/* Runs the loop on the calling thread until cprogram_stop, or Go adopts the context. */
void cprogram_run(cprogram *p);
/* The same, and waits by itself. */
void cprogram_run_select(cprogram *p);
void cprogram_stop(cprogram *p);
int cprogram_process(cprogram *p, uint32_t timeout_ms);

/* Any thread may call these. */
bool cprogram_delete(cprogram *p);
/* Changes app_data, and tells the observers of /c. */
void cprogram_notify(cprogram *p);

/* The calling thread has the context locked, or is alone. */
bool cprogram_name_handlers(cprogram *p);
/* Listens over DTLS or TLS, with the pre-shared key CPROGRAM_KEY for all identities. Returns the
 * port. */
#define CPROGRAM_KEY "secret"
int cprogram_secure(cprogram *p, int proto);
/* Over DTLS and TLS with the identity "me" and CPROGRAM_KEY. */
bool cprogram_connect(cprogram *p, int proto, int port);
bool cprogram_request(cprogram *p);
void cprogram_disconnect(cprogram *p);

static inline int cprogram_count(const int *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

#endif
