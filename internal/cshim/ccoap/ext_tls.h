#ifndef CSHIM_EXT_TLS_H
#define CSHIM_EXT_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libcoap makes the sessions of GnuTLS and begins their handshakes in one go: what
 * makes a session resume has no place in between. So its calls of gnutls_init
 * come here. While a thread is between cshim_ext_tls_enter and cshim_ext_tls_leave, Go
 * hears of each session that libcoap makes, if it wants to, see goCoapTLS. With the build tag
 * noresume nothing is called in between.
 *
 * libcoap then sets the session up: the versions and ciphers, what it has made of the set-up of
 * the context, and a function that chooses the certificate by name, and keeps what it has chosen
 * for each name. Those calls come here too, and GnuTLS gets what Go has set for the session that
 * cshim_ext_tls_init has made last. */

struct cshim_context;

/* Numbers of GnuTLS, whose header only the package of GnuTLS includes. */
enum {
	CSHIM_TLS_CERTIFICATE = 1, /* a gnutls_credentials_type_t */
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

	/* Of GnuTLS; NULL leaves it to libcoap. */
	void *priority, *hint_priority;
	void *client_priority; /* of clients, in place of priority, unless NULL */
	void *server_credentials;

	void *made; /* the session that was made last */
	bool is_client, is_datagram;
	void *credentials; /* for it */
};

/* Until cshim_ext_tls_leave, which gets what cshim_ext_tls_enter has returned, the calls of
 * gnutls_init by this thread are looked at. A callback may do it again. */
struct cshim_context *cshim_ext_tls_enter(struct cshim_context *c);
void cshim_ext_tls_leave(struct cshim_context *outer);

/* The context of this thread in between, else NULL. */
struct cshim_context *cshim_ext_tls_current(void);

/* What Go has set for a session, or NULL. */
const struct cshim_tls *cshim_ext_tls_of(const void *tls);

/* Whether the session that libcoap makes on this thread is one over DTLS. */
bool cshim_ext_tls_is_datagram(void);

/* What libcoap has told GnuTLS to read a session from: its own session. */
void *cshim_ext_tls_transport(void *tls);

/* Replaces gnutls_init in libcoap. */
int cshim_ext_tls_init(void **session, unsigned flags);

typedef int cshim_hello_function(void *tls);

/* Replace, in libcoap, gnutls_priority_set and …_direct (for a client of pre-shared keys that
 * answers hints), gnutls_credentials_set, gnutls_handshake_set_post_client_hello_function
 * and gnutls_server_name_get. */
int cshim_ext_tls_set_priority(void *tls, void *priority);
int cshim_ext_tls_set_priority_direct(void *tls, const char *text, const char **error);
int cshim_ext_tls_set_credentials(void *tls, int type, void *credentials);
void cshim_ext_tls_set_hello_function(void *tls, cshim_hello_function *f);
int cshim_ext_tls_server_name(void *tls, void *name, size_t *size, unsigned *type, unsigned i);

/* Whether the calls of libcoap arrive here: of gnutls_init, and of those that set a session up. */
bool cshim_ext_tls_supported(void);
bool cshim_ext_tls_sets_up(void);

#endif
