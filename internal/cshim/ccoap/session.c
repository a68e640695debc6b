#include "ext_tls.h"
#include "fix_stream_flow.h"
#include "fix_stream_send.h"
#include "pki.h"
#include "session.h"

/* Frees what goes with a client session. */
static void drop(cshim_context *c, uint64_t id)
{
	struct cshim_client *client = cshim_client_find(c->clients, id);

	if (client != NULL && client->connecting)
		c->connecting--;
	cshim_client_remove(&c->clients, id);
}

coap_session_t *cshim_session_number(cshim_context *c, coap_session_t *session)
{
	if (session != NULL)
		cshim_session_set_id(session, c->new_client);
	else
		drop(c, c->new_client);
	c->new_client = 0;
	return session;
}

coap_session_t *cshim_session_open(cshim_context *c, const struct cshim_opening *opening)
{
	const bool bound = opening->local.ip_size > 0;
	coap_address_t from, to;
	struct cshim_streams *streams;
	coap_session_t *session;
	struct cshim_sockets *sockets;
	cshim_context *outer;

	cshim_address_to(&opening->server, &to);
	if (bound)
		cshim_address_to(&opening->local, &from);
	c->new_client = ++c->last_session;
	outer = cshim_ext_tls_enter(c);
	sockets = cshim_fix_sockets_enter(&c->sockets);
	streams = cshim_fix_streams_enter(&c->streams);
	c->streams.opening = true;
	c->streams.last = NULL;
	session = coap_new_client_session(c->ctx, bound ? &from : NULL, &to, opening->proto);
	c->streams.opening = false;
	if (session != NULL)
		cshim_fix_streams_belongs(&c->streams, session);
	cshim_fix_streams_leave(streams);
	cshim_fix_sockets_leave(sockets);
	cshim_ext_tls_leave(outer);
	return cshim_session_number(c, session);
}

coap_session_t *cshim_session_open_pki(cshim_context *c, const struct cshim_opening *opening,
				       struct cshim_key *pair, bool raw, void *credentials)
{
	struct cshim_client *client =
		cshim_client_add(&c->clients, c->last_session + 1, opening->name, NULL, 0, NULL, 0);
	coap_session_t *session;

	if (client == NULL) {
		cshim_key_free(pair);
		return NULL;
	}
	client->pair = *pair;
	client->raw = raw;
	client->credentials = credentials;
	if (!cshim_key_load(&client->pair)) {
		drop(c, client->id);
		return NULL;
	}
	client->connecting = opening->proto == COAP_PROTO_TLS;
	c->connecting += client->connecting;
	if (!cshim_pki_client(c, client)) {
		drop(c, client->id);
		return NULL;
	}
	session = cshim_session_open(c, opening);
	cshim_pki_reset(c);
	return session;
}

void cshim_session_connected(cshim_context *c, coap_session_t *session)
{
	uint64_t id = cshim_session_id(session);
	struct cshim_client *client = cshim_client_find(c->clients, id != 0 ? id : c->new_client);

	if (client == NULL || !client->connecting)
		return;
	client->connecting = false;
	c->connecting--;
	cshim_pki_client(c, client);
}

void cshim_session_secured(cshim_context *c)
{
	cshim_pki_reset(c);
}

#ifdef CSHIM_HAVE_CREDENTIALS

void *cshim_session_tls(const coap_session_t *session)
{
	return coap_session_get_tls(session, NULL);
}

#endif

void cshim_session_close(coap_session_t *session)
{
	struct cshim_streams *outer = cshim_fix_streams_enter(&cshim_context_of(session)->streams);

	coap_session_disconnected(session, COAP_NACK_NOT_DELIVERABLE);
	cshim_session_forget(session);
	cshim_fix_streams_leave(outer);
}

void cshim_session_forget(coap_session_t *session)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_streams *outer = cshim_fix_streams_enter(&c->streams);

	drop(c, cshim_session_id(session));
	cshim_session_set_id(session, 0);
	coap_session_release(session);
	cshim_fix_streams_leave(outer);
}

int cshim_session_send(coap_session_t *session, struct cshim_outgoing outgoing)
{
	const struct cshim_message *m = &outgoing.message;
	cshim_context *c = cshim_context_of(session);
	coap_pdu_t *pdu;
	struct cshim_streams *outer;
	coap_mid_t sent;

	if (cshim_session_state(session) == COAP_SESSION_STATE_NONE)
		return CSHIM_NOT_SENT;
	pdu = cshim_message_make(session, m);
	if (pdu == NULL)
		return CSHIM_TOO_LARGE;
	CSHIM_BEFORE_SEND(session, c->nstart);
	outer = cshim_fix_streams_enter(&c->streams);
	c->streams.opening = cshim_session_is_client(session);
	cshim_fix_streams_gather(&c->streams, outgoing.more);
	sent = coap_send(session, pdu);
	cshim_fix_streams_gather(&c->streams, false);
	c->streams.opening = false;
	if (coap_session_get_proto(session) >= COAP_PROTO_TCP) {
		cshim_fix_stream_sent(&c->streams, session, m->options_size + m->body_size);
		if (outgoing.answer)
			cshim_fix_stream_handled(&c->streams, session, m->body_size);
	}
	cshim_fix_streams_leave(outer);
	if (sent == COAP_INVALID_MID)
		return CSHIM_NOT_SENT;
	if (m->type == COAP_MESSAGE_CON)
		cshim_fix_crossing_sent(&c->crossing, sent);
	c->responds |= m->type == COAP_MESSAGE_CON && m->code >= COAP_RESPONSE_CODE(200);
	return sent;
}

void cshim_session_addresses(const coap_session_t *session, struct cshim_address *local,
			     struct cshim_address *remote)
{
	cshim_address_from(coap_session_get_addr_local(session), local);
	cshim_address_from(coap_session_get_addr_remote(session), remote);
}

coap_mid_t cshim_session_ping(coap_session_t *session)
{
	struct cshim_streams *outer = cshim_fix_streams_enter(&cshim_context_of(session)->streams);
	coap_mid_t id = coap_session_send_ping(session);

	cshim_fix_streams_leave(outer);
	return id;
}

bool cshim_session_has_blocks(coap_session_t *session)
{
	return cshim_fix_stream_has_blocks(&cshim_context_of(session)->streams, session);
}

void cshim_session_handled(coap_session_t *session)
{
	cshim_context *c = cshim_context_of(session);
	struct cshim_streams *outer = cshim_fix_streams_enter(&c->streams);

	cshim_fix_stream_handled(&c->streams, session, 0);
	cshim_fix_streams_leave(outer);
}
