#ifndef CSHIM_SESSION_H
#define CSHIM_SESSION_H

#include <stdint.h>

#include "identity.h"

enum {
	CSHIM_TOO_LARGE = -1,  /* the message does not fit */
	CSHIM_NOT_SENT = -2,   /* libcoap did not take it */
};

static inline bool cshim_session_is_client(const coap_session_t *session)
{
	return coap_session_get_type(session) == COAP_SESSION_TYPE_CLIENT;
}

static inline coap_context_t *cshim_session_context(const coap_session_t *session)
{
	return coap_session_get_context(session);
}

static inline coap_proto_t cshim_session_proto(const coap_session_t *session)
{
	return coap_session_get_proto(session);
}

static inline coap_session_state_t cshim_session_state(const coap_session_t *session)
{
	return coap_session_get_state(session);
}

/* A message over TLS must fit one record: libcoap goes on in the wrong place with
 * the rest of a longer one. */
enum { CSHIM_TLS_MESSAGE = 16000 };

/* The most bytes that a message may have, without its header. Until a connection
 * stands, that is what any peer must take (RFC 8323, section 5.3.1): libcoap would
 * wait for it. */
static inline size_t cshim_session_max_size(const coap_session_t *session)
{
	size_t size;

	if (coap_session_get_proto(session) >= COAP_PROTO_TCP &&
	    coap_session_get_state(session) != COAP_SESSION_STATE_ESTABLISHED)
		return COAP_DEFAULT_MTU;
	size = coap_session_max_pdu_size(session);
	if (coap_session_get_proto(session) == COAP_PROTO_TLS && size > CSHIM_TLS_MESSAGE)
		return CSHIM_TLS_MESSAGE;
	return size;
}

/* libcoap counts all timeouts of a handshake over DTLS as those of one message. Servers get
 * more of them than its 4; it counts one a second where nothing can be sent again. For a
 * client Go knows how long the server has been silent. */
enum { CSHIM_SERVER_RETRANSMITS = 8, CSHIM_MANY_RETRANSMITS = 255 };

/* The type of the number differs among versions. */
static inline void cshim_session_set_max_retransmit(coap_session_t *session, uint16_t value)
{
	coap_session_set_max_retransmit(session, value);
}

static inline void cshim_session_set_nstart(coap_session_t *session, uint16_t value)
{
	cshim_context_of(session)->nstart = value;
	coap_session_set_nstart(session, value);
}

/* What a client session is opened with. */
struct cshim_opening {
	struct cshim_address local; /* without an IP address: the system's choice */
	struct cshim_address server;
	coap_proto_t proto;
	const char *name; /* to ask the server for, or NULL */
};

/* An identity with its pre-shared key. */
struct cshim_secret {
	const uint8_t *identity;
	size_t identity_size;
	const uint8_t *key;
	size_t key_size;
	bool by_hint; /* goCoapHint gives another one */
};

/* Open a client session. While that is made the context's new_client has its number: so the
 * events of its making have it too. */
coap_session_t *cshim_session_open(cshim_context *c, const struct cshim_opening *opening);

/* The same for a session with certificates or raw public keys. It takes the pair over.
 * credentials are of GnuTLS, and used in place of the pair, unless they are NULL. */
coap_session_t *cshim_session_open_pki(cshim_context *c, const struct cshim_opening *opening,
				       struct cshim_key *pair, bool raw, void *credentials);

/* The same with a pre-shared key. */
coap_session_t *cshim_session_open_psk(cshim_context *c, const struct cshim_opening *opening,
				       struct cshim_secret secret);

/* Gives a new session, or NULL, the number of the one that was being made. */
coap_session_t *cshim_session_number(cshim_context *c, coap_session_t *session);

/* A client's connection stands, and its TLS session is about to be made; and it is
 * made, before another one is. */
void cshim_session_connected(cshim_context *c, coap_session_t *session);
void cshim_session_secured(cshim_context *c);

/* The gnutls_session_t of a session, or NULL. */
void *cshim_session_tls(const coap_session_t *session);

/* The PSK identity that a session uses, and the hint of its server; or NULL. */
const uint8_t *cshim_session_identity(const coap_session_t *session, size_t *size);
const uint8_t *cshim_session_hint(const coap_session_t *session, size_t *size);

/* Ends a session's traffic, and gives the reference back. */
void cshim_session_close(coap_session_t *session);

/* Gives the reference to a server session back that a request took. */
void cshim_session_forget(coap_session_t *session);

struct cshim_outgoing {
	struct cshim_message message;
	bool more;   /* the next message follows at once: see cshim_fix_streams_gather */
	bool answer; /* a request is handled with it */
};

/* Sends a message. Returns its mid or one of the errors above. In a session that is over
 * libcoap would connect again, and begin another handshake, of a server with its client too:
 * there nothing is sent. The message comes as a value because Go must not hand a pointer to
 * pointers of its own to C. */
int cshim_session_send(coap_session_t *session, struct cshim_outgoing outgoing);

bool cshim_session_has_blocks(coap_session_t *session);

/* A request over a connection is handled without an answer. */
void cshim_session_handled(coap_session_t *session);

coap_mid_t cshim_session_ping(coap_session_t *session);

void cshim_session_addresses(const coap_session_t *session, struct cshim_address *local,
			     struct cshim_address *remote);

#endif
