#ifndef CSHIM_IDENTITY_H
#define CSHIM_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "client.h"
#include "compat.h"
#include "fix_cookie.h"
#include "fix_crossing.h"
#include "ext_datagram.h"
#include "message.h"
#include "fix_options.h"
#include "pki.h"
#include "psk.h"
#include "fix_sockets.h"
#include "fix_stream_table.h"
#include "ext_tls.h"
#ifdef CSHIM_HAVE_ADOPTION
#include "../../../coap/native/gnucoap.h"
#endif

/* Which context is ours, and which session is which: the ground that the other files of this
 * package stand on. */

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

/* A context of a C program. Its app data, and that of its sessions, is the program's: so
 * what else stands there is here. */
struct cshim_adoption {
	bool borrowed;
	bool processing;
	void *sessions; /* their numbers: a tree of search.h */
#ifdef CSHIM_HAVE_ADOPTION
	gnucoap_handlers_t handlers;
#endif
	const coap_session_t *leaving; /* libcoap may be about to free it, or NULL */
	struct cshim_context *next;
};

/* How many contexts are adopted. */
extern unsigned cshim_adoptions;

static inline bool cshim_adoption_any(void)
{
	return __atomic_load_n(&cshim_adoptions, __ATOMIC_ACQUIRE) > 0;
}

/* Adds a context with an adoption, and takes it out: its sessions have no numbers then. */
void cshim_adoption_add(cshim_context *c);
void cshim_adoption_remove(cshim_context *c);

/* The adopted context of a coap_context_t, or NULL. Any thread may call it. */
cshim_context *cshim_adoption_find(const coap_context_t *ctx);

/* Return false for a session of a context that is not adopted. */
bool cshim_adoption_get_id(const coap_session_t *session, uint64_t *id);
bool cshim_adoption_set_id(const coap_session_t *session, uint64_t id);

/* The context that a session belongs to. */
cshim_context *cshim_context_of(const coap_session_t *session);

/* A session's number, 0 where it has none. It is the session's app data, unless a C
 * program may have that. */
static inline uint64_t cshim_session_id(const coap_session_t *session)
{
	uint64_t id;

	if (cshim_adoption_any() && cshim_adoption_get_id(session, &id))
		return id;
	return (uintptr_t)coap_session_get_app_data(session);
}

static inline void cshim_session_set_id(coap_session_t *session, uint64_t id)
{
	if (!cshim_adoption_any() || !cshim_adoption_set_id(session, id))
		coap_session_set_app_data(session, (void *)(uintptr_t)id);
}

/* Until cshim_reading_leave, what this thread reads from the network is for the context. */
void cshim_reading_enter(cshim_context *c);
void cshim_reading_leave(void);
/* The context in between, else NULL. */
cshim_context *cshim_reading(void);

#endif
