#ifndef CSHIM_CONTEXT_H
#define CSHIM_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "adopt.h"
#include "client.h"
#include "cookie.h"
#include "compat.h"
#include "crossing.h"
#include "message.h"
#include "options.h"
#include "datagram.h"
#include "sockets.h"
#include "stream.h"
#include "pki.h"
#include "psk.h"
#include "tlsinit.h"

/* How many events are dealt with at once. */
enum { CSHIM_EVENTS = 16 };

/* A coap_context_t, and what its callbacks need. libcoap is not safe for
 * threads: one thread at a time may use a context and what belongs to it.
 *
 * libcoap copies the bytes that it is given, but keeps pointers to these:
 * - this struct: the app data of the context, and the argument of its callbacks. It is freed
 *   after the context.
 * - pki: the key and the named ones, of servers. The same.
 * - pki, the key and name of a client session, from cshim_pki_client to cshim_pki_reset: what
 *   is left in the context when another thread may have it is the server's, or nothing.
 * - psk.hints: once they are set they stay. found, client, server and pki.chosen are read
 *   before the callback that returned them is called again.
 * - the identity, key and name of a client session with a pre-shared key (cshim_client): read
 *   when a TLS session is made, which is once for each (cshim_session_send), before
 *   cshim_session_forget frees them. With 4.2.1 it copies them.
 * - functions: the handlers, and that of the log. */
typedef struct cshim_context {
	coap_context_t *ctx;
	void *handle;		/* of the Go callbacks */
	uint64_t last_session;	/* number of the session that came last */
	uint64_t new_client;	/* number of the client session that is being made */
	struct cshim_odd_options odd; /* of the datagram that is being read */
	uint8_t method;		/* of the datagram that is being read, where libcoap does not know it */
	bool responds;		/* has sent confirmable responses */
	bool stop;		/* the poll ends: Go must see a new connection first */
	coap_session_t *accepted[CSHIM_EVENTS]; /* by servers over TLS, since the last event */
	int n_accepted;
	unsigned nstart;	/* of its sessions; 0: 1 */
	unsigned mtu;		/* that it sends with over UDP and DTLS; 0: what libcoap has */
	struct cshim_buffer options;
	struct cshim_sockets sockets;
	struct cshim_streams streams;
	struct cshim_datagrams datagrams;
	struct cshim_cookie cookie;
	struct cshim_crossing crossing;
	struct cshim_client *clients;
	size_t connecting; /* how many of them have yet to connect, and have certificates */
	struct cshim_pki pki;
	struct cshim_psk psk;
	struct cshim_tls tls;
	struct cshim_adoption *adoption; /* of a context of a C program, else NULL */
} cshim_context;

/* Prepares libcoap, once in a process. */
void cshim_library_init(void);

cshim_context *cshim_context_new(void *handle);
void cshim_context_free(cshim_context *c);

/* The context that a session belongs to. */
cshim_context *cshim_context_of(const coap_session_t *session);

/* Takes over the handlers that a context has one of. */
void cshim_context_set_handlers(cshim_context *c);
void cshim_on_request(coap_session_t *session, const coap_pdu_t *request, coap_pdu_t *response);
/* Frees what goes with a context, but not that itself. */
void cshim_context_release(cshim_context *c);
/* Deals with the connections that came since the last call. */
void cshim_context_check_accepted(cshim_context *c);

/* Does the I/O that is possible without waiting, but only so much of it. Returns
 * in how many milliseconds it must be called again: -1 where only I/O can bring
 * news, 0 where there is more to do. */
int cshim_context_poll(cshim_context *c);

static inline void cshim_context_set_idle_timeout(cshim_context *c, unsigned seconds)
{
	coap_context_set_session_timeout(c->ctx, seconds);
}

static inline void cshim_context_set_max_idle(cshim_context *c, unsigned most)
{
	coap_context_set_max_idle_sessions(c->ctx, most);
	coap_context_set_max_handshake_sessions(c->ctx, most);
}

static inline void cshim_context_set_max_message(cshim_context *c, uint32_t bytes)
{
	coap_context_set_csm_max_message_size(c->ctx, bytes);
	c->streams.most = bytes;
}

coap_endpoint_t *cshim_endpoint_new(cshim_context *c, const struct cshim_address *address, coap_proto_t proto);

#endif
