#ifndef CSHIM_TLSINIT_H
#define CSHIM_TLSINIT_H

#include <stdbool.h>
#include <stdint.h>

/* libcoap makes the sessions of GnuTLS and begins their handshakes in one go: what
 * makes a session resume has no place in between. So its calls of gnutls_init
 * come here. While a thread is between cshim_tls_enter and cshim_tls_leave, Go
 * hears of each session that libcoap makes, if it wants to, see goCoapTLS. With the build tag noresume nothing is called in
 * between. */

struct cshim_context;

/* Flags of gnutls_init and errors of GnuTLS, whose header only the package of GnuTLS includes. */
enum {
	CSHIM_TLS_CLIENT = 1 << 1,
	CSHIM_TLS_DATAGRAM = 1 << 2,
	CSHIM_TLS_NO_AUTO_SEND_TICKET = 1 << 21,
	CSHIM_TLS_AGAIN = -28,
	CSHIM_TLS_PUSH_ERROR = -53,
	CSHIM_TLS_INTERNAL_ERROR = -59,
};

/* What Go wants of the sessions that libcoap makes. */
struct cshim_tls {
	bool heard; /* it hears of them */
	bool tickets; /* it sends the tickets of servers */
	uint64_t connected; /* number of the client session over TLS that has just connected */

	/* For tlssetup.h, of GnuTLS; NULL leaves it to libcoap. */
	void *priority, *hint_priority;
	void *client_priority; /* of clients, in place of priority, unless NULL */
	void *server_credentials;

	void *made; /* the session that was made last */
	bool is_client, is_datagram;
	void *credentials; /* for it */
};

/* Until cshim_tls_leave, which gets what cshim_tls_enter has returned, the calls of gnutls_init by
 * this thread are looked at. A callback may do it again. */
struct cshim_context *cshim_tls_enter(struct cshim_context *c);
void cshim_tls_leave(struct cshim_context *outer);

/* The context of this thread in between, else NULL. */
struct cshim_context *cshim_tls_current(void);

/* What libcoap has told GnuTLS to read a session from: its own session. */
void *cshim_tls_transport(void *tls);

/* Replaces gnutls_init in libcoap. */
int cshim_tls_init(void **session, unsigned flags);

/* Whether the calls of libcoap arrive here. */
bool cshim_tls_supported(void);

#endif
